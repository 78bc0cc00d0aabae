"""Makes tests, orders, results and messages; without it each test would invent a laboratory."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import critical, replays, services, versions
from backend.apps.laboratory.keys import key_of
from backend.apps.laboratory.models import (
    CriticalPage,
    CriticalResult,
    InboundMessage,
    LabCodeMapping,
    LabFeed,
    LabOrder,
    LabOrderMessage,
    LabReplay,
    LabResult,
    LabSpecimen,
    LabTest,
    ReportedPanel,
)
from backend.apps.laboratory.reports import ObservationIn, OrderIn, Outcome, PatientIn, ReportIn
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
_numbers = itertools.count(1)


def make_lab_test(**over: Any) -> LabTest:
    fields = {
        "test_code": f"{next(_numbers)}-{secrets.token_hex(3)}",
        "test_name": "Potassium",
        "test_category": "chemistry",
        "specimen_type": "serum",
        "normal_range_min": Decimal("3.5"),
        "normal_range_max": Decimal("5.1"),
        "unit_of_measure": "mmol/L",
        "price": Decimal("12.50"),
    }
    return LabTest.objects.create(**{**fields, **over})


def make_lab_order(**over: Any) -> LabOrder:
    """Save an order of one test; `tests` is a list, `status` may be any."""
    over.setdefault("patient", None)
    patient = over.pop("patient") or make_patient()
    tests = over.pop("tests", None)
    if not over.get("is_external"):
        over.setdefault("doctor", None)
        over["doctor"] = over["doctor"] or make_doctor()
    for status, field in (("completed", "completed_at"), ("cancelled", "cancelled_at")):
        if over.get("status") == status:
            over.setdefault(field, NOON)
    order = LabOrder.objects.create(patient=patient, **over)
    order.tests.set([make_lab_test()] if tests is None else tests)
    return order


def make_lab_result(**over: Any) -> LabResult:
    """Save one current final version of an observation nobody else has."""
    over.setdefault("lab_order", None)
    order = over.pop("lab_order") or make_lab_order(status="in_progress")
    fields = {
        "lab_test": order.tests.first(),
        "code_as_sent": "2823-3",
        "status": "final",
        "result_value": "4.1",
        "numeric_value": Decimal("4.1"),
        "value_type": "NM",
        "unit": "mmol/L",
        "reference_range": "3.5-5.1",
        "abnormal_flag": "normal",
        "result_date": NOON,
        "reported_at": NOON + timedelta(hours=1),
        "result_key": versions.key_of("test", next(_numbers), secrets.token_hex(8)),
    }
    result = LabResult(lab_order=order, **{**fields, **over})
    result.digest = versions.digest_of(result)
    result.save(force_insert=True)
    return result


def make_panel(order: LabOrder, **over: Any) -> ReportedPanel:
    """Save a panel a laboratory reported of this order, under a number nobody else has."""
    fields = {"sender": "LAB", "number": f"F{next(_numbers)}", "panel_code": "24323-8", "ordered_at": NOON}
    return ReportedPanel.objects.create(lab_order=order, patient=order.patient, **{**fields, **over})


def make_lab_specimen(**over: Any) -> LabSpecimen:
    over.setdefault("lab_order", None)
    order = over.pop("lab_order") or make_lab_order(status="in_progress")
    fields = {
        "panel": over.pop("panel", None) or make_panel(order),
        "specimen_id": f"S{next(_numbers)}",
        "type_code": "SER",
        "type_text": "Serum",
        "said_at": NOON,
        "digest": "0" * 64,
        "source_message": over.pop("source_message", None) or make_inbound_message(),
    }
    return LabSpecimen.objects.create(lab_order=order, **{**fields, **over})


def make_code_mapping(**over: Any) -> LabCodeMapping:
    fields = {"code": f"K{next(_numbers)}-{secrets.token_hex(3)}", **over}
    return LabCodeMapping.objects.create(lab_test=fields.pop("lab_test", None) or make_lab_test(), **fields)


def make_lab_feed(**over: Any) -> LabFeed:
    """Save an active feed; without names it is of any sender that has none of its own."""
    return LabFeed.objects.create(**{"name": f"Lab {next(_numbers)}", "processing_ids": "PTD", **over})


def make_order_feed(**over: Any) -> LabFeed:
    """Save a feed that takes orders; nobody listens at its port unless a test does."""
    fields = {"order_message": "OML^O21", "order_host": "127.0.0.1", "order_port": 9, "order_tls": False}
    return make_lab_feed(**{"sending_facility": f"LAB{next(_numbers)}", **fields, **over})


def make_order_message(**over: Any) -> LabOrderMessage:
    """Save the first message of a placed order, as if it had been put in line just now."""
    over.setdefault("lab_order", None)
    order = over.pop("lab_order") or make_lab_order(status="ordered")
    feed = over.pop("feed", None) or order.feed or make_order_feed()
    revision = over.pop("revision", order.messages.count() + 1)
    fields = {
        "control": "NW",
        "revision": revision,
        "control_id": f"{order.order_number}.{revision}",
        "dedupe_key": f"order:{order.pk}:{revision}",
    }
    return LabOrderMessage.objects.create(lab_order=order, feed=feed, **{**fields, **over})


def make_inbound_message(raw: bytes | None = None, **over: Any) -> InboundMessage:
    """Save a message that has just been received; without `raw` it is like no other."""
    raw = b"MSH|^~\\&|LAB|" + secrets.token_hex(8).encode() if raw is None else raw
    fields = {
        "sending_application": "LIS",
        "sending_facility": "LAB",
        "control_id": f"C{next(_numbers)}",
        "message_type": "ORU^R01",
        "version": "2.5.1",
        "ack_code": "AA",
        "peer": "127.0.0.1",
        "sha256": hashlib.sha256(raw).hexdigest(),
        **over,
    }
    key = {name: fields[name] for name in ("sending_application", "sending_facility", "control_id", "sha256")}
    return InboundMessage.objects.create(raw=raw, size_bytes=len(raw), dedupe_key=key_of(**key), **fields)


def make_lab_replay(*messages: InboundMessage, **over: Any) -> LabReplay:
    """Put a replay in line, of one new message if none is given."""
    chosen = messages or (make_inbound_message(status="worklist", work_state="done"),)
    return replays.request(by=None, messages=[message.pk for message in chosen], **over)


def patient_in(patient: Patient, **over: Any) -> PatientIn:
    """Return what a laboratory sends about a patient it knows by our record number."""
    fields = {
        "identifiers": ((patient.medical_record_number, "CLINIC"),),
        "family_name": patient.last_name,
        "given_name": patient.first_name,
        "birth_date": patient.date_of_birth,
        "sex": "F",
    }
    return PatientIn(**{**fields, **over})


def observation_in(**over: Any) -> ObservationIn:
    fields = {
        "code": "2823-3",
        "text": "Potassium",
        "system": "LN",
        "value": "4.1",
        "numeric": Decimal("4.1"),
        "value_type": "NM",
        "unit": "mmol/L",
        "range": "3.5-5.1",
        "flag": "normal",
        "status": "final",
        "index": 1,
    }
    return ObservationIn(**{**fields, **over})


def order_in(*observations: ObservationIn, **over: Any) -> OrderIn:
    fields = {
        "filler": "F1",
        "code": "24323-8",
        "text": "Metabolic panel",
        "system": "LN",
        "status": "final",
        "observed_at": NOON,
        "reported_at": NOON + timedelta(hours=1),
        "priority": "routine",
    }
    return OrderIn(observations=observations, **{**fields, **over})


def report_in(about: Patient, /, *orders: OrderIn, **over: Any) -> ReportIn:
    fields = {"patient": patient_in(about), "sent_at": NOON + timedelta(hours=1, minutes=1)}
    return ReportIn(orders=orders or (order_in(observation_in()),), **{**fields, **over})


def make_critical_result(**over: Any) -> CriticalResult:
    """Save a critical potassium of 6.9 and page for it, as filing does; `lab_order` and other fields of the result."""
    over.setdefault("lab_order", None)
    order = over.pop("lab_order") or make_lab_order(status="in_progress")
    fields = {"result_value": "6.9", "numeric_value": Decimal("6.9"), "abnormal_flag": "critical_high"}
    moments = {"result_date": timezone.now(), "reported_at": timezone.now()}
    result = make_lab_result(lab_order=order, **{**fields, **moments, **over})
    critical.notice([result])
    return CriticalResult.objects.get(result=result)


def make_critical_page(**over: Any) -> CriticalPage:
    return make_critical_result(**over).pages.first()


def filed(report: ReportIn, **message: Any) -> Outcome:
    """File `report` as that of a new message; `message`: fields of it."""
    return services.file_report(make_inbound_message(**message), report)
