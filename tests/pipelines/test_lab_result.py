"""Proves the first pipeline end to end: a foreign client sends, the listener commits, a worker files, the API shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backend.apps.laboratory.models import InboundMessage
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for
from tests.support.stage import Stage, until
from workers.cli import state
from workers.cli.demo_labs import message


def send(port: int, raw: bytes, folder: Path) -> str:
    """Send one message with `mllp_send` of the `hl7` package, which this project did not write."""
    file = folder / "message.hl7"
    file.write_bytes(raw)
    client = Path(sys.executable).parent / "mllp_send"
    done = subprocess.run(
        [str(client), "--loose", "--file", str(file), "--port", str(port), state.HOST],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def listen(stage: Stage) -> int:
    port = stage.reserve_port()
    stage.start("mllp", "-m", "workers.mllp_listener", "--port", str(port))
    until(lambda: b"listening" in stage.log("mllp"))
    return port


def test_a_result_sent_by_a_foreign_client_is_acknowledged_filed_and_shown(stage: Stage, tmp_path: Path) -> None:
    patient = make_patient()
    sent = {
        "medical_record_number": patient.medical_record_number,
        "first_name": patient.first_name,
        "last_name": patient.last_name,
        "date_of_birth": patient.date_of_birth.isoformat(),
        "gender": patient.gender,
    }
    port = listen(stage)
    stage.worker()
    raw = message(sent, "PIPE0001")
    assert "MSA|AA|PIPE0001" in send(port, raw, tmp_path)
    assert "MSA|AA|PIPE0001" in send(port, raw, tmp_path)
    stored = InboundMessage.objects.get()
    assert bytes(stored.raw) == raw.rstrip(b"\r")  # the client drops the last CR
    assert stored.repeats == 1
    until(lambda: InboundMessage.objects.filter(status="filed", work_state="done").exists())
    rows = client_for(make_user("lab_tech")).get("/api/v1/lab-results/").data["results"]
    assert {(row["code_as_sent"], row["result_value"], row["status"]) for row in rows} == {
        ("2823-3", "4.1", "final"),
        ("2345-7", "105", "final"),
    }


def test_a_message_about_nobody_we_know_waits_for_a_person(stage: Stage, tmp_path: Path) -> None:
    stranger = {
        "medical_record_number": "NOBODY1",
        "first_name": "No",
        "last_name": "Body",
        "date_of_birth": "1990-01-01",
        "gender": "female",
    }
    port = listen(stage)
    stage.worker()
    assert "MSA|AA|PIPE0002" in send(port, message(stranger, "PIPE0002"), tmp_path)
    until(lambda: InboundMessage.objects.filter(status="worklist", patient=None).exists())


def test_a_message_of_another_kind_is_stored_and_refused(stage: Stage, tmp_path: Path) -> None:
    port = listen(stage)
    raw = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A08|PIPE0003|P|2.5.1\rPID|1||X\r"
    assert "MSA|AR|PIPE0003" in send(port, raw, tmp_path)
    assert InboundMessage.objects.get().status == "rejected"
