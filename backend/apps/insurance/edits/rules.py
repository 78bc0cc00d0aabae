"""What an edit is and what it looks at; without it each rule would walk and word things in its own way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from backend.apps.insurance.code_sets import CodeBook
from backend.apps.insurance.edits import forms
from backend.apps.insurance.facts import (
    Adjustment,
    Billing,
    Claim,
    Facility,
    Line,
    LineAdjudication,
    OtherPayer,
    Parts,
    Payer,
    Plan,
    Provider,
)

Subject = TypeVar("Subject")
Result = TypeVar("Result")
SELF = "18"
FIRST_TIME, VOID = "1", "8"


class Severity(StrEnum):
    ERROR = "error"  # the claim stays here
    WARNING = "warning"


class On(StrEnum):
    """What a rule returns when something is wrong: the subjects at fault."""

    CLAIM = "claim"
    LINE = "lines"
    OTHER = "other_payers"
    BILLING = "billing"
    PAYER = "payer"
    PROVIDER = "provider"  # in its role: rendering or referring
    FACILITY = "facility"


class Finding(NamedTuple):
    """path: of what is wrong, as "lines[2].units", by the line's own number. message: without any value."""

    rule: str
    severity: Severity
    path: str
    message: str


class Context(NamedTuple):
    """What claims are held against. today: YYYYMMDD.

    duplicates: ids of claims whose services were billed before; once_more: with the same modifier that says once more.
    """

    parts: Parts
    codes: CodeBook
    today: str
    duplicates: frozenset[str] = frozenset()
    once_more: frozenset[str] = frozenset()


class Columns(dict[str, tuple[Any, ...]]):
    """Named tuples column by column: to look through one is several times as fast as to ask each row."""

    def __init__(self, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        super().__init__()
        self._names, self._rows = names, rows
        self._different: dict[str, frozenset[str]] = {}

    def __missing__(self, name: str) -> tuple[Any, ...]:
        self[name] = found = tuple(map(itemgetter(self._names.index(name)), self._rows))
        return found

    def different(self, name: str) -> frozenset[str]:
        """Return the different values of a column of text."""
        if name not in self._different:
            self._different[name] = frozenset(self[name])
        return self._different[name]


class Batch:
    """Claims to be looked at together, and what several rules need of them, each worked out once."""

    def __init__(self, claims: Sequence[Claim], context: Context) -> None:
        self.claims = claims
        self.parts, self.codes, self.today, self.duplicates, self.once_more = context
        self.lines = [line for claim in claims for line in claim.lines]
        self._worked_out: dict[Any, Any] = {}
        self.of_claims, self.of_lines = Columns(Claim._fields, claims), Columns(Line._fields, self.lines)

    @property
    def pairs(self) -> Iterator[tuple[Claim, Line]]:
        return zip(self._owners, self.lines, strict=True)

    @cached_property
    def _owners(self) -> list[Claim]:
        return [claim for claim in self.claims for _ in claim.lines]

    @cached_property
    def others(self) -> list[OtherPayer]:
        return [other for claim in self.claims if claim.other_payers for other in claim.other_payers]

    @cached_property
    def decided(self) -> list[tuple[Claim, OtherPayer, list[LineAdjudication]]]:
        """What another payer decided, with its decisions on the lines."""
        return [
            (claim, other, _of_payer(claim, other.payer_identifier))
            for claim in self.claims
            if claim.other_payers
            for other in claim.other_payers
            if other.paid
        ]

    @cached_property
    def charges(self) -> list[int | None]:
        """The charge of each line in cents, None for what is none."""
        return forms.charges(self.of_lines["charge"])

    @cached_property
    def decisions(self) -> list[tuple[Line, LineAdjudication, int | None, int | None]]:
        """What other payers decided on lines, with what they paid and took off in cents, None for what is no amount."""
        return [
            (line, said, forms.cents(said.paid), total(said.adjustments))
            for line in self.lines
            if line.adjudications
            for said in line.adjudications
        ]

    def values(self, name: str) -> frozenset[str]:
        """Return the different values of an attribute of lines."""
        return self.of_lines.different(name)

    def lines_with(self, name: str, is_wrong: Callable[[str], Any]) -> list[Line]:
        """Return the lines with a wrong value of the attribute `name`; each different value is judged once."""
        wrong = {value for value in self.values(name) if is_wrong(value)}
        return [line for line in self.lines if getattr(line, name) in wrong] if wrong else []

    def claims_with(self, name: str, is_wrong: Callable[[str], Any]) -> list[Claim]:
        wrong = {value for value in self.of_claims.different(name) if is_wrong(value)}
        return [claim for claim in self.claims if getattr(claim, name) in wrong] if wrong else []

    def claims_without(self, name: str) -> list[Claim]:
        return [claim for claim in self.claims if not getattr(claim, name)] if "" in self.of_claims[name] else []

    @cached_property
    def selves(self) -> list[Claim]:
        """Claims whose patient holds the policy: what the coverage does not say of the holder the record says."""
        return [claim for claim in self.claims if claim.relationship == SELF]

    @cached_property
    def dependents(self) -> list[Claim]:
        return [claim for claim in self.claims if claim.relationship != SELF]

    @cached_property
    def diagnosed(self) -> list[tuple[Claim, list[str]]]:
        return [(claim, claim.diagnoses.split(",")) for claim in self.claims if claim.diagnoses]

    @cached_property
    def diagnoses(self) -> set[str]:
        return set(",".join(filter(None, self.of_claims["diagnoses"])).split(",")) - {""}

    @cached_property
    def first_days(self) -> Sequence[str]:
        """The first day of the lines of each claim; of a claim without lines its own."""
        days, lines = self.of_claims["service_on"], self.of_claims["lines"]
        if [day for day, some in zip(days, lines, strict=True) for _ in some] == list(self.of_lines["from_on"]):
            return days
        return [first_day(claim) for claim in self.claims]

    @cached_property
    def repeating(self) -> set[str]:
        """The ids of claims in which one service stands on several lines."""
        of_claims = self.of_claims
        ids = [one for one, lines in zip(of_claims["id"], of_claims["lines"], strict=True) for _ in lines]
        keys = list(zip(ids, self.of_lines["code"], strict=True))
        return set() if len(set(keys)) == len(keys) else {key[0] for key, times in Counter(keys).items() if times > 1}

    def once(self, work: Callable[[Batch], Result]) -> Result:
        """Return what `work` makes of the batch, worked out once for all rules that ask."""
        if work not in self._worked_out:
            self._worked_out[work] = work(self)
        return self._worked_out[work]  # type: ignore[no-any-return]  # kept as what made it returned it

    @cached_property
    def services(self) -> set[tuple[str, str, str]]:
        """The different (code, units, first day) of lines."""
        return set(zip(self.of_lines["code"], self.of_lines["units"], self.of_lines["from_on"], strict=True))

    @cached_property
    def repeated(self) -> set[tuple[str, ...]]:
        """What `repeatable` says of more lines than one of a patient."""
        of_claims, of_lines = self.of_claims, self.of_lines
        people = [one for one, lines in zip(of_claims["patient"], of_claims["lines"], strict=True) for _ in lines]
        same = {text: in_order(text) for text in of_lines.different("modifiers")}
        modifiers = map(same.__getitem__, of_lines["modifiers"])
        keys = list(zip(people, of_lines["code"], of_lines["from_on"], modifiers, strict=True))
        return set() if len(set(keys)) == len(keys) else {key for key, times in Counter(keys).items() if times > 1}

    @cached_property
    def billing(self) -> list[Billing]:
        return _named(self.parts.billing, self.of_claims.different("billing"))

    @cached_property
    def payers(self) -> list[Payer]:
        return _named(self.parts.payers, self.of_claims.different("payer"))

    @cached_property
    def providers(self) -> list[Provider]:
        claims = self.of_claims.different("rendering") | self.of_claims.different("referring")
        return _named(self.parts.providers, claims | self.values("rendering"))

    @cached_property
    def facilities(self) -> list[Facility]:
        return _named(self.parts.facilities, self.of_claims.different("facility"))

    def of_plans(self, wanted: Callable[[Plan], Any]) -> list[Claim]:
        """Return the claims to plans of which `wanted` is true."""
        plans = {plan.id for plan in self.parts.plans.values() if wanted(plan)}
        return [claim for claim in self.claims if claim.plan in plans] if plans else []

    def of_payers(self, wanted: Callable[[Payer], Any]) -> list[Claim]:
        payers = {payer.id for payer in self.payers if wanted(payer)}
        return [claim for claim in self.claims if claim.payer in payers] if payers else []


def _named(parts: Mapping[str, Subject], ids: Collection[str]) -> list[Subject]:
    return [parts[one] for one in sorted(ids) if one in parts]


def repeatable(claim: Claim, line: Line) -> tuple[str, ...]:
    """Return what two lines of one patient have in common that bill one service twice, whoever gave it."""
    return claim.patient, line.code, line.from_on, in_order(line.modifiers)


def in_order(modifiers: str) -> str:
    """Return modifiers in one order: "25,95" says what "95,25" says."""
    return ",".join(sorted(modifiers.split(","))) if "," in modifiers else modifiers


def total(adjustments: Iterable[Adjustment]) -> int | None:
    """Return the sum of adjustments in cents, None where one is no amount."""
    return sum_of([forms.cents(amount) for _, _, amount, _ in adjustments])


def sum_of(amounts: Sequence[int | None]) -> int | None:
    """Return the sum, None where one is no amount."""
    return None if None in amounts else sum(amounts)  # type: ignore[arg-type]  # no None is left


def _of_payer(claim: Claim, identifier: str) -> list[LineAdjudication]:
    return [said for line in claim.lines for said in line.adjudications if said.payer_identifier == identifier]


Find = Callable[[Batch], Iterable[Any]]


class Rule(NamedTuple):
    """One edit. find: returns of a batch the subjects that break it, all of the kind `on`; in a good batch none.

    of_voids: whether a claim that takes another back is held against it: its file must be right, its services are past.
    """

    id: str
    severity: Severity
    on: On
    path: str
    message: str
    find: Find
    of_voids: bool = True


def edit(
    rule: str, severity: Severity, on: On, path: str, message: str, *, of_voids: bool = True
) -> Callable[[Find], Rule]:
    """Make a function an edit. path: below its subject, as "npi" of a billing entity."""
    return lambda find: Rule(rule, severity, on, path, message, find, of_voids)


def first_day(claim: Claim) -> str:
    return min([line.from_on for line in claim.lines], default=claim.service_on)


def last_day(line: Line) -> str:
    return line.to_on or line.from_on


@lru_cache(maxsize=50_000)
def days_later(day: str, days: int) -> str:
    """Return YYYYMMDD `days` after `day`, "" when `day` is none."""
    try:
        moved = date(int(day[:4]), int(day[4:6]), int(day[6:])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved:%Y%m%d}"


@lru_cache(maxsize=50_000)
def is_day(text: str) -> bool:
    return len(text) == 8 and text.isascii() and text.isdigit() and bool(days_later(text, 0))


__all__ = [
    "FIRST_TIME", "SELF", "VOID", "Batch", "Billing", "Claim", "Context", "Facility", "Finding", "Line",
    "LineAdjudication", "On", "OtherPayer", "Parts", "Payer", "Plan", "Provider", "Rule", "Severity", "days_later",
    "edit", "first_day", "in_order", "is_day", "last_day", "repeatable", "total",
]  # fmt: skip
