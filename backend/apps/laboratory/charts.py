"""Says what a chart holds and how two readings of it differ; without it a replay could not be tried first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import F

from backend.apps.laboratory.models import LabOrder, LabResult

Row = dict[str, Any]
Chart = dict[tuple[str, ...], Row]

# What a person would see change; names as the API has them. Order of a result: "" while nobody knows its number.
RESULT = {
    "order": F("lab_order__order_number"),
    "test": F("lab_test__test_code"),
}
RESULT_FIELDS = (
    "version", "is_current", "status", "abnormal_flag", "result_value", "unit", "reference_range", "interpretation",
    "result_date", "reported_at",
)  # fmt: skip
NAMES = ("code_as_sent", "code_text_as_sent", "sub_id")
ORDER_FIELDS = ("status", "priority", "is_external", "placer_order_number", "cancellation_reason")
APPEARS, CHANGES, DISAPPEARS = "appears", "changes", "disappears"


def read(patients: Iterable[UUID]) -> Chart:
    """Return the orders and every version of every result of `patients`, by what names each.

    A result is named by its observation and what it says, so that the same version filed twice has one name.
    """
    ids = sorted(set(patients))
    return {**_orders(ids), **_results(ids)}


def _orders(ids: list[UUID]) -> Chart:
    rows = LabOrder.objects.filter(patient__in=ids).values(
        "order_number", "patient_id", *ORDER_FIELDS, reviewed=F("reviewed_at")
    )
    return {("order", row["order_number"]): {**_plain(row), "reviewed": row["reviewed"] is not None} for row in rows}


def _results(ids: list[UUID]) -> Chart:
    rows = LabResult.objects.filter(lab_order__patient__in=ids).values(
        "result_key", "digest", *NAMES, *RESULT_FIELDS, **RESULT, patient_id=F("lab_order__patient_id")
    )
    return {("result", row.pop("result_key"), row.pop("digest")): _plain(row) for row in rows}


def _plain(row: Row) -> Row:
    """Return the row as JSON holds it."""
    return {
        name: value if value is None or isinstance(value, bool | int | str) else _written(value)
        for name, value in row.items()
    }


def _written(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def difference(before: Chart, after: Chart) -> list[Row]:
    """Return what appears, changes and disappears, orders first; empty when nobody could tell the two apart.

    Each entry: kind ("order", "result"), change, patient, order (empty for an order made by this run, whose number is
    not known yet), code, text, version, and the fields that differ as they stood (`before`) and stand (`after`).
    """
    known = {name[1] for name in before if name[0] == "order"}
    found = [_entry(name, before.get(name), after.get(name), known) for name in sorted({*before, *after})]
    return [entry for entry in found if entry["before"] != entry["after"]]


def _entry(name: tuple[str, ...], old: Row | None, new: Row | None, known: set[str]) -> Row:
    row = new or old or {}
    number = row["order_number"] if name[0] == "order" else row["order"]
    fields = (*ORDER_FIELDS, "reviewed") if name[0] == "order" else (*RESULT_FIELDS, *RESULT)
    differing = [field for field in fields if (old or {}).get(field) != (new or {}).get(field)]
    return {
        "kind": name[0],
        "change": APPEARS if old is None else DISAPPEARS if new is None else CHANGES,
        "patient": row["patient_id"],
        "order": number if number in known else "",
        "code": row.get("code_as_sent", ""),
        "text": row.get("code_text_as_sent", ""),
        "version": row.get("version"),
        "before": _fields(old, differing, known),
        "after": _fields(new, differing, known),
    }


def _fields(row: Row | None, differing: list[str], known: set[str]) -> Row | None:
    """Return the fields that differ and say something; the number of an order made by this run says nothing."""
    if row is None:
        return None
    told = {field: row[field] for field in differing}
    if told.get("order") not in known:
        told.pop("order", None)
    return told


def counts(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many entries appear, change and disappear."""
    counted = Counter(entry["change"] for entry in entries)
    return {change: counted[change] for change in (APPEARS, CHANGES, DISAPPEARS)}
