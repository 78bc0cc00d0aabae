"""The clinic's table of reminders: which rows hold for a visit, and what nobody may write into it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import transaction

from backend.apps.appointments.models import ReminderPolicy, ReminderType
from backend.apps.appointments.models.policies import PolicyCondition
from backend.apps.appointments.timing import DAY_MINUTES, Alternatives, Rule, grouped
from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import DomainError
from backend.apps.messaging.models import MessageKind

MOST_ROWS, MOST_ORDER = 20, 9
OF_VISITS = (MessageKind.REMINDER, MessageKind.ASK_TO_CONFIRM, MessageKind.SOON)
EMAIL, SMS = ReminderType.EMAIL.value, ReminderType.SMS.value
ASK, SOON = MessageKind.ASK_TO_CONFIRM.value, MessageKind.SOON.value
UNLESS_CONFIRMED = PolicyCondition.UNLESS_CONFIRMED.value
DEFAULTS = (
    Rule(EMAIL, days=7),
    Rule(EMAIL, hours=72),
    Rule(SMS, hours=24, wording=ASK),
    Rule(EMAIL, hours=24, order=2, wording=ASK),
    Rule(SMS, hours=2, wording=SOON, condition=UNLESS_CONFIRMED),
    Rule(EMAIL, hours=2, order=2, wording=SOON, condition=UNLESS_CONFIRMED),
)


class Policies(NamedTuple):
    """The whole table as rules, by the type of visit they are for; "" holds for the types without rows of their own."""

    by_type: dict[str, tuple[Alternatives, ...]]

    @classmethod
    def load(cls) -> Policies:
        """Read the table in one query; the defaults hold while nobody has ever written a row."""
        rows = list(ReminderPolicy.all_objects.order_by("pk"))
        return cls.of_rows(rows) if rows else cls({"": grouped(DEFAULTS)})

    @classmethod
    def of_rows(cls, rows: Iterable[ReminderPolicy]) -> Policies:
        kept = [row for row in rows if not row.is_deleted]
        return cls(
            {
                kind: grouped(rule_of(row) for row in kept if row.appointment_type == kind and row.is_active)
                for kind in {row.appointment_type for row in kept}
            }
        )

    def of(self, appointment_type: str) -> tuple[Alternatives, ...]:
        """Return the rules of a type of visit, offset by offset, the nearest to the visit first."""
        return self.by_type.get(appointment_type, self.by_type.get("", ()))


def rule_of(row: ReminderPolicy) -> Rule:
    return Rule(row.channel, row.offset_days, row.offset_hours, row.order, row.wording, row.condition)


@transaction.atomic
def add(*, by: Any, **fields: Any) -> ReminderPolicy:
    """Write a new row; what is planned already stays as it is until somebody has it planned anew."""
    row = ReminderPolicy(**fields)
    row.full_clean()
    _refuse_nonsense(row)
    row.save(force_insert=True)
    return row


@transaction.atomic
def change(row: ReminderPolicy, *, by: Any, **fields: Any) -> ReminderPolicy:
    """Change a row; what is planned already stays as it is until somebody has it planned anew."""
    save_changes(row, fields)
    _refuse_nonsense(row)
    return row


def _refuse_nonsense(row: ReminderPolicy) -> None:
    if row.wording not in OF_VISITS:
        raise DomainError("These words are not those of a reminder; choose reminder, ask to confirm or soon.")
    if row.wording == MessageKind.SOON and row.offset_minutes > DAY_MINUTES:
        raise DomainError("The words for the day itself belong to a reminder at most 24 hours before the visit.")
    if not 1 <= row.order <= MOST_ORDER:
        raise DomainError(f"The order is a number from 1 to {MOST_ORDER}; 1 is tried first.")
    others = list(ReminderPolicy.objects.filter(appointment_type=row.appointment_type).exclude(pk=row.pk))
    if len(others) >= MOST_ROWS:
        raise DomainError(f"At most {MOST_ROWS} reminders for one type of visit.")
    same = [other for other in others if other.offset_minutes == row.offset_minutes]
    if any(other.channel == row.channel for other in same):
        raise DomainError("There is a reminder on this channel at that time already; change that one.")
    if any(other.order == row.order for other in same):
        raise DomainError("Another channel at that time has the same order; say which of the two is tried first.")
