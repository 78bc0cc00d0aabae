"""What all questions to payers share; without it each kind would be asked twice, or be waited for, in its own way."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.insurance.models import EligibilityInquiry, Interchange, PartnerPayer, StatusInquiry, TradingPartner
from backend.apps.insurance.models.inquiries import OPEN, InquiryStatus

Question = TypeVar("Question", EligibilityInquiry, StatusInquiry)

ANSWER_WITHIN = timedelta(hours=48)
RECENT = timedelta(days=7)  # within which a question counts as the same try
BUILD = "eligibility.build"  # the task that writes questions into files
IN_A_FILE = (InquiryStatus.BATCHED, InquiryStatus.SENT)


def new_trace() -> str:
    """Return a TRN02 that nobody has had: 24 random capitals and digits."""
    return uuid.uuid4().hex[:24].upper()


def routes(**answers: bool) -> QuerySet[PartnerPayer]:
    """Return the ways to payers that are in use and answer: `answers_eligibility=True`, say."""
    return PartnerPayer.objects.filter(is_active=True, partner__is_active=True, partner__is_deleted=False, **answers)


def put(rows: Sequence[Question]) -> int:
    """Save questions and return how many; what the payer is being asked already is left out. Safe to repeat."""
    if not rows:
        return 0
    rows_of: Any = type(rows[0]).objects
    rows_of.bulk_create(rows, ignore_conflicts=True, batch_size=1000)
    return int(rows_of.filter(pk__in=[row.pk for row in rows]).count())


def hasten(questions: QuerySet[Any]) -> None:
    """Ask those now that were to be asked later."""
    questions.filter(status=InquiryStatus.QUEUED, queued_at__gt=Now()).update(queued_at=Now(), updated_at=Now())


def partners(model: type[Question]) -> list[TradingPartner]:
    """Return the partners for whom questions wait and who may be spoken to."""
    waiting = _waiting(model).values("partner")
    rows = TradingPartner.objects.filter(pk__in=waiting, is_active=True, paused_at__isnull=True)
    return list(rows.order_by("name"))


def lock_queued(model: type[Question], partner: TradingPartner, *, limit: int) -> list[Any]:
    """Return the keys of up to `limit` questions for a file, the oldest first, locked until the transaction ends."""
    rows = _waiting(model).filter(partner=partner).select_for_update(skip_locked=True, of=("self",), no_key=True)
    return list(rows.order_by("queued_at", "pk").values_list("pk", flat=True)[:limit])


def note_batched(model: type[Question], keys: Iterable[Any], interchange: Interchange) -> int:
    """Say in which file the questions are, in the transaction that stores it."""
    rows: Any = model.objects.filter(pk__in=list(keys), status=InquiryStatus.QUEUED)
    return int(rows.update(status=InquiryStatus.BATCHED, interchange=interchange, updated_at=Now()))


def refuse(question: EligibilityInquiry | StatusInquiry, code: str) -> None:
    """Put aside a question that cannot be written; code: which rule of the form it breaks, without a value."""
    rows: Any = type(question).objects.filter(pk=question.pk, status=InquiryStatus.QUEUED)
    rows.update(status=InquiryStatus.REJECTED, codes=[code[:80]], answered_at=Now(), updated_at=Now())


@transaction.atomic
def expire(model: type[Question], *same: str) -> tuple[int, list[Question]]:
    """Give up questions that nobody answered for two days or whose file was turned back.

    Returns how many, and those to ask once more: the first of their kind to be given up in a week. same: the fields by
    which two questions are the same one.
    """
    late = Q(status=InquiryStatus.SENT, sent_at__lt=Now() - ANSWER_WITHIN)
    turned_back = Q(status__in=IN_A_FILE, interchange__status=Interchange.Status.REJECTED)
    rows: Any = model.objects.filter(late | turned_back).select_for_update(skip_locked=True, of=("self",), no_key=True)
    gone: list[Question] = list(rows.order_by("pk")[:5000])
    changed = {"status": InquiryStatus.EXPIRED, "updated_at": Now()}
    model.objects.filter(pk__in=[row.pk for row in gone]).update(**changed)
    return len(gone), _first_time(model, gone, same)


def _first_time(model: type[Question], gone: list[Question], same: tuple[str, ...]) -> list[Question]:
    rows: Any = model.objects.filter(
        status=InquiryStatus.EXPIRED,
        created_at__gt=timezone.now() - RECENT,
        **{f"{same[0]}__in": [getattr(row, same[0]) for row in gone]},
    )
    counted = rows.order_by().values_list(*same).annotate(times=Count("pk"))
    twice = {tuple(values[:-1]) for values in counted if values[-1] > 1}
    return [row for row in gone if tuple(getattr(row, name) for name in same) not in twice]


def _waiting(model: type[Question]) -> QuerySet[Any]:
    rows: Any = model.objects
    return rows.filter(status=InquiryStatus.QUEUED, queued_at__lte=Now())  # type: ignore[no-any-return]  # of two models


def open_ones(model: type[Question], **about: Any) -> QuerySet[Any]:
    """Return the questions about something that are not answered yet."""
    rows: Any = model.objects
    return rows.filter(status__in=OPEN, **about)  # type: ignore[no-any-return]  # of two models
