"""Says how a claim stands and what is to be done next, in a biller's words; else a page would show columns of codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backend.apps.insurance.models import InsuranceClaim, Submission

STATES: Mapping[str, str] = MappingProxyType(
    {
        "draft": "drafts",
        "queued": "queued",
        "batched": "in a file",
        "submitted": "sent, silent",
        "pending": "taken in",
        "accepted": "accepted",
        "rejected": "rejected",
        "denied": "denied",
        "appealed": "appealed",
        "paid": "paid",
    }
)
TONES: Mapping[str, str] = MappingProxyType(
    {"rejected": "bad", "denied": "bad", "paid": "good", "draft": "", "accepted": "good"}
)
ONE: Mapping[str, str] = MappingProxyType({**STATES, "draft": "draft"})
NEXT: Mapping[str, str] = MappingProxyType(
    {
        "draft": "Check it, put right what is found, and submit it.",
        "queued": "It waits for the next file. Withdraw it to change it.",
        "batched": "Its file has not left yet. Nothing is to be done.",
        "submitted": "Nobody has answered yet. Ask the payer when it stays silent.",
        "pending": "The clearinghouse or the payer has it. Wait for the word of the payer.",
        "accepted": "The payer decides on it. Wait for the payment.",
        "rejected": "It was turned back unjudged: reopen it, put it right, and submit it again.",
        "denied": "It was judged and not paid: appeal, correct it, or close the denial.",
        "appealed": "The payer looks at it again. Its next payment decides.",
        "paid": "Nothing is to be done.",
    }
)
PAPER = "It went out on paper or by a portal: note here what the payer answers."
PAUSED = "Nothing leaves to its partner at present. It waits until somebody resumes the partner."
OWES = "Paid. The patient still owes a share: bill it."
CLOSED = "The denial is closed. Nothing is to be done."


@dataclass(frozen=True, slots=True)
class Standing:
    """How a claim stands: a key of STATES, its word and tone, and the next step as a sentence."""

    key: str
    word: str
    tone: str
    step: str


def standing(claim: InsuranceClaim, live: Submission | None) -> Standing:
    """Return how a claim stands. live: its submission that is on its way, if any."""
    waits = live is not None and live.status in {"queued", "batched"}
    key = live.status if live is not None and waits and claim.status == "draft" else claim.status
    return Standing(key, ONE[key], TONES.get(key, "wait"), _step(claim, live, key))


def _step(claim: InsuranceClaim, live: Submission | None, key: str) -> str:
    if live is not None and key in {"queued", "batched"} and live.partner.paused_at:
        return PAUSED
    if key == "submitted" and live is None:
        return PAPER
    if key == "denied" and claim.denial_closed_at:
        return CLOSED
    if key == "paid" and claim.patient_responsibility:
        return OWES
    return NEXT[key]
