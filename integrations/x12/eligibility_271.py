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
BEGINS = ("346", "356", "291", "307")
ENDS = ("347", "357", "291", "307")
GROUPS = ("6P", "18", "1L")


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
    traces: list[str] = field(default_factory=list)
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
                level.traces.append(at[2])
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
        return EligibilityAnswer(
            level=level.level,
            trace=traces[0] if traces else "",
            traces=tuple(traces),
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
            plan_begins=next((begins for kind in BEGINS for which, begins, _ in dates if which == kind), None),
            plan_ends=next((ends for kind in ENDS for which, _, ends in dates if which == kind), None),
            dates=dates,
            rejects=tuple(level.rejects),
            benefits=benefits,
            active=_active(benefits),
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


def _dates(written: list[list[str]]) -> tuple[tuple[str, date | None, date | None], ...]:
    return tuple((dtp[1], *span(dtp[2], dtp[3])) for dtp in written)


def _active(benefits: tuple[Benefit, ...]) -> bool | None:
    """Whether the plan as a whole is active: what is said of service type 30 or of none counts before the rest."""
    said = [benefit for benefit in benefits if benefit.code in ACTIVE | INACTIVE]
    of_plan = [benefit for benefit in said if not benefit.service_types or PLAN in benefit.service_types]
    counts = of_plan or said
    return any(benefit.code in ACTIVE for benefit in counts) if counts else None
