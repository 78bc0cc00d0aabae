"""Finds for each deposit at the bank the remittance it is of, and the other way round; else money would go astray."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance.models import Deposit, Remittance
from backend.apps.users.models import User

NEAR = timedelta(days=60)  # between the day a payer names and the day the bank has the money
MOST_ROWS = 5000  # of a file
LONGEST_TRACE = 50
OLDEST = timedelta(days=3660)
UNLIKELY = "The day lies in the future, or more than ten years back."
COLUMNS = ("trace", "amount", "received_on")
AMOUNT = re.compile(r"\d{1,10}(\.\d{1,2})?")
THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d{1,2})?")
NO_AMOUNT = "The amount is not a number above zero with at most two decimals."
COMMA = "The comma in the amount parts no thousands; cents stand behind a point, as in 1250.00 or 1,250.00."
Status = Remittance.Status
PAID = (Status.POSTED, Status.PARTLY)
NO_MONEY = "NON"  # BPR04: the 835 explains, and moves nothing


class Row(NamedTuple):
    """What became of one row of a file. row: its line, the head being 1. outcome: added, known or refused."""

    row: int
    outcome: str
    reason: str = ""


@transaction.atomic
def record(*, by: User | None, **fields: Any) -> Deposit:
    """Enter a deposit and find its remittance."""
    deposit = Deposit(**fields)
    _check(deposit)
    deposit.save()
    match_all(Deposit.objects.filter(pk=deposit.pk))
    deposit.refresh_from_db()
    return deposit


@transaction.atomic
def change_deposit(deposit: Deposit, *, by: User | None, **changes: Any) -> Deposit:
    """Correct a deposit that is not matched yet, and look for its remittance again."""
    if deposit.remittance_id is not None:
        raise DomainError("This deposit is matched to a remittance; take the match back first.")
    for name, value in changes.items():
        setattr(deposit, name, value)
    _check(deposit)
    deposit.matched_at = None
    deposit.save(update_fields=[*changes, "matched_at", "updated_at"])
    match_all(Deposit.objects.filter(pk=deposit.pk))
    deposit.refresh_from_db()
    return deposit


def _check(deposit: Deposit) -> None:
    deposit.full_clean()
    if deposit.amount <= 0:
        raise DomainError("A deposit is of an amount above zero.")
    if not _is_plausible(deposit.received_on):
        raise DomainError(UNLIKELY)


def _is_plausible(day: date) -> bool:
    today = Clinic.today()
    return today - OLDEST <= day <= today


@transaction.atomic
def remove(deposit: Deposit, *, by: User | None) -> None:
    """Take a deposit off the list that was entered wrongly; its remittance waits for another one."""
    Deposit.objects.filter(pk=deposit.pk).update(remittance=None, matched_at=None, updated_at=Now())
    deposit.delete()


@transaction.atomic
def bring_in(text: str, *, by: User | None) -> list[Row]:
    """Enter the rows of a CSV file with the columns trace, amount and received_on (2026-03-31); tell of each.

    A row that is not right costs only itself; one that is recorded already changes nothing, so a file may come twice.
    """
    read = [(number, _deposit(fields)) for number, fields in _rows(text)]
    wanted = [deposit for _, deposit in read if isinstance(deposit, Deposit)]
    new = _new(wanted)
    Deposit.objects.bulk_create(new, ignore_conflicts=True)
    match_all()
    added = set(Deposit.objects.filter(pk__in=[deposit.pk for deposit in new]).values_list("pk", flat=True))
    return [_told(number, found, added) for number, found in read]


def _told(number: int, found: Deposit | str, added: set[Any]) -> Row:
    if isinstance(found, str):
        return Row(number, "refused", found)
    return Row(number, "added" if found.pk in added else "known")


def _new(wanted: list[Deposit]) -> list[Deposit]:
    """Leave out the second of two equal rows, which a file of a bank may hold."""
    first = {(one.trace, one.amount, one.received_on): one for one in reversed(wanted)}
    return list(reversed(first.values()))


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        lines = iter(list(csv.reader(io.StringIO(text.lstrip("\ufeff")))))
    except csv.Error:
        raise DomainError("This is not a CSV file.") from None
    head = [name.strip().lower() for name in next(lines, [])]
    if missing := [name for name in COLUMNS if name not in head]:
        raise DomainError(f"The first line names the columns; there is no {', '.join(missing)}.")
    rows = [(number, cells) for number, cells in enumerate(lines, 2) if any(map(str.strip, cells))]
    if len(rows) > MOST_ROWS:
        raise DomainError(f"A file has at most {MOST_ROWS} rows.")
    for number, cells in rows:
        yield number, dict(zip(head, [cell.strip() for cell in [*cells, *[""] * len(head)]], strict=False))


def _deposit(fields: dict[str, str]) -> Deposit | str:
    """Return the deposit a row tells of, or what is not right with it."""
    amount = fields["amount"].removeprefix("$")
    if "," in amount:
        if not THOUSANDS.fullmatch(amount):
            return COMMA
        amount = amount.replace(",", "")
    if not AMOUNT.fullmatch(amount) or not Decimal(amount):
        return NO_AMOUNT
    try:
        day = date.fromisoformat(fields["received_on"])
    except ValueError:
        return "The day is not written as 2026-03-31."
    if not _is_plausible(day):
        return UNLIKELY
    if not 1 <= len(fields["trace"]) <= LONGEST_TRACE or "\x00" in fields["trace"]:
        return f"The trace has 1 to {LONGEST_TRACE} characters."
    return Deposit(trace=fields["trace"], amount=Decimal(amount), received_on=day)


@transaction.atomic
def match_all(only: QuerySet[Deposit] | None = None) -> int:
    """Match deposits to remittances of the same trace and amount; return how many. Safe to repeat.

    Blanks, hyphens, leading zeros and small letters in a trace do not count. Where several fit none is taken: a person
    says which. A deposit and a remittance are matched once; what a person took apart is left to people.
    """
    rows = (Deposit.objects.all() if only is None else only).filter(matched_at__isnull=True)
    waiting = list(rows.filter(remittance__isnull=True).select_for_update(no_key=True).order_by("received_on", "pk"))
    if not waiting:
        return 0
    first, last = waiting[0].received_on - NEAR, waiting[-1].received_on + NEAR
    money = without_deposit().filter(paid_on__gte=first, paid_on__lte=last)
    known: dict[tuple[str, Decimal], list[Remittance]] = defaultdict(list)
    for remittance in money.only("trace", "amount", "paid_on"):
        known[plain(remittance.trace), remittance.amount].append(remittance)
    ours: dict[tuple[str, Decimal], list[Deposit]] = defaultdict(list)
    for deposit in waiting:
        ours[plain(deposit.trace), deposit.amount].append(deposit)
    pairs = [(deposits[0], _clear(deposits, known.get(key, []))) for key, deposits in ours.items()]
    return sum(_joined(deposit, remittance) for deposit, remittance in pairs if remittance is not None)


def _clear(deposits: list[Deposit], remittances: list[Remittance]) -> Remittance | None:
    """Return the one remittance that fits the one deposit; None where either is in doubt."""
    near = [one for one in remittances if abs(deposits[0].received_on - one.paid_on) <= NEAR]
    return near[0] if len(deposits) == len(near) == 1 else None


def _joined(deposit: Deposit, remittance: Remittance) -> int:
    rows = Deposit.objects.filter(pk=deposit.pk, remittance__isnull=True)
    return rows.update(remittance=remittance, matched_at=Now(), updated_at=Now())


def plain(trace: str) -> str:
    """Return a trace as it is compared: bank and payer write it with zeros, blanks and hyphens of their own."""
    return re.sub(r"[^A-Z0-9]", "", trace.upper()).lstrip("0")


def without_deposit() -> QuerySet[Remittance]:
    """Return the posted remittances that moved money of which no deposit tells, the latest first."""
    paid = Remittance.objects.filter(status__in=PAID, amount__gt=0, deposit__isnull=True)
    return paid.exclude(method=NO_MONEY).order_by("-paid_on", "pk")


@transaction.atomic
def match(deposit: Deposit, *, by: User | None, remittance: Remittance) -> Deposit:
    """Say by hand which remittance a deposit is of; the amounts are the same."""
    if deposit.remittance_id is not None:
        raise DomainError("This deposit is matched already; take the match back first.")
    if deposit.amount != remittance.amount:
        raise DomainError("The deposit and the remittance are not of the same amount.")
    if Deposit.objects.filter(remittance=remittance).exists():
        raise DomainError("Another deposit is matched to this remittance.")
    if not _joined(deposit, remittance):
        raise Conflict("Somebody has just matched this deposit; load it again.")
    deposit.refresh_from_db()
    return deposit


@transaction.atomic
def unmatch(deposit: Deposit, *, by: User | None) -> Deposit:
    """Take a match back that was wrong; `matched_at` stays and keeps the daily look from making it again."""
    if deposit.remittance_id is None:
        raise DomainError("This deposit is not matched.")
    Deposit.objects.filter(pk=deposit.pk).update(remittance=None, updated_at=Now())
    deposit.refresh_from_db()
    return deposit
