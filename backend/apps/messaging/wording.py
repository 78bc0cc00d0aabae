"""Picks the words of a message: the clinic's own before the shipped, in the patient's language where there are any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from backend.apps.core import alerts
from backend.apps.messaging import shipped, template_checks
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import ContactRules, MessageTemplate
from backend.apps.messaging.rendering import Source, Words, write
from backend.apps.messaging.template_syntax import Unwritable

TYPICAL_NAME = "x" * 20  # of a clinic
LONGEST_SENTENCE = 300  # characters of an alert
NO_WORDS = "There are no words for this kind of message on this channel."
__all__ = ["Facts", "Unwritable", "Wordings", "Words", "render"]


def render(kind: str, channel: str, language: str, facts: Facts) -> Words:
    """Return the words of one message; for many, load `Wordings` once.

    Raises:
        Unwritable: there are no words for this channel, or the facts lack what even the shipped text needs.
    """
    return Wordings.load().render(kind, channel, language, facts)


class Wordings:
    """All templates of the clinic, read in one query; good for one batch."""

    def __init__(self, rows: Iterable[MessageTemplate], default_language: str) -> None:
        self._own = {(row.kind, row.channel, row.language.lower()): row for row in rows}
        self._default = default_language
        self._unfit: dict[str, str] = {}  # key of a row: why it is not used, empty when it is
        self._told: set[str] = set()

    @classmethod
    def load(cls, rules: ContactRules | None = None) -> Self:
        """Read the templates in force; `rules` are read too unless they are given."""
        return cls(MessageTemplate.objects.filter(is_active=True), (rules or ContactRules.current()).default_language)

    def render(self, kind: str, channel: str, language: str, facts: Facts) -> Words:
        """Return the words. An own text that cannot be used is told as an alert, and the next one speaks instead."""
        for source in self.sources(kind, channel, language):
            try:
                if why := self._why_not(source):
                    raise Unwritable(why)
                return write(source, facts)
            except Unwritable as refusal:
                if source.row is None:
                    raise
                self._tell(source, refusal)
        raise Unwritable(NO_WORDS)

    def best(self, kind: str, channel: str, language: str) -> Source:
        """Return the text that speaks now, an unusable one passed over."""
        for source in self.sources(kind, channel, language):
            if not self._why_not(source):
                return source
        raise Unwritable(NO_WORDS)

    def sources(self, kind: str, channel: str, language: str) -> Iterator[Source]:
        """Yield what may speak, best first: es-MX, es, the clinic's default language, English; own before shipped."""
        for tag in chain(language, self._default):
            row = self._own.get((kind, channel, tag))
            if row is not None:
                yield Source(kind, channel, row.language, row.subject, row.body, str(row.pk))
            text = shipped.find(kind, channel, tag)
            if text is not None:
                yield Source(kind, channel, tag, text.subject, text.body)

    def _why_not(self, source: Source) -> str:
        """Return why a row could not be saved today: it was written past the checks, or before a word was denied."""
        if source.row is None:
            return ""
        if source.row not in self._unfit:
            found = template_checks.faults(source, template_checks.longest(TYPICAL_NAME))
            self._unfit[source.row] = next((sentences[0] for sentences in found.values()), "")
        return self._unfit[source.row]

    def _tell(self, source: Source, refusal: Unwritable) -> None:
        if source.row in self._told:
            return
        self._told.add(source.row)
        name = f"{source.kind}, {source.channel}, {source.language}"
        sentence = f"The clinic's own text ({name}) is not used, the next one is: {refusal}"
        alerts.open_once(cause(source.row), kind="message_template_unusable", sentence=sentence[:LONGEST_SENTENCE])


def cause(row: Any) -> str:
    """Return the cause of the alert that tells of one unusable text."""
    return f"message template:{row}"


def chain(language: str, default: str) -> list[str]:
    """Return the languages to try, as es-mx, es, then the default's, then en; each once."""
    tags = [step for tag in (language, default, "en") for step in steps(tag)]
    return list(dict.fromkeys(tags))


def steps(tag: str) -> list[str]:
    """Return a tag and what it specialises, as zh-hant-tw, zh-hant, zh."""
    parts = tag.lower().split("-")
    return ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
