"""Filters, search and ordering that refuse what they do not know instead of ignoring it."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db.models import Model, QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from django_filters.utils import translate_validation
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.request import Request

from backend.apps.core import field_rules

LONGEST = 200
PAGE_PARAMS = frozenset({"limit", "cursor", "ordering", "search", "format"})


class StrictFilterBackend(DjangoFilterBackend):
    """A misspelt filter would answer with every row: unknown parameters are 400."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        if not request.query_params:
            return queryset
        filterset = self.get_filterset(request, queryset, view)
        known = PAGE_PARAMS | self._open(filterset, queryset.model, request.user)
        ranges = {f"{name}_{end}" for name in known for end in ("after", "before", "min", "max")}
        unknown = sorted(set(request.query_params) - known - ranges)
        if unknown:
            raise ValidationError({"query": [f"This list has no filter {name[:40]!r}." for name in unknown[:5]]})
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            raise translate_validation(filterset.errors)
        return filterset.qs

    def _open(self, filterset: Any, model: type[Model], user: Any) -> set[str]:
        """Return the filters that tell the caller nothing of fields they do not see."""
        filters = filterset.filters if filterset else {}
        return {name for name, one in filters.items() if not field_rules.is_oracle(model, one.field_name, user)}

    def get_filterset_class(self, view: Any, queryset: QuerySet[Any] | None = None) -> Any:
        """Return the view's filters; those that are made from `filterset_fields` are made once and not per request."""
        if queryset is None or getattr(view, "filterset_class", None):
            return super().get_filterset_class(view, queryset)
        return _made(type(view), queryset.model)  # type: ignore[arg-type]  # a class is hashable


@cache
def _made(view: Any, model: type[Model]) -> Any:
    return DjangoFilterBackend().get_filterset_class(view, model._base_manager.none())


class BoundedSearch(SearchFilter):
    """DRF's search over `search_fields`, for words of sensible length only, and only over what the caller sees."""

    def get_search_fields(self, view: Any, request: Request) -> Any:
        fields, model = super().get_search_fields(view, request) or (), view.queryset.model
        return [name for name in fields if not field_rules.is_oracle(model, name, request.user)]

    def get_search_terms(self, request: Request) -> list[str]:
        if len(request.query_params.get(self.search_param, "")) > LONGEST:
            raise ValidationError({"search": [f"At most {LONGEST} characters."]})
        return super().get_search_terms(request)


class StrictOrdering(OrderingFilter):
    """Ordering by the view's `ordering_fields` only; anything else is 400, so that no column can be probed."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        offered, model = getattr(view, "ordering_fields", None) or (), queryset.model
        allowed = tuple(name for name in offered if not field_rules.is_oracle(model, name, request.user))
        asked = [term.strip() for term in request.query_params.get(self.ordering_param, "").split(",") if term.strip()]
        unknown = [term for term in asked if term.lstrip("-") not in allowed]
        if unknown:
            raise ValidationError({"ordering": [f"Order by one of: {', '.join(allowed) or 'nothing here'}."]})
        return super().get_ordering(request, queryset, view)
