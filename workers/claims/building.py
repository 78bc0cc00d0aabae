"""Makes files of queued claims, each in one transaction; without it claims would never leave, or leave twice."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.bases import uuid7
from backend.apps.core.bulk import write_each
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import claim_facts, fact_parts, interchanges, numbering
from backend.apps.insurance.facts import Claim, Parts
from backend.apps.insurance.models import BillingEntity, InsuranceClaim, Interchange, Submission, TradingPartner
from integrations.x12.claim_837p import Writer837P
from integrations.x12.claim_records import Parts as FileParts
from integrations.x12.claim_records import Placed, Receiver, Submitter
from integrations.x12.text import NotWritable
from workers.beats import beating
from workers.celery_app import app
from workers.claims import checking, partners
from workers.records.envelopes import envelope
from workers.runner import HandlerBug, attempt, told
from workers.tallying import Tally

BUDGET_S = 120.0  # after that no file is begun; the longest takes some seconds more
QUEUED = """
    SELECT sent.id::text, claim.id::text, COALESCE(claim.billing_entity_id::text, ''), plan.provider_id::text,
           claim.control_number, claim.status = 'draft' AND NOT claim.is_deleted
    FROM (SELECT id, claim_id, queued_at FROM insurance_submission
          WHERE partner_id = %s AND status = 'queued' AND NOT is_deleted
          ORDER BY queued_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED) sent
    JOIN insurance_insuranceclaim claim ON claim.id = sent.claim_id
    JOIN insurance_patientinsurance cover ON cover.id = claim.patient_insurance_id
    JOIN insurance_insuranceplan plan ON plan.id = cover.insurance_plan_id
    ORDER BY sent.queued_at, sent.id"""
BATCHED = """
    UPDATE insurance_submission SET status = 'batched', interchange_id = %s, transaction_number = data.transaction,
        batch_reference = data.reference, claim_control_number = data.control_number,
        first_segment = data.first_segment, last_segment = data.last_segment, updated_at = now()
    FROM unnest(string_to_array(%s, ',')::uuid[], string_to_array(%s, ','), string_to_array(%s, ','),
                string_to_array(%s, ','), string_to_array(%s, ',')::int[], string_to_array(%s, ',')::int[])
        AS data (id, transaction, reference, control_number, first_segment, last_segment)
    WHERE insurance_submission.id = data.id"""
WITHDRAWN = """
    UPDATE insurance_submission SET status = 'withdrawn', status_reason = data.reason, updated_at = now()
    FROM unnest(%s::uuid[], %s::text[]) AS data (id, reason) WHERE insurance_submission.id = data.id"""
BUILDING = "building files"
CHUNK = 2000  # claims that are checked and rendered together
FIRST = 1000  # claims read before the others, so that there is work while those come
TURN_S = 0.0005  # of a thread that works while the other one has got something from the database
LONGEST_REASON = 300


class Queued(NamedTuple):
    """A queued claim with what decides where in the file it stands."""

    submission: str
    claim: str
    billing: str
    payer: str
    control_number: str
    is_draft: bool


class Built(NamedTuple):
    """What became of the queued claims of one file: how many are in it, how many went back to the desk."""

    batched: int
    withdrawn: int


@app.task(name="claims.build")  # type: ignore[untyped-decorator]  # Celery has no types
def build_due() -> str:
    """Make files for each partner until nothing is queued; safe to run twice, also at once.

    Raises:
        HandlerBug: after the last partner; what keeps the files of one holds up no other.
    """
    counts, bugs, until = Counter[str](), list[str](), time.monotonic() + BUDGET_S
    tally = Tally("claims.build")
    with beating("build claim interchanges"):
        for key in _partners():
            _, error = attempt(_build_all, key, until, counts)
            if error:
                tally.failed(error)
                bugs.append(_failed(key, error))
    tally.note({"done": counts["batched"], "withdrawn": counts["withdrawn"]})
    if bugs:
        raise HandlerBug(f"{bugs[-1]} in claims.build")
    return told(counts).replace("nothing due", "nothing queued")


def _build_all(key: UUID, until: float, counts: Counter[str]) -> None:
    """Make the files of one partner and count what became of its claims; `until`: a moment of the monotonic clock."""
    while time.monotonic() < until and (built := build(key)) is not None:
        counts.update({"batched": built.batched, "withdrawn": built.withdrawn, "files": int(built.batched > 0)})
    alerts.clear(partners.cause(key, BUILDING))


def _failed(key: UUID, error: Exception) -> str:
    """Tell a person why a partner gets no files; return what it was."""
    if not isinstance(error, DomainError | NotWritable):
        return partners.failed(key, BUILDING, error)
    alerts.open_once(
        partners.cause(key, BUILDING),
        kind=partners.KIND,
        sentence=f"No file of claims can be made for the partner {key}: {error}",
        severity="critical",
        subject=TradingPartner.objects.get(pk=key),
    )
    return type(error).__name__


def _partners() -> list[UUID]:
    queued = Submission.objects.filter(status=Submission.Status.QUEUED).values("partner_id")
    rows = TradingPartner.objects.filter(pk__in=queued, is_active=True, paused_at=None)
    return list(rows.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def build(partner_id: UUID) -> Built | None:
    """Make one file of the claims that have waited longest; None: nothing is queued, or another worker is at it.

    All or nothing: whoever dies in here leaves no trace, and nobody outside has been spoken to.
    """
    partner = TradingPartner.objects.get(pk=partner_id)
    if not _alone(partner):
        return None
    queued = _queued(partner)
    if not queued:
        return None
    file = ClaimFile(partner, {one.claim: one.submission for one in queued})
    file.fill([one.claim for one in queued if one.is_draft])
    file.withdraw({one.claim: "The claim is no draft any more." for one in queued if not one.is_draft})
    return file.close()


def _alone(partner: TradingPartner) -> bool:
    """Return whether no other worker makes a file for this partner; until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"claims.build:{partner.pk}"])
        return bool(cursor.fetchone()[0])


def _queued(partner: TradingPartner) -> list[Queued]:
    """Lock the claims of the next file and give each its number; in runs of one billing provider and one payer."""
    with connection.cursor() as cursor:
        cursor.execute(QUEUED, [partner.pk, partner.max_claims_per_file])
        rows = list(map(Queued._make, cursor.fetchall()))
    new = [row.claim for row in rows if not row.control_number]
    if new:
        numbers = numbering.claim_numbers(len(new))
        write_each(InsuranceClaim, new, {"control_number": numbers}, also="updated_at = now()")
    return sorted(rows, key=attrgetter("billing", "payer"))


class ClaimFile:
    """One interchange on its way from rows to bytes.

    A thread of its own speaks to the database: it reads the next claims, and writes down where the last ones stand,
    while this one checks and renders. All of it is one transaction on one connection.
    """

    def __init__(self, partner: TradingPartner, submissions: dict[str, str]) -> None:
        self.partner, self.submissions = partner, submissions
        self.key, self.at = uuid7(), timezone.now().astimezone(Clinic.current().zone)
        self.numbers = numbering.take(partner)
        self.parts = fact_parts.parts()
        self.checks = checking.Checks(partner, self.parts)
        self.writer = Writer837P(
            envelope(partner, self.numbers.interchange, self.numbers.group, self.at),
            _submitter(partner, self.parts),
            Receiver(partner.receiver_name, partner.receiver_id),
            cast("FileParts", self.parts),
        )
        self.chunks: list[bytes] = []
        self.batched = self.withdrawn = self.transactions = 0

    def fill(self, keys: Sequence[str]) -> None:
        closed = claim_facts.Closed()
        with _undisturbed(), connection.cursor() as cursor, ThreadPoolExecutor(1, "claims-rows") as rows:
            raw = cursor.cursor  # psycopg's own: another thread may use it
            sections, texts = _sections(keys), [SimpleQueue[str | None]() for _ in range(2)]
            tasks = [rows.submit(_read, raw, section, texts[0]) for section in sections[:1]]
            for number in range(len(sections)):
                tasks += [
                    rows.submit(_read, raw, section, texts[(number + 1) % 2])
                    for section in sections[number + 1 : number + 2]
                ]
                for claims in claim_facts.decode(iter(texts[number % 2].get, None), closed):
                    if any(claim.is_secondary for claim in claims):
                        claims[:] = rows.submit(claim_facts.with_priors, raw, claims, closed).result()
                    tasks.append(rows.submit(self._note, raw, *self._add(claims)))
            for done in tasks:
                done.result()
        claim_facts.tell(closed)

    def _add(self, claims: list[Claim]) -> tuple[list[Placed], dict[str, str]]:
        """Render the claims that nothing speaks against; return where they stand, and why others are not in."""
        refused = self.checks.refused(claims)
        good = [claim for claim in claims if claim.id not in refused] if refused else claims
        placed: list[Placed] = []
        while good:
            try:
                written, good = self.writer.write(good), []
            except NotWritable as problem:
                place = self._place(good, problem)
                refused[problem.row] = f"It cannot be written: {problem.rule}."
                written, good = self.writer.write(good[:place]), good[place + 1 :]
            self.chunks.append(written.content)
            placed += written.placed
        return placed, refused

    @staticmethod
    def _place(claims: list[Claim], problem: NotWritable) -> int:
        """Return where the claim stands that cannot be written; it is the whole file where no claim is named."""
        for place, claim in enumerate(claims):
            if claim.id == problem.row:
                return place
        raise problem

    def _note(self, cursor: Any, placed: list[Placed], refused: dict[str, str]) -> None:
        if placed:
            keys, sets, references, numbers, first, last = zip(*placed, strict=True)
            submissions = map(self.submissions.__getitem__, keys)
            columns = (submissions, sets, references, numbers, map(str, first), map(str, last))
            cursor.execute(BATCHED, [self.key, *map(",".join, columns)])
            self.batched += len(placed)
            self.transactions = int(sets[-1])
        if refused:
            reasons = [reason[:LONGEST_REASON] for reason in refused.values()]
            cursor.execute(WITHDRAWN, [[self.submissions[key] for key in refused], reasons])
            self.withdrawn += len(refused)

    def withdraw(self, refused: dict[str, str]) -> None:
        with connection.cursor() as cursor:
            self._note(cursor, [], refused)

    def close(self) -> Built:
        """Keep the bytes; a file without a claim is none, and its numbers are free again."""
        if not self.batched:
            numbering.give_back(self.partner, self.numbers)
            return Built(0, self.withdrawn)
        self.chunks.append(self.writer.close())
        interchanges.store(
            self.partner,
            Interchange.Kind.CLAIMS,
            self.numbers,
            self.chunks,
            at=self.at,
            items=self.batched,
            transactions=self.transactions,
            key=self.key,
        )
        return Built(self.batched, self.withdrawn)


def _sections(keys: Sequence[str]) -> list[Sequence[str]]:
    """Return which claims are read by one statement: few first, so that there is work while the others come."""
    rest = range(FIRST, len(keys), claim_facts.SECTION)
    return [part for part in (keys[:FIRST], *(keys[start : start + claim_facts.SECTION] for start in rest)) if part]


def _read(cursor: Any, keys: Sequence[str], texts: SimpleQueue[str | None]) -> None:
    """Hand over what claims say as it comes, and None at the end, be it a good one or not."""
    try:
        for text in claim_facts.read(cursor, keys, CHUNK):
            texts.put(text)
    finally:
        texts.put(None)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Python look for no cycles among records that have none, and the other thread not wait long for its turn.

    A third of the time went into the former; the latter takes a moment for a row, then waits for the next again.
    """
    was_on, interval_s = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        if was_on:
            gc.enable()


def _submitter(partner: TradingPartner, parts: Parts) -> Submitter:
    """Return who hands the file over: the practice, reached at its billing desk."""
    usual = BillingEntity.objects.filter(is_default=True).values_list("pk", flat=True).first()
    bills = parts.billing.get(str(usual)) or next(iter(parts.billing.values()), None)
    if bills is None:
        raise DomainError("Enter who bills: nobody is there to hand files over.")
    name = bills.name or f"{bills.first_name} {bills.last_name}"
    return Submitter(name, partner.submitter_id, bills.contact_name, bills.contact_phone, bills.contact_email)
