"""Files messages in the plain way, to be compared with: a Celery task per message, hl7apy, one `save` per result.

Run as `celery -A tests.benchmarks.plain_filing worker`. What it leaves out (versions, codes, specimens, matching of
anything but the record number) is in its favour.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import django
from celery import Celery
from django.utils import timezone
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from backend.apps.laboratory.models import InboundMessage, LabOrder, LabResult, LabTest  # noqa: E402  # after setup()
from backend.apps.patients.models import Patient  # noqa: E402  # kept together with the line above

app = Celery("plain")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(task_default_queue="plain", task_ignore_result=True)


@app.task(name="plain.file")  # type: ignore[untyped-decorator]  # Celery has no types
def file(message_id: str) -> None:
    """File one message; a task of its own for each, as tutorials do it."""
    message = InboundMessage.objects.get(pk=message_id)
    parsed = parse_message(bytes(message.raw).decode(), validation_level=VALIDATION_LEVEL.TOLERANT)
    group = parsed.oru_r01_patient_result
    number = group.oru_r01_patient.pid.pid_3.cx_1.value
    patient = Patient.objects.get(medical_record_number=number)
    for each in group.oru_r01_order_observation:
        order = LabOrder.objects.create(patient=patient, is_external=True, order_date=timezone.now())
        for one in each.oru_r01_observation:
            _save(order, message, one.obx)
    message.patient, message.status, message.work_state = patient, "filed", "done"
    message.save()


def _save(order: LabOrder, message: InboundMessage, obx: Any) -> None:
    code = obx.obx_3.ce_1.value
    test = LabTest.objects.filter(test_code=code).first()
    key = hashlib.sha256(f"{message.pk}{code}".encode()).hexdigest()
    LabResult(
        lab_order=order,
        lab_test=test,
        code_as_sent=code,
        code_text_as_sent=obx.obx_3.ce_2.value,
        result_value=obx.obx_5.value,
        numeric_value=obx.obx_5.value,
        unit=obx.obx_6.ce_1.value,
        reference_range=obx.obx_7.value,
        abnormal_flag="normal",
        status="final",
        result_date=timezone.now(),
        source_message=message,
        result_key=key,
        digest=key,
    ).save()
