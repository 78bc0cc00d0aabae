"""Asks a biller what a payer answered on paper, by the API's own forms; else such a claim would never be settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from rest_framework.exceptions import ErrorDetail

from backend.apps.core.exceptions import DomainError
from backend.apps.core.serializers import Form
from backend.apps.insurance import serializers

MOST_TOLD = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of a form. kind: as HTML names it; keys: which keyboard a phone shows; most: characters."""

    name: str
    label: str
    kind: str = "text"
    keys: str = "text"
    most: int = 50
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action wants to know. form: of the API's verb, which checks it."""

    form: type[Form]
    entries: tuple[Entry, ...]

    def given(self, query: QueryDict) -> dict[str, Any]:
        """Return what the form says; what is left empty is left out.

        Raises:
            DomainError: with the label of what is wrong, and why.
        """
        told = {entry.name: query.get(entry.name, "").strip() for entry in self.entries}
        form = self.form(data={name: text for name, text in told.items() if text})
        if not form.is_valid():
            labels = {entry.name: entry.label for entry in self.entries}
            raise DomainError(" ".join(f"{labels[name]}: {_words(why)}" for name, why in form.errors.items()))
        return form.validated_data  # type: ignore[no-any-return]  # DRF has no types


def _words(why: list[ErrorDetail]) -> str:
    return " ".join(map(str, why))


def money(name: str, label: str, *, needed: bool = False) -> Entry:
    return Entry(name, label, keys="decimal", most=13, needed=needed)


REASON = Entry("reason", "What the payer gave as its reason", most=MOST_TOLD, needed=True)
NUMBER = Entry("payer_claim_number", "The payer's number of the claim, if it tells one")
ACCEPTED = Asked(serializers.ReferenceForm, (Entry("reference", NUMBER.label),))
REJECTED = Asked(serializers.ReasonForm, (REASON,))
DENIED = Asked(serializers.DenialForm, (REASON, NUMBER))
PAID = Asked(
    serializers.PaymentForm,
    (
        money("amount", "Paid by the payer in all", needed=True),
        NUMBER,
        money("patient_responsibility", "The patient's share"),
        money("allowed", "Allowed of the billed amount"),
        Entry("on", "Day of the payment, today when left out", kind="date"),
        Entry("reference", "Number of the check or transfer", most=80),
    ),
)
NUMBERED = Asked(serializers.NumberForm, (Entry("payer_claim_number", "The payer's number of the claim", needed=True),))
