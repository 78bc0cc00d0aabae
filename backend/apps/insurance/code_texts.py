"""Tells beside a code what the clinic's own lists say it means; without it a desk would look up each number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from rest_framework import serializers

from backend.apps.insurance.code_sets import Texts
from backend.apps.insurance.models.code_sets import CodeSetKind


class TextsOfCodes(serializers.Serializer):
    """A part of serializers. Texts are X12's own: none is shipped; without a list they are empty."""

    def text_of(self, kind: CodeSetKind, code: str) -> str:
        context = cast("dict[str, Any]", self.context)  # all serializers of an answer share it
        texts: Texts = context.setdefault("texts_of_codes", Texts())
        return texts.of(kind, code)

    def texts_of_remarks(self, codes: Iterable[str]) -> list[str]:
        return [self.text_of(CodeSetKind.RARC, code) for code in codes]

    def texts_of_status(self, details: Iterable[Any]) -> list[str]:
        """Return for details as "A7:507:IL" what category and status mean, as far as lists say."""
        found = []
        for detail in details:
            category, _, rest = str(detail).partition(":")
            said = (
                self.text_of(CodeSetKind.CATEGORY, category),
                self.text_of(CodeSetKind.STATUS, rest.partition(":")[0]),
            )
            found.append(" ".join(filter(None, said)))
        return found
