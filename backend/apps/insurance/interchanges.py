"""Keeps files for partners from their bytes to the proof that they arrived; without it one could go twice, or never."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, Value, When
from django.utils import timezone
from psycopg import Cursor

from backend.apps.core import alerts, dispatch
from backend.apps.core.bases import uuid7
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.sealed import Sealed
from backend.apps.core.work import LEASE, WorkState
from backend.apps.insurance.models import (
    EligibilityInquiry,
    InsuranceClaim,
    Interchange,
    StatusInquiry,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.models.inquiries import InquiryStatus
from backend.apps.insurance.models.submissions import InterchangeStatus, SubmissionStatus
from backend.apps.insurance.numbering import Numbers
from backend.apps.users.models import User

Status = InterchangeStatus
NEVER_LEFT = (Status.READY, Status.STAGED)
UNSENT = (*NEVER_LEFT, Status.SPEAKING, Status.IN_DOUBT)
AT_REST = (WorkState.HELD, WorkState.FAILED)
AGAIN = "A person had it sent again."
INQUIRIES = (EligibilityInquiry, StatusInquiry)
REQUEUE = """
    INSERT INTO insurance_submission (id, created_at, updated_at, is_deleted, claim_id, partner_id, status, frequency,
                                      original_reference, claim_control_number, queued_at)
    SELECT uuidv7(), clock_timestamp(), clock_timestamp(), false, claim_id, partner_id, 'queued', frequency,
           original_reference, claim_control_number, clock_timestamp()
    FROM insurance_submission WHERE id = ANY(%s)"""


def store(
    partner: TradingPartner,
    kind: str,
    numbers: Numbers,
    chunks: Iterable[bytes],
    *,
    at: datetime,
    items: int,
    transactions: int,
    key: UUID | None = None,
) -> Interchange:
    """Keep the bytes of a file and ring for its sender; belongs into the transaction that put its claims into it.

    at: aware, in the clinic's zone, as in the file. key: the id it gets, where other rows name it already.
    """
    content = b"".join(chunks)
    interchange = Interchange(
        id=key or uuid7(),
        partner=partner,
        kind=kind,
        interchange_number=numbers.interchange,
        group_number=numbers.group,
        file_name=file_name(partner, at, numbers.interchange),
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        transactions=transactions,
        items=items,
        dedupe_key=f"{partner.pk}:{numbers.interchange}",
    )
    _insert(interchange)
    dispatch.ring(Interchange.task_name)
    return interchange


def _insert(row: Interchange) -> None:
    """Insert a row with its bytes as they are: Django would have megabytes quoted here, and parsed there."""
    fields, quote = Interchange._meta.concrete_fields, connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    table, values = quote(Interchange._meta.db_table), ", ".join(["%s"] * len(fields))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608  # our own names only
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:  # it binds at the server
        held = [field.pre_save(row, add=True) for field in fields]
        cursor.execute(statement, [value.content if isinstance(value, Sealed) else value for value in held])
    row._state.adding, row._state.db = False, connection.alias


def file_name(partner: TradingPartner, at: datetime, interchange_number: int) -> str:
    """Return a name that comes once and tells of nobody."""
    return f"{partner.file_prefix}{at:%Y%m%d%H%M%S}_{interchange_number:09}{partner.file_suffix}"


def alert_cause(key: Any) -> str:
    """Return under which cause a person is told that a file waits for a decision."""
    return f"claims file:{key}"


@transaction.atomic
def mark_sent(interchange: Interchange, *, at: datetime, proof: str = "") -> bool:
    """Note that a file has left, and with it its claims and questions; return whether that was news. Safe to repeat.

    at: when. proof: how we know, where it was not our own upload that told.
    """
    unsent = Interchange.objects.filter(pk=interchange.pk, status__in=UNSENT)
    again = When(status_reason__startswith=AGAIN, then=Value(f"{AGAIN} {proof}".strip()))
    reason = Case(again, default=Value(proof))
    if not unsent.update(status=Status.SENT, sent_at=at, status_reason=reason, updated_at=timezone.now()):
        return False
    alerts.clear(alert_cause(interchange.pk))
    _submit_claims(interchange.pk, at)
    moved = {"status": SubmissionStatus.SENT, "sent_at": at, "updated_at": timezone.now()}
    Submission.objects.filter(interchange=interchange.pk, status=SubmissionStatus.BATCHED).update(**moved)
    for model in INQUIRIES:
        rows = model.objects.filter(interchange=interchange.pk, status=InquiryStatus.BATCHED)
        rows.update(status=InquiryStatus.SENT, sent_at=at, updated_at=timezone.now())
    return True


def _submit_claims(key: Any, at: datetime) -> None:
    """Move the drafts of a file to submitted, all in one statement."""
    drafts = _claims_of(key, InsuranceClaim.Status.DRAFT, to=InsuranceClaim.Status.SUBMITTED)
    _lock(drafts)
    day = timezone.localdate(at, timezone=Clinic.current().zone)
    drafts.update(status=InsuranceClaim.Status.SUBMITTED, submission_date=day, updated_at=timezone.now())


def _claims_of(key: Any, status: str, *, to: str) -> Any:
    """Return the claims of a file that are in `status`, which may move to `to`."""
    if to not in InsuranceClaim.TRANSITIONS[InsuranceClaim.Status(status)]:
        raise DomainError("A claim cannot be moved so.")
    mine = Submission.objects.filter(interchange=key, status__in=(SubmissionStatus.BATCHED, SubmissionStatus.SENT))
    return InsuranceClaim.objects.filter(pk__in=mine.values("claim_id"), status=status)


def _lock(claims: Any) -> None:
    """Lock claims in the order in which all others lock them."""
    list(claims.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def send_again(interchange: Interchange, *, by: User | None) -> Interchange:
    """Put the same file, with the same number, back in line, where that can do no harm."""
    _refuse_moving(interchange)
    if interchange.status not in NEVER_LEFT and not interchange.partner.rejects_duplicates:
        raise DomainError(
            "This partner takes a file twice. Ask it whether the file arrived, and mark it as received or not received."
        )
    if interchange.status in (Status.SPEAKING, Status.IN_DOUBT):
        _set(interchange, status=Status.READY, spoken_at=None, status_reason=AGAIN)
    elif interchange.status not in NEVER_LEFT:
        raise DomainError("This file has been sent.")
    alerts.clear(alert_cause(interchange.pk))
    Interchange.work.back_in_line(interchange.pk)
    return _fresh(interchange)


@transaction.atomic
def mark_received(interchange: Interchange, *, by: User | None) -> Interchange:
    """Note that the partner has the file, as it told a person."""
    _refuse_moving(interchange)
    if not mark_sent(interchange, at=timezone.now(), proof="A person marked it as received."):
        raise DomainError("This file has been sent.")
    _set(interchange, work_state=WorkState.DONE, last_error="", leased_until=None)
    return _fresh(interchange)


def may_have_gone_twice(interchange: Interchange) -> bool:
    """Whether the partner may have had this file before its last try: only then a duplicate of it is our own."""
    on_its_way = interchange.spoken_at or interchange.staged_at
    is_open = interchange.status in (Status.STAGED, Status.SPEAKING, Status.IN_DOUBT)
    if on_its_way is None or is_open:
        return is_open or interchange.status_reason.startswith(AGAIN)
    put_back = interchange.due_at > on_its_way  # after a try that had come so far
    outlived = interchange.sent_at is not None and interchange.sent_at - on_its_way > LEASE  # its worker
    return put_back or outlived or interchange.status_reason.startswith(AGAIN)


@transaction.atomic
def mark_not_received(interchange: Interchange, *, by: User | None) -> Interchange:
    """Note that the partner never got the file, as it told a person; its claims and questions go into another one."""
    _refuse_moving(interchange)
    if (
        interchange.ta1_at
        or interchange.acknowledged_at
        or interchange.status in (Status.ACKNOWLEDGED, Status.REJECTED)
    ):
        raise DomainError("The partner has answered to this file: it was received.")
    if interchange.status == Status.STAGED and interchange.work_state == WorkState.WAITING and _is_served(interchange):
        raise DomainError(
            "Its next try finds out whether the partner has this file. Wait for that, or pause the partner."
        )
    requeue(interchange, reason="The partner never got this file.")
    alerts.clear(alert_cause(interchange.pk))
    _set(
        interchange,
        status=Status.REJECTED,
        status_reason="A person marked it as not received.",
        work_state=WorkState.DONE,
        last_error="",
        leased_until=None,
    )
    return _fresh(interchange)


@transaction.atomic
def requeue(interchange: Interchange, *, reason: str) -> int:
    """Queue all claims and questions of a file for another one, as they are; return how many. Safe to repeat.

    What a payer has taken in by now, or judged, or a person moved by hand, stays where it is.
    """
    Interchange.objects.select_for_update(no_key=True).only("pk").get(pk=interchange.pk)
    claims = _claims_of(interchange.pk, InsuranceClaim.Status.SUBMITTED, to=InsuranceClaim.Status.DRAFT)
    _lock(claims)
    claims.update(status=InsuranceClaim.Status.DRAFT, submission_date=None, updated_at=timezone.now())
    rows = Submission.objects.select_for_update(of=("self",)).filter(
        interchange=interchange.pk,
        status__in=(SubmissionStatus.BATCHED, SubmissionStatus.SENT),
        claim__status=InsuranceClaim.Status.DRAFT,
    )
    keys = [row.pk for row in rows.only("pk")]
    moved = {"status": SubmissionStatus.REQUEUED, "status_reason": reason, "updated_at": timezone.now()}
    Submission.objects.filter(pk__in=keys).update(**moved)
    with connection.cursor() as cursor:
        cursor.execute(REQUEUE, [keys])
    open_again = {"status": InquiryStatus.QUEUED, "interchange": None, "sent_at": None, "updated_at": timezone.now()}
    questions = [
        model.objects.filter(interchange=interchange.pk, status__in=(InquiryStatus.BATCHED, InquiryStatus.SENT)).update(
            **open_again
        )
        for model in INQUIRIES
    ]
    return len(keys) + sum(questions)


def _refuse_moving(interchange: Interchange) -> None:
    """Lock the row; a person decides only while no machine works on it."""
    interchange.refresh_from_db(from_queryset=Interchange._base_manager.select_for_update(no_key=True).defer("content"))
    if interchange.work_state == WorkState.RUNNING:
        raise DomainError("This file is being sent right now. Try again in some minutes.")


def _is_served(interchange: Interchange) -> bool:
    return interchange.partner.is_active and interchange.partner.paused_at is None


def _set(interchange: Interchange, **changes: Any) -> None:
    Interchange.objects.filter(pk=interchange.pk).update(**changes, updated_at=timezone.now())


def _fresh(interchange: Interchange) -> Interchange:
    interchange.refresh_from_db(from_queryset=Interchange._base_manager.defer("content"))
    return interchange
