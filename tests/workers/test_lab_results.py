"""Holds the way of a stored message into the chart: its outcome, what was odd about it, and what a person is told."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert
from backend.apps.laboratory.models import InboundMessage, LabResult, LabSpecimen
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed, make_lab_order
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.workers.rows import HOUR, stored
from workers.lab_results import file_due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]

HEAD = "MSH|^~\\&|LIS|LAB|||20260302130000+0000||ORU^R01^ORU_R01|{control}|P|2.5.1\r"
PANEL = "OBR|1|{placer}|{filler}|24323-8^Panel^LN|||20260302120000+0000|||||||||||||||20260302130000+0000|||F\r"


def message(patient: Patient, body: str, *, control: str = "1", **over: Any) -> InboundMessage:
    born = over.pop("born", f"{patient.date_of_birth:%Y%m%d}")
    pid = f"PID|1||{patient.medical_record_number}^^^C^MR||{patient.last_name}^{patient.first_name}||{born}|F\r"
    raw = HEAD.format(control=control) + pid + PANEL.format(placer=over.pop("placer", ""), filler="F1") + body
    return make_inbound_message(
        raw.encode(over.pop("encoding", "utf-8")), control_id=control, due_at=timezone.now() - HOUR, **over
    )


def filed(row: InboundMessage) -> Any:
    file_due()
    return stored(row)


def test_every_kind_of_value_is_filed_from_one_message(settings: Any, tmp_path: Path, commits: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    pdf = base64.b64encode(b"%PDF-1.4 x").decode()
    rows = [
        "NM|1-1^A^LN||4.1|mmol/l||H", "SN|2-1^B^LN||<^5|mg/dL||", "ST|3-1^C^LN||positive", "TX|4-1^D^LN||one~two",
        "CWE|5-1^E^LN||112283007^E. coli^SCT||||", "DT|6-1^F^LN||20260302", "TM|7-1^G^LN||1200",
        f"ED|8-1^H^LN||LAB^Application^PDF^Base64^{pdf}", "RP|9-1^I^LN||https://example.org/image^PACS^Image^DICOM",
        "ED|10-1^J^LN||LAB^Application^PDF^Base64^###", "CE|11-1^K^LN||S^Susceptible|||R",
    ]  # fmt: skip
    lines = [f"OBX|{place}|{row.ljust(1)}{'|' * (11 - row.count('|') - 2)}F\r" for place, row in enumerate(rows, 1)]
    body = "".join(lines) + "SPM|1|S1^S2||SER^Serum^HL70487|||||||||||||20260302115500\r"
    with commits:
        after = filed(message(make_patient(), body))
    assert (after.status, after.status_reason) == ("filed", "")
    found = {row.code_as_sent: row for row in LabResult.objects.all()}
    assert {code: found[code].result_value for code in ("1-1", "2-1", "3-1", "4-1", "5-1", "6-1", "7-1")} == {
        "1-1": "4.1", "2-1": "<5", "3-1": "positive", "4-1": "one\ntwo", "5-1": "E. coli", "6-1": "20260302",
        "7-1": "1200",
    }  # fmt: skip
    assert (found["1-1"].unit, found["1-1"].unit_as_sent, found["1-1"].abnormal_flag) == ("mmol/L", "mmol/l", "high")
    assert found["8-1"].file_attachment.read() == b"%PDF-1.4 x"
    assert "https://example.org/image" in found["9-1"].result_value
    assert "could not be kept here" in found["10-1"].result_value
    assert found["11-1"].interpretation == "Resistant"
    assert (found["3-1"].source_segment, found["3-1"].observation_index) == ("OBX", 3)
    assert LabSpecimen.objects.get().type_text == "Serum"
    assert any(each["number"] == 10 and "could not be kept" in each["message"] for each in after.findings)
    assert after.filed_at is not None


@pytest.fixture
def commits(django_capture_on_commit_callbacks: Any) -> Any:
    return django_capture_on_commit_callbacks(execute=True)


def test_findings_tell_places_and_no_values() -> None:
    after = filed(message(make_patient(), "OBX|1|NM|2823-3^Potassium^LN||CANARY|||||F\r"))
    assert after.status == "filed"
    assert {"segment": "OBX", "number": 1, "field": 5, "message": "not a number: 6 characters"} in after.findings
    assert "CANARY" not in str(after.findings)


def test_a_birth_date_that_is_none_waits_for_a_person_unless_the_name_fits() -> None:
    patient, obx = make_patient(), "OBX|1|NM|2823-3^Potassium^LN||4.1||||||F\r"
    assert filed(message(patient, obx, born="17.5.80")).status == "filed"
    stranger = Patient(
        medical_record_number=patient.medical_record_number,
        first_name="A",
        last_name="B",
        date_of_birth=patient.date_of_birth,
    )
    after = filed(message(stranger, obx, control="2", born="17.5.80"))
    assert (after.status, after.patient) == ("worklist", None)
    assert after.status_reason == "The message has no date of birth, and the name does not fit the record number."


def test_two_contents_under_one_control_id_are_both_filed_and_a_person_is_told() -> None:
    patient = make_patient()
    rows = [
        message(patient, f"OBX|1|NM|2823-3^Potassium^LN||{value}||||||C\r", conflict=True) for value in ("4.1", "5.9")
    ]
    assert {filed(row).status for row in rows} == {"filed"}
    assert all("look at both" in stored(row).status_reason and stored(row).conflict for row in rows)
    assert LabResult.objects.filter(is_current=True).count() == 1


def test_one_alert_of_the_feed_calls_a_person_to_a_conflict_and_handling_it_again_calls_nobody() -> None:
    patient, feed = make_patient(), make_lab_feed(name="Northside")
    obx = "OBX|1|NM|2823-3^Potassium^LN||{}||||||F\r"
    rows = [message(patient, obx.format(value), conflict=True, feed=feed) for value in ("4.1", "5.9")]
    filed(rows[0])
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject_id) == ("lab_conflict", str(feed.pk))
    assert "Northside used one control id" in alert.sentence
    alerts.resolve(alert, by=make_user())
    Alert.objects.update(resolved_at=timezone.now() - HOUR)
    InboundMessage.work.back_in_line(rows[0].pk, at_rest=["done"])
    InboundMessage.work.filter(pk=rows[0].pk).update(due_at=timezone.now() - HOUR)
    assert filed(rows[0]).status == "filed"
    assert Alert.objects.filter(resolved_at=None).count() == 0


def test_a_final_without_a_value_on_file_waits_for_a_person_and_hides_nothing() -> None:
    body = "OBX|1|NM|2823-3^Potassium^LN||||||||U\rOBX|2|NM|2345-7^Glucose^LN||99||||||F\r"
    after = filed(message(make_patient(), body))
    assert after.status == "worklist"
    assert "no preliminary value is on file" in after.status_reason
    assert [row.code_as_sent for row in LabResult.objects.all()] == ["2345-7"]


def test_the_feed_says_which_charset_and_zone_are_meant_where_the_message_does_not() -> None:
    feed = make_lab_feed(charset="8859/2", time_zone="America/New_York")
    body = "OBX|1|ST|1-1^A^LN||\u0142||||||F|||20260302120000\r"
    filed(message(make_patient(), body, feed=feed, encoding="iso8859-2"))
    result = LabResult.objects.get()
    assert result.result_value == "\u0142"
    assert result.result_date is not None
    assert result.result_date.hour == 17


def test_many_messages_cost_as_many_statements_as_few(django_assert_max_num_queries: Any) -> None:
    order = make_lab_order(status="ordered")
    obx = "OBX|1|NM|2823-3^Potassium^LN||4.{}||||||C\r"
    for place in range(30):
        message(order.patient, obx.format(place), control=str(place), placer=order.order_number)
    with django_assert_max_num_queries(36):
        assert file_due() == "30 done"
    assert LabResult.objects.get(is_current=True).version == 30


def test_a_message_that_is_no_hl7_is_refused_and_costs_no_other() -> None:
    bad = make_inbound_message(b"nothing", due_at=timezone.now() - HOUR)
    good = message(make_patient(), "OBX|1|NM|2823-3^Potassium^LN||4.1||||||F\r")
    assert (filed(bad).status, stored(good).status) == ("rejected", "filed")
