"""What the console's templates cannot say in Django's own words."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode

from django import template
from django.utils import timezone

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$")  # as `charts` writes one
register = template.Library()


@register.filter
def status_query(status: str) -> str:
    """Return the query of a list that is cut to one status."""
    return urlencode({"status": status})


@register.filter
def told(value: object) -> str:
    """Return a value of a chart for people: yes and no, a moment in the zone of the page, nothing for what is empty."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if MOMENT.match(text):
        return f"{timezone.localtime(datetime.fromisoformat(text)):%Y-%m-%d %H:%M}"
    return text


@register.filter
def spoken(name: str) -> str:
    """Return the name of a field as people say it."""
    return name.replace("_", " ")
