"""Proves the way of a critical result with real processes: filed, paged, unanswered, escalated, read back, quiet."""

from __future__ import annotations

import subprocess
from datetime import timedelta

from django.utils import timezone

from backend.apps.core.models import Heartbeat
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory.models import CriticalPage, CriticalResult, LabOrder
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_order
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from integrations.doubles.twilio import TwilioDouble
from tests.support.api_contract import client_for
from tests.support.stage import Stage, until

DOCTOR, COVERING = "+14155550171", "+14155550172"
ESCALATE = "import workers.celery_app; from workers import critical_results; print(critical_results.escalate())"
RING = "import workers.celery_app; from workers import sweep; print(sweep.hold_lost(), sweep.overdue())"


def arrive() -> User:
    """Let a critical potassium arrive for an order; return the login of the doctor who covers for who ordered it."""
    covering = make_user("doctor", phone=COVERING)
    ordering = make_doctor(user=make_user("doctor", phone=DOCTOR), covering_doctor=make_doctor(user=covering))
    order = make_lab_order(doctor=ordering, status="ordered")
    make_inbound_message(raw=report(order), control_id="CRIT0001")
    return covering


def report(order: LabOrder) -> bytes:
    """Return a critical potassium of just now, as a laboratory sends it (HL7 v2.5.1, chapter 7, ORU^R01)."""
    patient, now = order.patient, f"{timezone.now():%Y%m%d%H%M%S}+0000"
    name, born = f"{patient.last_name}^{patient.first_name}", f"{patient.date_of_birth:%Y%m%d}"
    return "\r".join([
        f"MSH|^~\\&|LIS|LAB|CARERELAY|CLINIC|{now}||ORU^R01^ORU_R01|CRIT0001|P|2.5.1",
        f"PID|1||{patient.medical_record_number}^^^CLINIC^MR||{name}||{born}|F",
        f"OBR|1|{order.order_number}|FCRIT1|24323-8^Metabolic panel^LN|||{now}|||||||||||||||{now}|||F",
        f"OBX|1|NM|2823-3^Potassium^LN||6.9|mmol/L^^UCUM|3.5-5.1|HH|||F|||{now}\r",
    ]).encode()  # fmt: skip


def escalate_now(stage: Stage) -> None:
    CriticalResult.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert stage.start("escalate", "-c", ESCALATE).wait(60) == 0


def ring(stage: Stage) -> None:
    assert stage.start("ring", "-c", RING).wait(60) == 0


def test_a_critical_result_is_paged_escalated_read_back_and_then_quiet(stage: Stage, twilio: TwilioDouble) -> None:
    covering = arrive()
    stage.worker()
    ring(stage)
    until(lambda: [sms.to for sms in twilio.sent] == [DOCTOR])
    row = CriticalResult.objects.get()
    escalate_now(stage)
    until(lambda: [sms.to for sms in twilio.sent] == [DOCTOR, COVERING])
    url = f"/api/v1/critical-results/{row.pk}/acknowledge/"
    assert client_for(covering).post(url, {"read_back": "9.6"}).status_code == 422
    assert client_for(covering).post(url, {"read_back": "6.9"}).status_code == 200
    assert stage.start("escalate", "-c", ESCALATE).wait(60) == 0
    ring(stage)
    until(lambda: not CriticalPage.work.filter(work_state__in=["waiting", "running"]).exists())
    assert len(twilio.sent) == 2
    assert Heartbeat.objects.get(entry="critical results unacknowledged").runs == 2
    for sms in twilio.sent:
        assert str(row.pk) in sms.body
        for private in ("6.9", "otassium", row.patient.last_name, row.patient.medical_record_number):
            assert private not in sms.body
    assert list(row.steps.values_list("kind", flat=True)) == ["noted", "paged", "escalated", "paged", "acknowledged"]


def test_a_worker_killed_while_it_pages_leaves_the_page_held_and_the_next_tier_is_paged(
    stage: Stage, twilio: TwilioDouble
) -> None:
    arrive()
    twilio.fail_next(hang_s=60)
    worker: subprocess.Popen[bytes] = stage.worker("first")
    ring(stage)
    until(lambda: CriticalPage.work.filter(work_state="running", begun_at__isnull=False).exists())
    until(lambda: len(twilio.requests) == 1)
    stage.kill_tree(worker)
    CriticalPage.work.update(leased_until=timezone.now() - timedelta(seconds=1))
    stage.worker("second")
    ring(stage)
    until(lambda: CriticalPage.work.filter(work_state="held").exists())
    escalate_now(stage)
    until(lambda: CriticalPage.work.filter(tier=1, work_state="done").exists())
    assert [sms.to for sms in twilio.sent] == [DOCTOR, COVERING], "taken before the worker died, and not sent again"
    assert CriticalResult.objects.get().status == "open"
    assert CriticalPage.work.get(tier=0).work_state == "held"
