"""Acts when a file that was given up, or turned back, arrived after all; without it its claims would go twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Clinic
from backend.apps.insurance.models import AckEvent, InsuranceClaim, Interchange, Stage, Submission
from backend.apps.insurance.models.submissions import LIVE

Status = InsuranceClaim.Status
KIND = "claims_sent_twice"
ARRIVED = "The first file arrived after all."
REFUSED = frozenset({"R", "M", "W", "X"})  # of a file, a group or a transaction


class First(NamedTuple):
    """A try of a claim that nobody waited for any more, and the file it went in."""

    pk: UUID
    interchange_id: UUID | None


def turned_back() -> Q:
    """Return the condition on tries that their file or transaction was refused: no payer has seen those.

    It has, perhaps, where a partner says anything else of them at that stage or later.
    """
    told = AckEvent.objects.filter(submission=OuterRef("pk"))
    is_refused = Exists(told.filter(kind__in=("TA1", "999"), code__in=REFUSED, was_applied=True))
    return Q(is_refused) & ~Q(Exists(told.filter(stage__gte=Stage.SYNTAX).exclude(code__in=REFUSED)))


def firsts(claims: Collection[UUID]) -> dict[UUID, First]:
    """Return by claim the last try of it that was given up; it may have arrived.

    One that was turned back counts only where there is no other, and the next one waits here still.
    """
    rows = Submission.objects.filter(claim__in=claims, status=Submission.Status.REQUEUED)
    waiting = Submission.objects.filter(claim=OuterRef("claim"), status=Submission.Status.QUEUED)
    doubtful = rows.annotate(is_refused=turned_back()).filter(Q(is_refused=False) | Exists(waiting))
    found = doubtful.order_by("-is_refused", "pk").values_list("claim_id", *First._fields)
    return {claim: First(*rest) for claim, *rest in found}


def revive(arrived: Mapping[UUID, First]) -> set[UUID]:
    """Take back the second try of claims, which are locked, whose first one arrived; return those claims.

    What is in the next file already cannot be held back: a person is told.
    """
    if not arrived:
        return set()
    second = Submission.objects.filter(claim__in=list(arrived), status__in=LIVE)
    waiting = second.filter(status=Submission.Status.QUEUED).select_for_update(no_key=True).order_by("pk")
    back = dict(waiting.values_list("claim_id", "pk"))
    _tell(
        {claim: arrived[claim] for claim in second.exclude(claim__in=list(back)).values_list("claim_id", flat=True)},
        cause="sent twice",
        one="A claim that went out again had arrived the first time; the payer may get it twice.",
        many="{} claims that went out again had arrived the first time; the payer may get them twice.",
    )
    said = {"status_reason": ARRIVED, "updated_at": timezone.now()}
    Submission.objects.filter(pk__in=list(back.values())).update(status=Submission.Status.WITHDRAWN, **said)
    again = [arrived[claim].pk for claim in back]
    Submission.objects.filter(pk__in=again).update(status=Submission.Status.SENT, **said)
    drafts = InsuranceClaim.objects.filter(pk__in=list(back), status=Status.DRAFT)
    drafts.update(status=Status.SUBMITTED, submission_date=Clinic.today(), updated_at=timezone.now())
    return set(back)


def tell_of_taken_in(claims: Mapping[UUID, First]) -> None:
    """Tell of drafts that came back, though their partner has taken them in."""
    _tell(
        claims,
        cause="taken in after all",
        one="A claim that came back was taken in after all; do not send it again.",
        many="{} claims that came back were taken in after all; do not send them again.",
    )


def _tell(claims: Mapping[UUID, First], *, cause: str, one: str, many: str) -> None:
    """Tell once of each file; of the claim itself where it is only one."""
    for file, of_it in _by_file(claims.items()).items():
        is_one = len(of_it) == 1
        alerts.open_once(
            f"claims {cause}:{min(of_it) if is_one else file}",
            kind=KIND,
            sentence=one if is_one else many.format(len(of_it)),
            subject=InsuranceClaim(pk=min(of_it)) if is_one else Interchange(pk=file),
        )


def _by_file(claims: Iterable[tuple[UUID, First]]) -> dict[UUID | None, set[UUID]]:
    found: dict[UUID | None, set[UUID]] = {}
    for claim, first in claims:
        found.setdefault(first.interchange_id, set()).add(claim)
    return found
