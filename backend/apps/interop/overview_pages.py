"""The first page of the console: how each pipeline is, and where to go on; else trouble would be looked for."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from backend.apps.interop import console
from backend.apps.interop.permissions import OVERVIEW


@console.page(OVERVIEW, "index")
def index(request: HttpRequest) -> HttpResponse:
    """Lead to the pages this person's role has."""
    return console.render(request, "interop/index.html", {"title": "Overview"})
