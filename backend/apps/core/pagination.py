"""Cuts lists into bounded pages by key, so that page 1,000 costs what page 1 costs."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request


class KeysetPagination(CursorPagination):
    """`?limit=` rows a page (50, at most 200) and opaque `next` / `previous` links; no count of the whole table."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    page_size_query_description = "Rows a page, 1 to 200."

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("limit")
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= self.max_page_size):
            raise ValidationError({"limit": [f"A number from 1 to {self.max_page_size}."]})
        return int(text)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """Return the page; a cursor whose position is no value of the ordered column is 404 like any other forgery."""
        try:
            return super().paginate_queryset(queryset, request, view=view)
        except (ValueError, ModelValidationError) as error:
            if request.query_params.get(self.cursor_query_param):
                raise NotFound(self.invalid_cursor_message) from error
            raise

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """Return the view's or the caller's ordering, ended by the key so that it is total."""
        ordering = tuple(super().get_ordering(request, queryset, view))
        return ordering if ordering[-1].lstrip("-") in {"pk", "id"} else (*ordering, "id")
