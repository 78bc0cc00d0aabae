"""Reads a 271; without it nobody would know whether a person is insured before the visit.

Source: ASC X12N/005010X279A1, Health Care Eligibility Benefit Inquiry and Response.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from integrations.x12.answer_records import Benefit, EligibilityAnswer, Reject, Transaction
from integrations.x12.segments import NotX12
from integrations.x12.values import amount_if_any, day, fraction_if_any, span

BLANK = [""] * 14
LEVELS = {"20": "source", "21": "receiver", "22": "subscriber", "23": "dependent"}
PAYERS = frozenset({"PR", "2B", "36", "GP", "P5"})
ACTIVE = frozenset({"1", "2", "3", "4", "5"})
INACTIVE = frozenset({"6", "7", "8"})
PLAN = "30"
OURS = "2"  # TRN01: the number is that of the question; 1 is the payer's own
SPANS = ("291", "307")
BEGINS = ("346", "348", "356", *SPANS)
ENDS = ("347", "349", "357", *SPANS)
GROUPS = ("6P", "18", "1L")
Dates = tuple[tuple[str, date | None, date | None], ...]


def read(transaction: Transaction) -> Iterator[EligibilityAnswer]:
    """Yield an answer for each person, and one for a source or receiver that refuses to answer at all.

    Raises:
        NotX12: not a 271.
    """
    if transaction.kind != "271":
        raise NotX12("not a 271")
    return _Walk(transaction.interchange.marks.component, transaction.interchange.marks.repetition).answers(transaction)


@dataclass
class _Benefit:
    """One EB while its segments arrive."""

    eb: list[str]
    dates: list[list[str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@dataclass
class _Level:
    """One HL while its segments arrive."""

    level: str = ""
    has_children: bool = False
    traces: list[tuple[str, str]] = field(default_factory=list)
    name: list[str] = field(default_factory=lambda: BLANK)
    birth: list[str] = field(default_factory=lambda: BLANK)
    relationship: str = ""
    references: dict[str, str] = field(default_factory=dict)
    dates: list[list[str]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    benefits: list[_Benefit] = field(default_factory=list)

    def says_something(self) -> bool:
        """Whether it is an answer, not just the place of the levels below it."""
        person = self.level in {"subscriber", "dependent"}
        return bool(self.rejects or (person and (self.benefits or not self.has_children)))


class _Walk:
    """Where in the levels the walk is."""

    def __init__(self, component: str, repetition: str) -> None:
        self._component = component
        self._repetition = repetition
        self._reference = ""
        self._payer = BLANK
        self._subscriber = _Level()
        self._open = _Level()

    def answers(self, transaction: Transaction) -> Iterator[EligibilityAnswer]:
        for segment in transaction.segments:
            at = segment + BLANK
            if at[0] == "HL":
                if self._open.says_something():
                    yield self._answer(self._open)
                self._open = _Level(LEVELS.get(at[3], at[3]), at[4] == "1")
                if self._open.level == "subscriber":
                    self._subscriber = self._open
            else:
                self._take(at)
        if self._open.says_something():
            yield self._answer(self._open)

    def _take(self, at: list[str]) -> None:
        if at[0] == "EB":
            self._open.benefits.append(_Benefit(at))
        elif self._open.benefits:
            self._take_of_benefit(at, self._open.benefits[-1])
        else:
            self._take_of_level(at, self._open)

    def _take_of_benefit(self, at: list[str], benefit: _Benefit) -> None:
        """Names behind an EB are of others: the doctor who must refer, the plan that pays first."""
        match at[0]:
            case "DTP":
                benefit.dates.append(at)
            case "MSG":
                benefit.messages.append(at[1])
            case "AAA":
                self._open.rejects.append(Reject("benefit", at[3], at[4]))

    def _take_of_level(self, at: list[str], level: _Level) -> None:
        match at[0]:
            case "BHT":
                self._reference = at[3]
            case "TRN":
                level.traces.append((at[1], at[2]))
            case "NM1":
                level.name = at
                if level.level == "source" or at[1] in PAYERS:
                    self._payer = at
            case "DMG":
                level.birth = at
            case "INS":
                level.relationship = at[2]
            case "REF":
                level.references.setdefault(at[1], at[2])
            case "DTP":
                level.dates.append(at)
            case "AAA":
                level.rejects.append(Reject(level.level, at[3], at[4]))

    def _answer(self, level: _Level) -> EligibilityAnswer:
        person = level if level.level in {"subscriber", "dependent"} else _Level()
        subscriber = self._subscriber if level.level == "dependent" else person
        references = {**subscriber.references, **person.references}
        traces = person.traces or subscriber.traces
        dates = _dates(person.dates) or _dates(subscriber.dates)
        benefits = tuple(self._benefit(benefit) for benefit in level.benefits)
        plan = _of_plan(benefits)
        return EligibilityAnswer(
            level=level.level,
            trace=next((number for kind, number in traces if kind == OURS), ""),
            traces=tuple(number for _, number in traces),
            reference=self._reference,
            payer_id=self._payer[9],
            payer_name=self._payer[3],
            last_name=person.name[3],
            first_name=person.name[4],
            birth_on=day(person.birth[2]),
            sex=person.birth[3],
            relationship=person.relationship,
            member_id=person.name[9] or subscriber.name[9],
            group_number=next((references[kind] for kind in GROUPS if kind in references), ""),
            plan_begins=_first_day(plan, dates),
            plan_ends=_last_day(plan, dates),
            dates=dates,
            rejects=tuple(level.rejects),
            benefits=benefits,
            active=any(benefit.code in ACTIVE for benefit in plan) if plan else None,
        )

    def _benefit(self, benefit: _Benefit) -> Benefit:
        eb = benefit.eb
        types = eb[3].split(self._repetition) if self._repetition else [eb[3]]
        return Benefit(
            code=eb[1],
            coverage_level=eb[2],
            service_types=tuple(filter(None, types)),
            insurance_type=eb[4],
            plan=eb[5],
            period=eb[6],
            amount=amount_if_any(eb[7]),
            percent=fraction_if_any(eb[8]),
            quantity_qualifier=eb[9],
            quantity=eb[10],
            authorization=eb[11],
            in_network=eb[12],
            procedure=[*eb[13].split(self._component), ""][1],
            dates=_dates(benefit.dates),
            messages=tuple(benefit.messages),
        )


def _dates(written: list[list[str]]) -> Dates:
    return tuple((dtp[1], *span(dtp[2], dtp[3])) for dtp in written)


def _of_plan(benefits: tuple[Benefit, ...]) -> list[Benefit]:
    """Return what is said of the plan as a whole, of service type 30 or of none: that it is active, or else inactive.

    What is said of any other type says nothing of the plan.
    """
    said = [benefit for benefit in benefits if not benefit.service_types or PLAN in benefit.service_types]
    active = [benefit for benefit in said if benefit.code in ACTIVE]
    return active or [benefit for benefit in said if benefit.code in INACTIVE]


def _first_day(plan: list[Benefit], dates: Dates) -> date | None:
    """Return the first day of the plan: the dates behind an EB count for that EB, those of the person for the rest."""
    days = [_begin(benefit.dates) or _begin(dates) for benefit in plan] or [_begin(dates)]
    return min(filter(None, days)) if None not in days else None


def _last_day(plan: list[Benefit], dates: Dates) -> date | None:
    """Return the last day of the plan, as the first; None where a part of it has no end."""
    days = [_end(benefit.dates) or _end(dates) for benefit in plan] or [_end(dates)]
    return max(filter(None, days)) if None not in days else None


def _begin(dates: Dates) -> date | None:
    return next((begins for kind in BEGINS for which, begins, _ in dates if which == kind), None)


def _end(dates: Dates) -> date | None:
    """Return the last day; a single day of what may be a span says when it begins."""
    return next(
        (
            ends
            for kind in ENDS
            for which, begins, ends in dates
            if which == kind and (kind not in SPANS or ends != begins)
        ),
        None,
    )
