"""Takes files in, remembers them and writes the answers; without it nobody could count doubled and lost files."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from integrations.x12.counterpart import acknowledging, answering, arrivals, contents, paying
from integrations.x12.counterpart.arrivals import Arrival, Fault
from integrations.x12.counterpart.contents import Question, SeenClaim
from integrations.x12.counterpart.layout import Marks, Segment, Sheet, Stamp, interchange
from integrations.x12.counterpart.orders import OrderBook, Orders

INBOUND, OUTBOUND, LEDGER = "inbound", "outbound", "ledger.jsonl"
GARBAGE = b"<html><body>Service temporarily unavailable</body></html>\n"
REJECTED = "A7:562:85"
ASKED = {"271": "270", "277": "276"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger: one file as the partner saw it. verdict: taken, duplicate or unreadable."""

    partner: str
    name: str
    sha256: str
    size: int
    verdict: str
    isa13: str = ""
    claims: tuple[str, ...] = ()


def entries(root: Path) -> list[Entry]:
    """Return the ledger of a folder."""
    ledger = root / LEDGER
    if not ledger.exists():
        return []
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    return [Entry(**{**line, "claims": tuple(line["claims"])}) for line in lines]


@dataclass(slots=True)
class Case:
    """A file that was taken in, what is in it, and which answers it has had."""

    partner: str
    arrival: Arrival
    note: str  # of its TA1
    faults: dict[str, list[Fault]]
    claims: list[SeenClaim]
    questions: list[Question]
    done: set[str] = field(default_factory=set)

    @property
    def is_taken(self) -> bool:
        return self.note == "000"

    def wants(self, kind: str) -> bool:
        """Tell whether it is still to be answered so."""
        codes = {transaction.code for transaction in self.arrival.transactions}
        if kind == "TA1":
            fits = self.arrival.wants_ta1 or not self.is_taken
        elif kind in ASKED:
            fits = self.is_taken and ASKED[kind] in codes
        else:
            fits = self.is_taken and (kind == "999" or "837" in codes)
        return fits and kind not in self.done


class Desk:
    """Works in the server's one thread for files; `answer` may be called from any."""

    def __init__(self, root: Path, book: OrderBook) -> None:
        self._root = root
        self._book = book
        self._ledger = root / LEDGER
        self._lock = threading.RLock()
        self._unread: list[tuple[str, Arrival, str]] = []
        self._cases: list[Case] = []
        self._paid: dict[str, paying.PaidClaim] = {}
        self._growing: dict[Path, bytes] = {}
        self._written = 0
        self._seen = {(entry.partner, entry.isa13) for entry in entries(root) if entry.verdict == "taken"}

    def take(self, partner: str, path: Path) -> None:
        """Take in a file that arrived under its own name; written down before anybody is told."""
        with self._lock:
            content = path.read_bytes()
            try:
                arrival = arrivals.read(content)
            except arrivals.Unreadable:
                self._note(partner, path.name, content, "unreadable", None)
                return
            is_known = (partner, arrival.number) in self._seen and not self._book.read().forgets
            self._note(partner, path.name, content, "duplicate" if is_known else "taken", arrival)
            self._seen.add((partner, arrival.number))
            note = "025" if is_known else self._book.next_of("next_notes") or "000"
            self._unread.append((partner, arrival, note))
            if self._book.read().swallows:
                path.unlink()

    def answer(self, *kinds: str) -> list[Path]:
        """Write the answers of these kinds that are due, in this order; return the files."""
        with self._lock:
            self._read_all()
            written: list[Path] = []
            for kind in kinds:
                for partner in dict.fromkeys(case.partner for case in self._cases):
                    cases = [case for case in self._cases if case.partner == partner and case.wants(kind)]
                    written += self._answer(partner, kind, cases)
            return written

    def answer_at_once(self) -> None:
        orders = self._book.read()
        if not orders.holds:
            self.answer(*orders.at_once)

    def grow(self) -> None:
        """Let files that come slowly be longer next time."""
        with self._lock:
            for path, rest in list(self._growing.items()):
                size = max(len(rest) // 2, 1)
                with path.open("ab") as file:
                    file.write(rest[:size])
                self._growing[path] = rest[size:]
                if not rest[size:]:
                    del self._growing[path]

    def _note(self, partner: str, name: str, content: bytes, verdict: str, arrival: Arrival | None) -> None:
        entry = Entry(
            partner=partner,
            name=name,
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            verdict=verdict,
            isa13=arrival.number if arrival else "",
            claims=tuple(arrival.claim_numbers) if arrival else (),
        )
        with self._ledger.open("a") as ledger:
            ledger.write(json.dumps(asdict(entry)) + "\n")

    def _read_all(self) -> None:
        """Look into what was taken in; late, since it is the slow part and the sender does not wait for it."""
        unread, self._unread = self._unread, []
        for partner, arrival, note in unread:
            if note != "000":
                self._cases.append(Case(partner, arrival, note, {}, [], []))
                continue
            self._cases.append(_opened(partner, arrival, self._book.read()))

    def _answer(self, partner: str, kind: str, cases: Sequence[Case]) -> list[Path]:
        write: Callable[[Stamp, Case], Iterable[Sheet]] = {
            "999": self._acknowledged,
            "277CA": self._forwarded,
            "277CA-payer": self._received_by_payers,
            "271": self._covered,
            "277": self._tracked,
        }.get(kind, _nothing)
        reversals = self._reversals() if kind == "835" else []
        if kind == "835" and (cases or reversals):
            return self._put_payment(partner, cases, reversals)
        written: list[Path] = []
        for case in cases:
            case.done.add(kind)
            stamp = self._stamp()
            ta1 = acknowledging.ta1(case.arrival, case.note) if kind == "TA1" else None
            sheets = list(write(stamp, case))
            if sheets or ta1:
                written += self._put(partner, kind, stamp, interchange(case.arrival, stamp, sheets, ta1=ta1))
        return written

    def _acknowledged(self, stamp: Stamp, case: Case) -> Iterable[Sheet]:
        return [acknowledging.ack_999(group, case.faults) for group in case.arrival.groups]

    def _forwarded(self, stamp: Stamp, case: Case) -> Iterable[Sheet]:
        """Return the clearinghouse's own 277CA: A1, or A7 for what it does not send on."""
        told = self._book.read().rejected_277
        source: Segment = ("NM1", "AY", "2", "SAMPLE CLEARINGHOUSE", "", "", "", "", "46", case.arrival.receiver[1])
        for reference, claims in _by_reference(case):
            words = [acknowledging.Word(claim, _status(told, claim, "A7") or ("A1", "19", "AY")) for claim in claims]
            yield acknowledging.report_277(stamp, reference, source, words, _receiver(case))

    def _received_by_payers(self, stamp: Stamp, case: Case) -> Iterable[Sheet]:
        """Return the payers' 277CA for what was sent on: A2 with their number, or A3."""
        told = self._book.read().rejected_277
        for reference, claims in _by_reference(case):
            sent_on = [claim for claim in claims if not _status(told, claim, "A7")]
            for payer, theirs in groupby(sorted(sent_on, key=lambda one: one.payer), lambda one: one.payer):
                source: Segment = ("NM1", "PR", "2", payer[0], "", "", "", "", "PI", payer[1])
                words = [_payers_word(told, claim) for claim in theirs]
                yield acknowledging.report_277(stamp, reference, source, words, _receiver(case))

    def _covered(self, stamp: Stamp, case: Case) -> Iterable[Sheet]:
        told = self._book.read().inquiries
        for transaction in case.arrival.transactions:
            asked = [question for question in case.questions if question.transaction == transaction.number]
            yield answering.answer_271(stamp, transaction.reference, asked, told)

    def _tracked(self, stamp: Stamp, case: Case) -> Iterable[Sheet]:
        for transaction in case.arrival.transactions:
            asked = [question for question in case.questions if question.transaction == transaction.number]
            yield answering.answer_277(stamp, transaction.reference, asked)

    def _put_payment(self, partner: str, cases: Sequence[Case], reversals: list[paying.PaidClaim]) -> list[Path]:
        """Write one 835 file for all cases: a transaction for each payer and provider."""
        orders, stamp = self._book.read(), self._stamp()
        paid = list(reversals)
        for case in cases:
            case.done.add("835")
            paid += self._adjudicated(case, orders)
        if not paid:
            return []
        plb = [(reason, reference, Decimal(amount)) for reason, reference, amount in self._book.all_of("next_plb")]
        sheets: list[Sheet] = []
        for _, some in groupby(sorted(paid, key=_payer_and_provider), _payer_and_provider):
            sheets.append(paying.remittance(stamp, len(sheets) + 1, list(some), [] if sheets else plb))
        latest = (cases or [case for case in self._cases if case.partner == partner])[-1]
        return self._put(partner, "835", stamp, interchange(latest.arrival, stamp, sheets))

    def _adjudicated(self, case: Case, orders: Orders) -> list[paying.PaidClaim]:
        """Return a claim's payment or denial; a replacement or void takes the payment of its original back first."""
        results: list[paying.PaidClaim] = []
        for claim in case.claims:
            if _status(orders.rejected_277, claim, ""):
                continue
            earlier = next((one for one in self._paid.values() if one.payer_number == claim.original_reference), None)
            if earlier is not None:
                results.append(earlier.reversed())
            if claim.frequency == "8":
                continue
            reason = orders.denied.get(claim.number)
            crosses_over = claim.number in orders.crossed_over
            result = paying.deny(claim, reason) if reason else paying.pay(claim, crosses_over=crosses_over)
            self._paid[claim.number] = result
            results.append(result)
        return results

    def _reversals(self) -> list[paying.PaidClaim]:
        found: list[paying.PaidClaim] = []
        for number in self._book.all_of("next_reversals"):
            reversal, correction = paying.correct(self._paid[number])
            self._paid[number] = correction
            found += [reversal, correction]
        return found

    def _stamp(self) -> Stamp:
        """Return a stamp with a number that no answer from this folder has, also after a restart."""
        numbers = self._root / "number"
        last = int(numbers.read_text()) if numbers.exists() else 0
        numbers.write_text(str(last + 1))
        return Stamp(last + 1, datetime.now(UTC), Marks.of(self._book.read().separators))

    def _put(self, partner: str, kind: str, stamp: Stamp, content: bytes) -> list[Path]:
        orders, folder = self._book.read(), self._root / partner / OUTBOUND
        name = f"{stamp.number:09d}_{kind}.x12"
        paths = [_write(folder / name, content)] if not orders.zips and not orders.grows else []
        if orders.zips:
            paths.append(_write(folder / f"{name}.zip", _zipped(name, content)))
        elif orders.grows:
            paths.append(_write(folder / name, content[: len(content) // 3]))
            self._growing[paths[-1]] = content[len(content) // 3 :]
        while self._book.next_of("next_garbage"):
            self._written += 1
            paths.append(_write(folder / f"{stamp.number:09d}_{self._written}.bad", GARBAGE))
        return paths


def _opened(partner: str, arrival: Arrival, orders: Orders) -> Case:
    """Return the case of a file: what pyx12 finds wrong with it, what x12sdk reads in it, and what was ordered."""
    note, faults = arrivals.faults(arrival) if orders.checks else ("000", {})
    for number, told in acknowledging.told_to_be_bad(arrival, orders.rejected_999).items():
        faults.setdefault(number, []).extend(told)
    claims: list[SeenClaim] = []
    questions: list[Question] = []
    for transaction in arrival.transactions:
        if faults.get(transaction.number):
            continue
        try:
            claims += contents.claims(arrival, transaction.number)
            questions += contents.questions(arrival, transaction.number)
        except arrivals.Unreadable:
            faults[transaction.number] = [Fault("ST", 1, "8")]
    return Case(partner, arrival, note, faults, claims, questions)


def _by_reference(case: Case) -> Iterable[tuple[str, list[SeenClaim]]]:
    """Yield BHT03 and claims of each transaction that was not rejected."""
    for transaction in case.arrival.transactions:
        claims = [claim for claim in case.claims if claim.transaction == transaction.number]
        if claims:
            yield transaction.reference, claims


def _status(told: dict[str, str], claim: SeenClaim, category: str) -> tuple[str, ...]:
    """Return the ordered STC01 of a claim if it begins with `category`, else ()."""
    status = told.get(claim.number, "")
    return (
        tuple((status if ":" in status else f"{status}:562:85").split(":"))
        if status.startswith(category) and status
        else ()
    )


def _payers_word(told: dict[str, str], claim: SeenClaim) -> acknowledging.Word:
    refused = _status(told, claim, "")
    if refused:
        return acknowledging.Word(claim, refused)
    return acknowledging.Word(claim, ("A2", "20", "PR"), acknowledging.payer_number(claim))


def _receiver(case: Case) -> Segment:
    return ("NM1", "41", "2", "SUBMITTER", "", "", "", "", "46", case.arrival.sender[1])


def _payer_and_provider(one: paying.PaidClaim) -> tuple[tuple[str, str], tuple[str, str, str]]:
    return one.claim.payer, one.claim.provider


def _nothing(stamp: Stamp, case: Case) -> Iterable[Sheet]:
    return ()


def _write(path: Path, content: bytes) -> Path:
    """Put a whole file there in one step, so that only those grow that were told to."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_bytes(content)
    hidden.rename(path)
    return path


def _zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()
