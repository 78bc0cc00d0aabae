"""Reads what partners left for us and applies it; without it answers would be stored and nobody would know them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.insurance.file_answers import Outcome
from backend.apps.insurance.models import InboundFile
from backend.apps.insurance.standing import Source
from integrations.x12 import segments, sniff
from integrations.x12.answer_records import Flaw, Group, Interchange, Transaction
from integrations.x12.segments import NotX12
from integrations.x12.sniff import Kind
from workers.celery_app import app
from workers.claims import acknowledging, remitting
from workers.runner import attempt, drain, told_of

Status = InboundFile.Status
Apply = Callable[[Source, Transaction], Outcome]

ALERT = "claims_file_quarantined"
BATCH = 20  # files may be large
MOST_FINDINGS = 50
APPLY: Mapping[Kind, Apply] = MappingProxyType(
    {
        Kind.INTERCHANGE_ACKNOWLEDGEMENT: acknowledging.take_ta1,
        Kind.ACKNOWLEDGEMENT: acknowledging.take_999,
        Kind.CLAIM_ACKNOWLEDGEMENT: acknowledging.take_277,
        Kind.CLAIM_STATUS: acknowledging.take_277,
        Kind.ELIGIBILITY: acknowledging.take_271,
        Kind.REMITTANCE: remitting.take,
    }
)
AWAY = (OperationalError, InterfaceError)  # the database, not the file: the whole is tried again


@app.task(name="claims.read")  # type: ignore[untyped-decorator]  # Celery has no types
def read_due() -> str:
    return drain(InboundFile, read, batch=BATCH)


def read(file: InboundFile) -> dict[str, Any]:
    """Apply each transaction of a file by itself, so that one that cannot be read holds up none beside it.

    Safe to run twice: a word of a partner counts once by its place in these bytes, a payment by its own number.
    """
    if _is_applied_elsewhere(file):
        return _fields(Status.DUPLICATE, Counter(), ["The same bytes came under another name and are applied."])
    if file.members.exists():
        return _fields(Status.APPLIED, Counter({"zip": 1}), [])
    tally = Tally()
    try:
        for transaction in segments.read(bytes(file.content)):
            tally.apply(file, transaction)
    except NotX12 as refusal:
        tally.refuse(f"Not readable as X12: {refusal}.")
    status = tally.status
    _tell(file, status)
    return _fields(status, tally.kinds, tally.findings)


def _is_applied_elsewhere(file: InboundFile) -> bool:
    twins = InboundFile.all_objects.filter(partner=file.partner_id, sha256=file.sha256).exclude(pk=file.pk)
    return twins.filter(status__in=(Status.APPLIED, Status.PARTLY)).exists()


def _fields(status: str, kinds: Counter[str], findings: list[str]) -> dict[str, Any]:
    return {
        "status": status,
        "status_reason": findings[0][:300] if findings else "",
        "findings": [one[:300] for one in findings[:MOST_FINDINGS]],
        "kinds": ",".join(kinds)[:60],
        "read_at": timezone.now(),
    }


class Tally:
    """What has become of the transactions so far, and how many segments were before the next one."""

    def __init__(self) -> None:
        self.kinds = Counter[str]()
        self.findings: list[str] = []
        self._outcomes = Counter[str]()
        self._segments = 0
        self._interchange: Interchange | None = None
        self._group: Group | None = None
        self._flaws: dict[int, list[Flaw]] = {}  # each list once, by its identity: a file may have as many as segments

    def apply(self, file: InboundFile, transaction: Transaction) -> None:
        """Apply one transaction; whatever goes wrong in it is a finding, unless the database is away."""
        kind = sniff.of_transaction(transaction)
        self.kinds[kind.value] += 1
        self._watch(transaction)
        self._enter(transaction)
        source = Source(file, transaction.control_number, self._segments, transaction.position)
        counted = transaction._replace(segments=self._counted(transaction.segments))
        is_set = kind != Kind.INTERCHANGE_ACKNOWLEDGEMENT
        self._segments += is_set  # ST
        outcome, error = attempt(_outcome, kind, source, counted)
        _, cut = attempt(_walk, counted.segments)
        self._segments += is_set  # SE
        self._note(outcome or _failed(file, transaction, error), file)
        if cut is not None and error is None:
            raise cut

    def _enter(self, transaction: Transaction) -> None:
        """Count the envelopes around transactions: ISA and GS before this one, GE and IEA behind the last one."""
        if transaction.interchange is not self._interchange:
            self._segments += 1 + (self._interchange is not None) + (self._group is not None)
            self._interchange, self._group = transaction.interchange, None
        if transaction.group is not self._group:
            self._segments += (self._group is not None) + (transaction.group is not None)
            self._group = transaction.group

    def _counted(self, given: Iterator[list[str]]) -> Iterator[list[str]]:
        for segment in given:
            self._segments += 1
            yield segment

    def _watch(self, transaction: Transaction) -> None:
        """Keep the flaws of its envelope, which are complete only after it."""
        for flaws in (transaction.interchange.flaws, transaction.flaws):
            self._flaws[id(flaws)] = flaws

    def _note(self, outcome: Outcome, file: InboundFile) -> None:
        self.findings += outcome.findings
        if outcome.is_refused:
            self._outcomes["refused"] += 1
        elif outcome.is_duplicate:
            self._outcomes["duplicate"] += 1
        else:
            self._outcomes["partly" if outcome.is_partly else "applied"] += 1

    def refuse(self, finding: str) -> None:
        self.findings.append(finding)
        self._outcomes["refused"] += 1

    @property
    def status(self) -> str:
        """Return what became of the file as a whole; adds what its envelopes contradict themselves in."""
        self.findings += [f"{flaw.sentence}." for flaws in self._flaws.values() for flaw in flaws]
        if not self.findings and not self._outcomes:
            self.findings.append("There is no transaction in this file.")
        kinds = {name for name, count in self._outcomes.items() if count}
        if kinds <= {"refused"}:
            return Status.QUARANTINED
        if kinds == {"duplicate"}:
            return Status.DUPLICATE
        return Status.PARTLY if kinds & {"refused", "partly"} else Status.APPLIED


def _outcome(kind: Kind, source: Source, transaction: Transaction) -> Outcome:
    apply = APPLY.get(kind)
    if apply is None:
        return Outcome((f"A transaction of a kind that is not read here: {kind}.",), is_refused=True)
    if transaction.interchange.usage == "T" and source.file.partner.usage == "P":
        return Outcome(("A test file came where real ones are expected.",), is_refused=True)
    return apply(source, transaction)


def _walk(rest: Iterator[list[str]]) -> None:
    deque(rest, maxlen=0)


def _failed(file: InboundFile, transaction: Transaction, error: Exception | None) -> Outcome:
    """Return what to tell of a transaction that could not be applied; its place and sort, nothing out of it.

    Raises:
        OperationalError, InterfaceError: the database is away.
    """
    if isinstance(error, AWAY):
        raise error
    if isinstance(error, NotX12):
        return Outcome((f"Transaction {transaction.position} is not readable: {error}.",), is_refused=True)
    name = told_of(error, file) if error is not None else "nothing"
    return Outcome((f"Transaction {transaction.position} could not be applied ({name}).",), is_refused=True)


def _tell(file: InboundFile, status: str) -> None:
    cause = f"claims file quarantined:{file.pk}"
    if status != Status.QUARANTINED:
        alerts.clear(cause)
        return
    sentence = f"A file from {file.partner.name} could not be read; it is kept as it came."
    alerts.open_once(cause, kind=ALERT, sentence=sentence, subject=file)
