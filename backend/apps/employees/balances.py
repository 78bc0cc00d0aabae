"""Earns people their paid days, month by month; without it HR would type balances in, and forget some."""

from __future__ import annotations

import calendar
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum

from backend.apps.core import alerts
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.employees.models import Employee, PtoEntry, TimeOffPolicy
from backend.apps.employees.models.balances import PtoKind, next_month
from backend.apps.users.models import User

KIND = "staff_time_off_disagrees"
CENT = Decimal("0.01")
SET_BY_HAND = "The balance was set in the file."
UNEXPLAINED = "The balance had been changed without an entry."
OTHER_KIND = "No days: another kind of employment until then."


class Policies:
    """What one or each kind of employment earned when; read once, for there are a handful."""

    def __init__(self) -> None:
        self._of = defaultdict[str, list[TimeOffPolicy]](list)
        for policy in TimeOffPolicy.objects.order_by("begins_on"):
            self._of[policy.employment_type].append(policy)

    def in_force(self, kind: str, month: date) -> TimeOffPolicy | None:
        """Return the policy a kind of employment had in a month, None where that earned nothing."""
        begun = [policy for policy in self._of[kind] if policy.begins_on.replace(day=1) <= month]
        return begun[-1] if begun and begun[-1].is_active else None

    def first_day(self, kind: str) -> date:
        return self._of[kind][0].begins_on if self._of[kind] else date.max

    def earning(self, month: date) -> list[str]:
        return [kind for kind in list(self._of) if self.in_force(kind, month)]


def behind(today: date) -> QuerySet[Any, UUID]:
    """Return the ids of those who work here and lack the first entry or that of this month."""
    entries = PtoEntry.objects.filter(employee=OuterRef("pk"))
    unopened = ~Exists(entries.filter(kind=PtoKind.OPENING))
    unbooked = ~Exists(entries.filter(kind=PtoKind.ACCRUAL, period__gte=period_of(today)))
    earns = Q(employment_type__in=Policies().earning(today.replace(day=1)), hire_date__lte=today)
    people = Employee.objects.exclude(status__in=Employee.ENDED).filter(Q(unopened) | earns & Q(unbooked))
    return people.order_by("pk").values_list("pk", flat=True)


@transaction.atomic
def catch_up(pk: UUID, today: date) -> Counter[str]:
    """Book what one person has earned and lost up to this month, each month once; return how many entries of a kind.

    All or nothing, so whoever dies in here leaves no trace; twice, or late, it comes to the same entries. Months that
    were missed are booked by the status and the kind of employment of today: those of that time are not known any more.
    """
    working = Employee.objects.select_for_update(no_key=True).exclude(status__in=Employee.ENDED)
    employee = working.filter(pk=pk).first()
    if employee is None:
        return Counter()
    ledger = Ledger(employee)
    ledger.open(today)
    for month in _months(ledger, today):
        ledger.earn(month)
    return ledger.booked


def check() -> tuple[int, int]:
    """Tell of balances that are not what their entries add up to; return (told, cleared)."""
    wrong = {f"paid days:{employee.pk}": employee for employee in disagreeing()}
    alerts.clear(*(gone := alerts.open_causes(KIND) - wrong.keys()))
    for cause, employee in wrong.items():
        sentence = f"The balance of paid days of {employee} is not what its entries add up to; correct it."
        alerts.open_once(cause, kind=KIND, subject=employee, sentence=sentence)
    return len(wrong), len(gone)


def disagreeing() -> QuerySet[Employee]:
    """Return the people whose balance somebody changed without an entry, or the other way round."""
    live = Q(pto_entries__is_deleted=False)
    opened = PtoEntry.objects.filter(employee=OuterRef("pk"), kind=PtoKind.OPENING)
    told = Employee.objects.filter(Exists(opened)).annotate(told=Sum("pto_entries__days", filter=live))
    return told.exclude(told=F("pto_balance")).order_by("pk")


@transaction.atomic
def correct_balance(employee: Employee, *, by: User | None, days: Decimal, note: str) -> Employee:
    """Add days to a balance, or take them when negative, and say why.

    What somebody had changed without an entry gets one first, so that the entries add up again; that alone, with no
    days.
    """
    locked = Employee.objects.select_for_update(no_key=True).get(pk=employee.pk)
    ledger = Ledger(locked)
    unexplained = ledger.unexplained
    if not note.strip() or not (days or unexplained):
        raise DomainError("Say how many days to add or to take, and why.")
    if unexplained:
        told: dict[str, Any] = {"note": UNEXPLAINED, "effective_on": Clinic.today(), "by": by}
        PtoEntry.objects.create(employee=employee, kind=PtoKind.CORRECTION, days=unexplained, **told)
    if days:
        PtoEntry.book(locked, PtoKind.CORRECTION, days, by=by, note=note.strip())
    return employee


@transaction.atomic
def set_balance(employee: Employee, days: Decimal, *, by: User | None) -> None:
    """Make a balance what the file says, by a correction of the difference."""
    locked = Employee.objects.select_for_update(no_key=True).get(pk=employee.pk)
    if days != locked.pto_balance:
        PtoEntry.book(employee, PtoKind.CORRECTION, days - locked.pto_balance, by=by, note=SET_BY_HAND)


@transaction.atomic
def end_kind(employee: Employee) -> None:
    """Settle what was earned before the kind of employment changes: the new policy counts for what comes after."""
    today = Clinic.today()
    catch_up(employee.pk, today)
    ledger, last = Ledger(employee), today.replace(day=1) - timedelta(days=1)
    if employee.hire_date <= last and ledger.last_month < last.replace(day=1):
        ledger.add(PtoKind.ACCRUAL, Decimal(0), period_of(last), last, note=OTHER_KIND)


class Ledger:
    """The entries of one person, whose row the caller has locked, and what is added to them."""

    def __init__(self, employee: Employee) -> None:
        self.employee = employee
        self.entries = list(PtoEntry.objects.filter(employee=employee))
        self.policies, self.booked = Policies(), Counter[str]()

    @property
    def last_month(self) -> date:
        """The last month that was booked, as its first day."""
        months = [date.fromisoformat(f"{e.period}-01") for e in self.entries if e.kind == PtoKind.ACCRUAL]
        return max(months, default=date.min)

    @property
    def unexplained(self) -> Decimal:
        """What the balance holds beyond the entries; before the first entry there is nothing to explain."""
        is_open = any(e.kind == PtoKind.OPENING for e in self.entries)
        return self.employee.pto_balance - self.balance_at(date.max) if is_open else Decimal(0)

    def balance_at(self, day: date) -> Decimal:
        """Return what was there when `day` ended. What was there before the first entry had been there all the time."""
        counted = (e.days for e in self.entries if e.kind == PtoKind.OPENING or e.effective_on <= day)
        return sum(counted, Decimal(0))

    def open(self, today: date) -> None:
        if not any(e.kind == PtoKind.OPENING for e in self.entries):
            self.add(PtoKind.OPENING, self.employee.pto_balance - self.balance_at(date.max), "", today)

    def earn(self, month: date) -> None:
        """Book a month, and before it what was lost when the year before it ended."""
        december = date(month.year - 1, 12, 1)
        before = self.policies.in_force(self.employee.employment_type, december)
        if before and max(self.last_month, self.employee.hire_date).year < month.year:
            self._cut(december.replace(day=31), before)
        if policy := self.policies.in_force(self.employee.employment_type, month):
            self._accrue(month, policy)

    def _accrue(self, month: date, policy: TimeOffPolicy) -> None:
        on = max(month, self.employee.hire_date)
        if not policy.accrues(self.employee.status):
            self.add(PtoKind.ACCRUAL, Decimal(0), period_of(month), on, note=f"No days: {self.employee.status}.")
            return
        room = policy.most_days - max(self.balance_at(on), self.employee.pto_balance)
        days = min(_share(month, on) * policy.days_a_month, max(room, Decimal(0)))
        self.add(PtoKind.ACCRUAL, days.quantize(CENT, ROUND_HALF_UP), period_of(month), on)

    def add(self, kind: str, days: Decimal, period: str, on: date, note: str = "") -> None:
        entry = PtoEntry.book(self.employee, kind, days, period=period, effective_on=on, note=note)
        self.entries.append(entry)
        self.booked[kind] += 1

    def _cut(self, last_day: date, policy: TimeOffPolicy) -> None:
        """Take what was too much when the year ended; of what was spent since, nothing is asked back."""
        lost = min(self.balance_at(last_day) - policy.carry_over_days, self.employee.pto_balance)
        if lost > 0:
            self.add(PtoKind.CARRY_OVER_CUT, -lost, f"{last_day:%Y}", last_day)


def period_of(month: date) -> str:
    return f"{month:%Y-%m}"


def _months(ledger: Ledger, today: date) -> Iterator[date]:
    """Go through the months to book; where no days are earned now, only this one: it says so."""
    employee, this = ledger.employee, today.replace(day=1)
    if employee.hire_date > today:
        return
    month = max(employee.hire_date, ledger.policies.first_day(employee.employment_type)).replace(day=1)
    month = max(month, next_month(ledger.last_month))
    policy = ledger.policies.in_force(employee.employment_type, this)
    if month <= this and policy and not policy.accrues(employee.status):
        month = this
    while month <= this:
        yield month
        month = next_month(month)


def _share(month: date, first_day: date) -> Decimal:
    """Return the part of a month from `first_day` on."""
    length = calendar.monthrange(month.year, month.month)[1]
    return Decimal(length - first_day.day + 1) / length
