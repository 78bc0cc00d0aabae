"""What a biller does to a claim from the console; what cannot be undone asks first, each change says how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.insurance import correcting, permissions, services, status_requests, submitting
from backend.apps.insurance.models import InsuranceClaim, Submission
from backend.apps.insurance.models.submissions import LIVE
from backend.apps.interop import claim_entries, console
from backend.apps.interop.claim_board import BILLING
from backend.apps.interop.claim_entries import Asked

POST = ("POST",)
CLAIM = permissions.CLAIM
UNJUDGED = ("submitted", "pending", "accepted", "appealed")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done to a claim.

    told: what it does; done: what it did; statuses: of a claim it is for; ways: how its submission on the way may
    stand, "" for none; asks: what it wants to know; warns: what cannot be taken back, for which it asks first;
    leads: whether to the claim it made; unnumbered: only for a claim whose number at the payer nobody knows.
    """

    verb: str
    label: str
    told: str
    done: str
    service: Callable[..., Any]
    statuses: tuple[str, ...]
    ways: tuple[str, ...] = ("", *LIVE)
    asks: Asked | None = None
    warns: str = ""
    leads: bool = False
    unnumbered: bool = False

    def fits(self, claim: InsuranceClaim, live: Submission | None) -> bool:
        is_wanted = not (self.unnumbered and claim.insurance_reference_number)
        return is_wanted and claim.status in self.statuses and (live.status if live else "") in self.ways


ACTIONS = (
    Action(
        "submit",
        "Submit",
        "Checks it once more. It leaves with the next file; where no partner reaches the payer, send it yourself.",
        "Submitted. What leaves by a partner waits for the next file.",
        submitting.submit,
        ("draft",),
        ways=("",),
    ),
    Action(
        "withdraw",
        "Withdraw",
        "Takes it out of the line, so that it can be changed. Once a file holds it this is refused.",
        "It is a draft again and waits for nothing.",
        submitting.withdraw,
        ("draft",),
        ways=("queued",),
    ),
    Action(
        "reopen",
        "Reopen",
        "Makes it a draft again, to be put right and submitted under its own number.",
        "It is a draft again.",
        services.reopen,
        ("rejected",),
    ),
    Action(
        "appeal",
        "Appeal",
        "Notes that you sent an appeal to the payer.",
        "Noted. The next payment about this claim decides.",
        services.appeal,
        ("denied", "paid"),
        warns="The claim counts as appealed until the payer answers. This only notes it: the appeal itself you send.",
    ),
    Action(
        "correct",
        "Correct",
        "Makes a draft that replaces this claim at the payer once it is submitted.",
        "This is the correction. Change it, then submit it.",
        correcting.correct,
        ("accepted", "paid", "denied", "appealed"),
        leads=True,
    ),
    Action(
        "void",
        "Take back",
        "Makes a draft that takes this claim back at the payer once it is submitted.",
        "This draft takes the claim back. Submit it to do so.",
        correcting.void,
        ("accepted", "paid", "denied", "appealed"),
        warns="Once the draft that is made now is submitted, the payer takes back the claim and what it paid for it. "
        "Bill the service again only after the payer has said that it did.",
        leads=True,
    ),
    Action(
        "ask_status",
        "Ask the payer",
        "Asks where the claim stands. The answer appears in the story below.",
        "The payer is asked with the next file.",
        status_requests.ask_status,
        ("submitted", "pending", "accepted", "appealed"),
        ways=LIVE,
    ),
    Action(
        "accept",
        "It was taken in",
        "Notes that the payer has the claim and decides on it.",
        "Noted. The payer decides on it.",
        services.accept,
        ("submitted", "pending"),
        asks=claim_entries.ACCEPTED,
    ),
    Action(
        "mark_as_paid",
        "It was paid",
        "Notes what the payer paid, as its notice says. A payment that comes in a file is posted by itself.",
        "Noted. The ledger holds the payment.",
        services.mark_as_paid,
        UNJUDGED,
        asks=claim_entries.PAID,
        warns="The payment goes into the ledger under your name. It cannot be taken back here: only an appeal opens "
        "the claim again.",
    ),
    Action(
        "deny",
        "It was denied",
        "Notes that the payer judged the claim and pays nothing.",
        "Noted. It stands on the list of denied claims.",
        services.deny,
        UNJUDGED,
        asks=claim_entries.DENIED,
        warns="The claim counts as judged and not paid. It cannot be taken back here: only an appeal opens it again.",
    ),
    Action(
        "reject",
        "It was turned back",
        "Notes that it came back unjudged: for a missing number, say.",
        "Noted. Reopen it, put it right, and submit it again.",
        services.reject,
        ("submitted", "pending", "accepted"),
        asks=claim_entries.REJECTED,
    ),
    Action(
        "note_payer_number",
        "Enter the payer's number",
        "A correction names it.",
        "Noted.",
        services.note_payer_number,
        ("accepted", "paid", "denied", "appealed"),
        asks=claim_entries.NUMBERED,
        unnumbered=True,
    ),
)
BY_VERB = {action.verb: action for action in ACTIONS}


def possible(request: HttpRequest, claim: InsuranceClaim, live: Submission | None) -> list[Action]:
    """Return what this person may do to the claim as it stands."""
    return [each for each in ACTIONS if may(request.user, each.verb, CLAIM) and each.fits(claim, live)]


@console.page(BILLING, "retrieve", methods=POST)
def act(request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
    """Do one thing to one claim; what cannot be taken back only after a second yes."""
    action = BY_VERB.get(verb)
    if action is None or not may(request.user, verb, CLAIM):
        return console.refused(request, 403, "Your role may not do this.")
    row = get_object_or_404(InsuranceClaim.objects.visible_to(request.user), pk=pk)
    back = reverse("console:claim", args=[pk])
    if action.warns and not request.POST.get("confirmed") and _is_right(request, action):
        return confirm(request, f"{action.label}: claim {row.claim_number}", action.warns, action.label, back=back)
    return console.attempt(request, verb, "insuranceclaim", lambda: _done(request, action, row), back=back)


def _is_right(request: HttpRequest, action: Action) -> bool:
    """Whether what was entered can be done: nobody is asked whether they are sure of what is refused anyway."""
    try:
        if action.asks:
            action.asks.given(request.POST)
    except DomainError:
        return False
    return True


def _done(request: HttpRequest, action: Action, row: InsuranceClaim) -> str | tuple[str, str]:
    given = action.asks.given(request.POST) if action.asks else {}
    made = action.service(row, by=console.person(request), **given)
    console.note(request, action.verb, row, fields=sorted(given))
    return (action.done, reverse("console:claim", args=[made.pk])) if action.leads else action.done


def confirm(request: HttpRequest, title: str, warning: str, label: str, *, back: str) -> HttpResponse:
    """Ask once more, with what follows as a sentence; the form leads to where it came from."""
    kept = [(name, text) for name, texts in request.POST.lists() for text in texts if name != "csrfmiddlewaretoken"]
    context = {"title": title, "warning": warning, "label": label, "back": back, "kept": kept, "to": request.path}
    return console.render(request, "interop/claims/confirm.html", context)
