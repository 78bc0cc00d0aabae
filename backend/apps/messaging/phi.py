"""Finds words that would tell a stranger's eye why somebody is a patient; without it a template would send them out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import F, QuerySet, TextField, Value

from backend.apps.doctors.models import Doctor, Specialization
from backend.apps.messaging import phi_words


class Finding(NamedTuple):
    """A word a text may not hold, as it stands there, and why."""

    word: str
    why: str


def _pattern(words: str) -> re.Pattern[str]:
    """Return what matches any of the words between others; a hyphen stands for a space, a hyphen or nothing."""
    told = sorted(words.split(), key=len, reverse=True)
    parts = [re.escape(word).replace(r"\-", r"[\s-]?").replace(r"\*", r"\w*") for word in told]
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")


DENIED = tuple(
    (_pattern(words), why)
    for words, why in (
        (phi_words.VISITS, "it tells what kind of visit it is"),
        (phi_words.SPECIALTIES, "it tells what kind of doctor it is"),
        (phi_words.ILLNESSES, "it tells what the visit is about"),
        (phi_words.IDENTITY, "it asks for or tells who the patient is"),
        (phi_words.MONEY, "reminders are exempt from prior consent only without advertising or billing"),
    )
)
NUMBER = re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")
DOCTOR = re.compile(  # of any case, but for what usually follows "your doctor"
    r"\b(?i:dra?|doctora?)\.?\s+(?!(?:will|would|can|may|is|was|has|and|or|at|in|on|to|for|by|who|if|when|you|wants"
    r"|sees|asks|le|lo|la|les|se|y|o|en|que|si|puede|va|ha)\b)[^\W\d_]\w*"
)
SHORTENER = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, phi_words.SHORTENERS))})(?![\w.-]*\w)", re.IGNORECASE)


def findings(text: str) -> list[Finding]:
    """Return what a text may not hold, each word once; a match is of the words, whatever their case and accents."""
    shown = shown_as_read(text)
    plain = folded(shown)
    found = [Finding(shown[at.start() : at.end()], why) for denied, why in DENIED for at in denied.finditer(plain)]
    found += [Finding(at[0], "it has the form of a social security number") for at in NUMBER.finditer(plain)]
    found += [Finding(at[0], "it names a doctor") for at in DOCTOR.finditer(shown)]
    found += [
        Finding(at[0], "a shortened link tells its owner who the patients are") for at in SHORTENER.finditer(shown)
    ]
    return list(dict.fromkeys(found))


def on_file(text: str) -> list[Finding]:
    """Return names of our doctors and specialties that stand in a text, in two queries whatever their number."""
    shown = shown_as_read(text)
    names = _contained(Doctor.objects.exclude(user__last_name=""), "user__last_name", shown, "contains")
    kinds = _contained(Specialization.objects.all(), "name", shown, "icontains")
    return [Finding(name, "it is the name of a doctor") for name in names if _stands_in(name, shown)] + [
        Finding(name, "it is a specialty of this clinic") for name in kinds if _stands_in(name.lower(), shown.lower())
    ]


def shown_as_read(text: str) -> str:
    """Return a text without what a reader does not see: soft hyphens, zero-width letters; one code per letter."""
    composed = unicodedata.normalize("NFKC", text)
    return "".join(letter for letter in composed if unicodedata.category(letter) != "Cf")


def folded(text: str) -> str:
    """Return a text of the same length in small letters without accents."""
    return "".join(_small(letter) for letter in text)


def _small(letter: str) -> str:
    small = unicodedata.normalize("NFD", letter.lower())[:1]
    return small or letter


def _contained(rows: QuerySet[Any], path: str, text: str, how: str) -> Iterator[str]:
    """Yield the values of a column that occur in `text`, each once."""
    found = rows.annotate(told=Value(text, output_field=TextField())).filter(**{f"told__{how}": F(path)})
    yield from found.order_by(path).values_list(path, flat=True).distinct()


def _stands_in(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
