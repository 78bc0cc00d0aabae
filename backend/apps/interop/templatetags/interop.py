"""What the console's templates cannot say in Django's own words."""

from __future__ import annotations

from urllib.parse import urlencode

from django import template

register = template.Library()


@register.filter
def status_query(status: str) -> str:
    """Return the query of a list that is cut to one status."""
    return urlencode({"status": status})


@register.filter
def spoken(name: str) -> str:
    """Return the name of a field as people say it."""
    return name.replace("_", " ")
