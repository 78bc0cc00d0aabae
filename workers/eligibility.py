"""Writes questions to payers into files and asks anew where nobody answers; without it they would stay in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backend.apps.core import alerts, closed_values
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.models import Clinic
from backend.apps.insurance import eligibility, fact_parts, inquiries, interchanges, numbering, status_requests
from backend.apps.insurance.facts import Billing
from backend.apps.insurance.models import BillingEntity, EligibilityInquiry, Interchange, StatusInquiry, TradingPartner
from backend.apps.insurance.numbering import Numbers
from integrations.x12 import eligibility_270, status_276
from integrations.x12.claim_records import Envelope, Submitter
from integrations.x12.inquiry_records import Inquiries, InquiryParts
from integrations.x12.text import NotWritable
from workers.beats import beating
from workers.celery_app import app
from workers.claims import partners
from workers.records import envelopes
from workers.records import inquiries as records
from workers.runner import HandlerBug, attempt, told
from workers.tallying import Tally

MOST = 1000  # questions of a file
ALERT = "questions_to_payers"
ASKING = "asking payers"
CLOSED = "the member's number does not open"
NOBODY_ASKS = "questions to payers:nobody asks"


class File(NamedTuple):
    """A file on its way: who asks by which partner, in which envelope, and whom the questions name by id."""

    partner: TradingPartner
    envelope: Envelope
    asks: Billing
    parts: InquiryParts


class Kind(NamedTuple):
    """One kind of question. related, many: what is read with its rows; record: a row as the writer takes it."""

    name: str
    model: Any
    related: tuple[str, ...]
    many: tuple[str, ...]
    record: Callable[..., Any]
    write: Callable[[File, Sequence[Any]], Inquiries]


@app.task(name="eligibility.build")  # type: ignore[untyped-decorator]  # Celery has no types
def build() -> str:
    """Make files of what is to be asked; safe to run twice, also at once: a question goes into one file.

    Raises:
        HandlerBug: after the last partner; what keeps the questions to one holds up no other.
    """
    counts, tally = Counter[str](), Tally("eligibility.build")
    found: dict[TradingPartner, str] = {}
    bugs: dict[TradingPartner, str] = {}
    with beating("ask payers"):
        for kind in KINDS:
            for partner in inquiries.partners(kind.model):
                done, error = attempt(_build_all, kind, partner)
                taken, problem = done or (0, "")
                counts[kind.name] += taken
                found[partner] = problem or found.get(partner, "")
                if error:
                    tally.failed(error)
                    bugs[partner] = partners.failed(partner.pk, ASKING, error)
        _tell(found)
        for partner in found.keys() - bugs.keys():
            partners.works(partner, ASKING)
    tally.note({"done": counts.total()})
    if bugs:
        raise HandlerBug(f"{'; '.join(set(bugs.values()))} in eligibility.build")
    return told(counts).replace("nothing due", "nothing to ask")


@app.task(name="eligibility.due")  # type: ignore[untyped-decorator]  # Celery has no types
def due() -> str:
    """Ask about coverages and claims that it is time for; safe to run twice, for who was asked about is left out."""
    with beating("insurance re-verification due"):
        asked = {"coverages": eligibility.due(), "claims": status_requests.due()}
    return told(Counter(asked))


@app.task(name="eligibility.expire")  # type: ignore[untyped-decorator]  # Celery has no types
def expire() -> str:
    """Give up what nobody answers and ask it once more; the second run finds none left."""
    with beating("questions without an answer"):
        gone = [eligibility.expire(), status_requests.expire()]
    return f"gave up {sum(one for one, _ in gone)}, asked {sum(again for _, again in gone)} again"


def _build_all(kind: Kind, partner: TradingPartner) -> tuple[int, str]:
    """Make files until nothing waits; return how many were taken, and which rule an entry of the partner's breaks.

    What all its questions share and cannot be written costs no other partner.
    """
    taken = 0
    try:
        while last := build_file(kind, partner):
            taken += last
    except NotWritable as problem:
        return taken, problem.rule
    return taken, ""


def _tell(found: Mapping[TradingPartner, str]) -> None:
    """Tell of partners for whom some kind of question cannot be written, and take back what no longer holds."""
    for partner, rule in found.items():
        cause = f"questions to payers:{partner.pk}"
        if rule:
            sentence = f"Questions for {partner.name} cannot be written: {rule}."
            alerts.open_once(cause, kind=ALERT, sentence=sentence, subject=partner)
        else:
            alerts.clear(cause)


@transaction.atomic
def build_file(kind: Kind, partner: TradingPartner) -> int:
    """Make one file of the questions that have waited longest; return how many were taken, 0 when there are none.

    All or nothing: whoever dies in here leaves no trace, and nobody outside has been spoken to.
    """
    keys = inquiries.lock_queued(kind.model, partner, limit=MOST)
    asks = _asks() if keys else None
    if asks is None:
        return 0
    parts = fact_parts.parts()
    rows = _reachable(kind, keys, parts.payers, partner)
    numbers, at = numbering.take(partner), timezone.now().astimezone(Clinic.current().zone)
    envelope = envelopes.envelope(partner, numbers.interchange, numbers.group, at)
    file = File(partner, envelope, asks, InquiryParts(parts.payers, {**parts.billing, asks.id: asks}))
    written = _written(kind, file, rows)
    if written is None:
        numbering.give_back(partner, numbers)
    else:
        _store(kind, file, numbers, written)
    return len(keys)


def _reachable(kind: Kind, keys: Sequence[UUID], payers: Any, partner: TradingPartner) -> dict[str, Any]:
    """Return the rows by id; those without a number to ask by, or of a payer of another partner, are put aside."""
    rows = kind.model.objects.filter(pk__in=keys).select_related(*kind.related).prefetch_related(*kind.many)
    found = {}
    for row in rows.order_by("queued_at", "pk"):
        try:
            payer = payers.get(kind.record(row, provider="").payer)
        except CannotOpen as closed:
            closed_values.tell(closed)
            inquiries.refuse(row, CLOSED)
            continue
        if payer is None or payer.partner != str(partner.pk):
            inquiries.refuse(row, "no way to this payer by this partner")
        else:
            found[str(row.pk)] = row
    return found


def _written(kind: Kind, file: File, rows: dict[str, Any]) -> Inquiries | None:
    """Return the file; a question that cannot be written is put aside and costs only itself.

    Raises:
        NotWritable: what all questions of the partner share.
    """
    questions = [kind.record(row, provider=file.asks.id) for row in rows.values()]
    questions.sort(key=lambda one: (one.payer, one.provider))
    while questions:
        try:
            return kind.write(file, questions)
        except NotWritable as problem:
            bad = [one for one in questions if problem.row and problem.row in (one.id, one.payer, one.provider)]
            if not bad or problem.row == file.asks.id:
                raise
            for one in bad:
                inquiries.refuse(rows[one.id], f"not written: {problem.rule}")
            questions = [one for one in questions if one not in bad]
    return None


def _store(kind: Kind, file: File, numbers: Numbers, written: Inquiries) -> None:
    """Keep the bytes and say which questions are in them."""
    transactions = len({one.transaction for one in written.asked})
    stored = interchanges.store(
        file.partner,
        kind.name,
        numbers,
        [written.content],
        at=file.envelope.at,
        items=len(written.asked),
        transactions=transactions,
    )
    inquiries.note_batched(kind.model, [one.id for one in written.asked], stored)


def _asks() -> Billing | None:
    """Return who asks: who bills by default, else the clinic itself; None, and an alert, while neither has an NPI."""
    usual = BillingEntity.objects.filter(is_default=True).values_list("pk", flat=True).first()
    clinic = Clinic.current()
    if usual is None and not clinic.npi_number:
        sentence = "Payers cannot be asked: say in the billing entities who bills by default."
        alerts.open_once(NOBODY_ASKS, kind=ALERT, sentence=sentence)
        return None
    alerts.clear(NOBODY_ASKS)
    if usual is not None:
        return fact_parts.parts().billing[str(usual)]
    return Billing(
        id="clinic", name=clinic.name, npi=clinic.npi_number, tax_id=fact_parts.digits(fact_parts.tax_id(clinic))
    )


def _ask_for_cover(file: File, questions: Sequence[Any]) -> Inquiries:
    return eligibility_270.write(file.envelope, file.parts, questions, originator=records.originator(file.asks))


def _ask_for_state(file: File, questions: Sequence[Any]) -> Inquiries:
    asks = file.asks
    name = asks.name or f"{asks.first_name} {asks.last_name}"
    submitter = Submitter(name, file.partner.submitter_id, asks.contact_name)
    return status_276.write(file.envelope, submitter, file.parts, questions)


COVER = Kind(
    name=Interchange.Kind.ELIGIBILITY,
    model=EligibilityInquiry,
    related=("coverage__patient", "coverage__insurance_plan"),
    many=(),
    record=records.eligibility,
    write=_ask_for_cover,
)
STATE = Kind(
    name=Interchange.Kind.STATUS,
    model=StatusInquiry,
    related=("claim__patient_insurance__patient", "claim__patient_insurance__insurance_plan"),
    many=("claim__lines",),
    record=records.status,
    write=_ask_for_state,
)
KINDS = (COVER, STATE)
