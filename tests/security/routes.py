"""Walks the whole URL conf and says of every address which table guards it; what nobody says fails by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db import connection
from django.urls import URLPattern, URLResolver, get_resolver

from backend.apps.core.views import Audited


@dataclass(frozen=True)
class Route:
    """One pattern of the URL conf. path: as it stands there, all prefixes before it."""

    path: str
    pattern: URLPattern

    @property
    def kind(self) -> str:
        """Return what holds it: "api" (a viewset), "admin" (a page of a model), "console", "fhir", or "" for a list."""
        view = getattr(self.pattern.callback, "cls", None)
        if isinstance(view, type) and issubclass(view, Audited):
            return "api"
        if getattr(self.pattern.callback, "guard", None) is not None:
            return "console"
        if self.path.startswith("fhir/R4/"):
            return "fhir"
        return "admin" if self.model is not None else ""

    @property
    def model(self) -> Any:
        """Return the model this is an admin page of."""
        parts = self.path.split("/")
        if parts[0] != "admin" or len(parts) < 4:
            return None
        found = (model for model in admin.site._registry if parts[1:3] == [model._meta.app_label, name_of(model)])
        return next(found, None)


def name_of(model: Any) -> str:
    return str(model._meta.model_name)


def routes(patterns: list[Any] | None = None, prefix: str = "") -> Iterator[Route]:
    """Yield every address the web process answers."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, path)
        else:
            yield Route(path, entry)


MOVES = {"core_auditlog", "core_auditseal", "core_heartbeat", "core_rowtally", "django_session", "django_admin_log"}


def everything_stored() -> dict[str, tuple[int, int]]:
    """Return {table: (rows, digest of them)} of all tables but logs and sessions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"
        )
        found = {}
        for (table,) in cursor.fetchall():
            if table not in MOVES:
                cursor.execute(f'SELECT count(*), COALESCE(sum(hashtext(t::text)::bigint), 0) FROM "{table}" t')  # noqa: S608
                found[table] = cursor.fetchone()
        return found
