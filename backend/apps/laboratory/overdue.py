"""Finds orders whose results are late; without this a lost specimen would be noticed by the patient.

Late: a test of an order on its way has no settled result although its turnaround has passed, counted from when the
specimen was taken, else from when the order was placed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Now

from backend.apps.core import alerts
from backend.apps.laboratory.models import LabOrder, LabResult, OrderStatus
from backend.apps.laboratory.models.results import SETTLED

ON_ITS_WAY = (OrderStatus.ORDERED, OrderStatus.SPECIMEN_COLLECTED, OrderStatus.IN_PROGRESS)
KIND = "lab_result_overdue"
AT_ONCE = 500  # new alerts of one look; the next look goes on
HOUR = Value(timedelta(hours=1))


def orders() -> QuerySet[LabOrder]:
    """Return the orders that wait for a late result, oldest first."""
    long_enough = Q(order_date__lte=Now() - timedelta(hours=1))  # the shortest turnaround
    waiting = LabOrder.objects.filter(long_enough, status__in=ON_ITS_WAY)
    return waiting.filter(Exists(_late_tests())).order_by("order_date", "pk")


def late_tests() -> ArraySubquery:
    """Return an expression for a query of orders: the ids of the tests that are late, for each order."""
    return ArraySubquery(_late_tests().values("labtest_id"))


def watch() -> tuple[int, int]:
    """Tell once of each order that is late, and clear what is late no more; return (opened, cleared).

    What a person dismissed since the order was placed is not told again.
    """
    told = alerts.open_causes(KIND)
    late = {cause(order.pk): order for order in orders().only("order_number", "order_date")}
    gone = told - late.keys()
    alerts.clear(*gone)
    alerts.seen(told - gone)
    untold = {name: order for name, order in late.items() if name not in told}
    dismissed = alerts.all_dismissed({name: order.order_date for name, order in untold.items()})
    new = [(name, order) for name, order in untold.items() if name not in dismissed][:AT_ONCE]
    for name, order in new:
        sentence = f"Results of order {order.order_number} are overdue; the order lists which tests."
        alerts.open_once(name, kind=KIND, subject=order, sentence=sentence)
    return len(new), len(gone)


def cause(pk: UUID) -> str:
    return f"result overdue:{pk}"


def _late_tests() -> QuerySet[Any]:
    """Return the rows that join the outer order to its late tests.

    A test is answered by a settled current result under its own name, or by one of its panel: what came under its code.
    """
    ordered: QuerySet[Any] = LabOrder.tests.through.objects.all()
    answered = LabResult.objects.filter(
        Q(lab_test=OuterRef("labtest_id"))
        | Q(panel_code=OuterRef("labtest__test_code"))
        | Q(code_as_sent=OuterRef("labtest__test_code")),
        lab_order=OuterRef("laborder_id"),
        is_current=True,
        status__in=SETTLED,
    )
    begun = Coalesce("laborder__specimen_collected_at", "laborder__order_date")
    due = ExpressionWrapper(begun + F("labtest__turnaround_time_hours") * HOUR, output_field=DateTimeField())
    late = ordered.filter(laborder=OuterRef("pk"), laborder__status__in=ON_ITS_WAY).annotate(due=due)
    return late.filter(~Exists(answered), due__lte=Now()).order_by("pk")
