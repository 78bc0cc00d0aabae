"""The worklists of a biller: rejected, denied, running out, silent, never sent; else each had to be searched for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.permissions import may
from backend.apps.insurance import denials, permissions, timely_filing, watching
from backend.apps.insurance.models import InsuranceClaim, Submission
from backend.apps.insurance.models.submissions import LIVE
from backend.apps.interop import claim_board, claim_words, console, paging
from backend.apps.interop.claim_board import BILLING

POST = ("POST",)
MOST_ROWS = 100
NOTE_LONGEST = 200
STAGES = {"open": ("in time", ""), "75": ("hurry", "wait"), "90": ("last days", "bad"), "past": ("too late", "bad")}


@dataclass(frozen=True, slots=True)
class Work:
    """One list: its name, what it holds as a sentence, and its claims, those to begin with first."""

    title: str
    told: str
    claims: Callable[[QuerySet[Any]], QuerySet[Any]]


def returned(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return drafts with an earlier try and none on its way, with `came_back` (why), those that wait longest first."""
    tries = Submission.objects.filter(claim=OuterRef("pk"))
    last = tries.order_by("-queued_at", "-pk").values("status_reason")[:1]
    found = rows.filter(Exists(tries), ~Exists(tries.filter(status__in=LIVE)), status="draft")
    return found.annotate(came_back=Subquery(last)).order_by("updated_at", "pk")


LISTS = {
    "returned": Work(
        "Came back",
        "Drafts that were on their way: taken out of a file by the check, in a file that was turned back, or reopened. "
        "Put them right and submit them again.",
        returned,
    ),
    "rejected": Work(
        "Rejected",
        "Turned back before anybody judged them. Reopen, put right, submit: the claim keeps its number.",
        lambda rows: rows.filter(status="rejected").order_by("response_date", "pk"),
    ),
    "denied": Work(
        "Denied",
        "Judged, and not paid or only in part. Each tells what to do next; close what nothing more is done about.",
        lambda rows: denials.worklist(rows).order_by("response_date", "pk"),
    ),
    "filing": Work(
        "Running out",
        "Not accepted yet, and their payer takes them only for so long after the service.",
        lambda rows: timely_filing.running(rows, Clinic.today()).exclude(stage=timely_filing.OPEN),
    ),
    "silent": Work(
        "Silent",
        "Sent, and nothing more was said of them in the time this partner usually takes. Ask the payer.",
        watching.unanswered,
    ),
    "unbilled": Work(
        "Not submitted",
        "Drafts that have been lying here for days. Check and submit them.",
        lambda rows: watching.unbilled(rows, timezone.now()),
    ),
}


@console.page(BILLING, "list")
def work(request: HttpRequest, name: str = "rejected") -> HttpResponse:
    """Show one list, and how many claims stand on each of them."""
    chosen, seen = LISTS.get(name), InsuranceClaim.objects.visible_to(request.user)
    if chosen is None:
        raise Http404
    groups = denials.counts(seen) if name == "denied" else []
    group = request.GET.get("group", "")
    group = group if any(each.key == group for each in groups) else ""
    found = denials.worklist(seen, key=group).order_by("response_date", "pk") if group else chosen.claims(seen)
    part = paging.in_order(_told(found), request.GET, size=MOST_ROWS)
    ids = [str(row.pk) for row in part.rows]
    detail = {"count": len(ids), "ids": ids, "list": name, **audit.patients_of(part.rows)}
    audit.record(request, "console.list", "insuranceclaim", detail=detail)
    context = {
        "title": f"{chosen.title}: claims to work on",
        "name": name,
        "chosen": chosen,
        "lists": [(key, each.title, claim_board.so_many(each.claims(seen))) for key, each in LISTS.items()],
        "rows": _rows(name, part.rows),
        "part": part,
        "groups": groups,
        "group": group,
        "close": name == "denied" and may(request.user, "close_denial", permissions.CLAIM),
    }
    return console.render(request, "interop/claims/work.html", context)


def _rows(name: str, claims: Sequence[Any]) -> list[dict[str, Any]]:
    """Return each claim with how it stands and what its list tells of it; two queries."""
    live = claim_board.live_of(claims)
    refused = denials.refusals(claims) if name == "denied" else {}
    return [
        {
            "claim": claim,
            "state": claim_words.standing(claim, live.get(claim.pk)),
            "live": live.get(claim.pk),
            "refusals": refused.get(claim.pk, []),
            "clock": STAGES[claim.stage] if name == "filing" else None,
        }
        for claim in claims
    ]


@console.page(BILLING, "retrieve", methods=POST)
def close(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a refusal off the list, for a reason."""
    if not may(request.user, "close_denial", permissions.CLAIM):
        return console.refused(request, 403, "Your role may not do this.")

    def act() -> str:
        row = get_object_or_404(InsuranceClaim.objects.visible_to(request.user), pk=pk)
        denials.close_denial(row, by=console.person(request), reason=request.POST.get("reason", "")[:NOTE_LONGEST])
        console.note(request, "close_denial", row)
        return "Closed. A later refusal puts it on the list again."

    back = reverse("console:claim-work-list", args=["denied"])
    return console.attempt(request, "close_denial", "insuranceclaim", act, back=back)


@console.page(BILLING, "retrieve")
def proof(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show what proves that a claim was filed, to be printed and sent with an appeal."""
    row = get_object_or_404(_told(InsuranceClaim.objects.visible_to(request.user)), pk=pk)
    console.note(request, "filing_proof", row)
    context: dict[str, Any] = {"title": f"Proof of filing: claim {row.claim_number}", "row": row}
    try:
        context["proof"] = timely_filing.proof(row)
    except DomainError as refusal:
        context["missing"] = str(refusal)
    return console.render(request, "interop/claims/proof.html", context)


def _told(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.select_related("patient_insurance__patient", "patient_insurance__insurance_plan__provider")
