"""Holds the way in by files: whatever lies in a folder ends as a row with a reason, or is named as left out."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from backend.apps.laboratory.models import InboundMessage, LabResult
from backend.apps.laboratory.tests.factories import make_lab_feed
from backend.apps.patients.tests.factories import make_patient
from tests.workers.wire import framed, oru
from workers import hl7_files, ingest

SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "hl7"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def report(control: str, record_number: str) -> bytes:
    lines = (
        f"MSH|^~\\&|LIS|LAB|||20260302130000+0000||ORU^R01|{control}|P|2.5.1",
        f"PID|1||{record_number}^^^CLINIC^MR||Okafor^Ada||19800517|F",
        f"OBR|1||{control}|24323-8^Panel^LN|||20260302120000+0000|||||||||||||||20260302130000+0000|||F",
        "OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|3.5-5.1|N|||F",
    )
    return "\r".join([*lines, ""]).encode()


def statuses() -> Counter[str]:
    return Counter(InboundMessage.objects.values_list("status", flat=True))


def test_every_file_of_a_folder_is_accounted_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patient = make_patient()
    (tmp_path / "below").mkdir()
    (tmp_path / "good.hl7").write_bytes(report("1", patient.medical_record_number))
    (tmp_path / "again.hl7").write_bytes(report("1", patient.medical_record_number))
    (tmp_path / "below" / "stranger.hl7").write_bytes(report("2", "NOBODY"))
    (tmp_path / "other.hl7").write_bytes(report("3", "X").replace(b"ORU^R01", b"ADT^A08"))
    (tmp_path / "picture.png").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"MSH|")
    assert ingest.main([str(tmp_path)]) == 0
    assert statuses() == {"filed": 1, "worklist": 1, "rejected": 2}
    assert not InboundMessage.objects.exclude(work_state="done").exists()
    assert InboundMessage.objects.get(status="filed").repeats == 1
    assert LabResult.objects.get().lab_order.patient == patient
    out = capsys.readouterr().out
    assert "Took in 5 messages: 4 new, 1 stored before." in out
    assert "2  filed\n" in out
    assert "1  worklist  " in out
    assert "1  rejected   This is not an HL7 message." in out
    assert "1  rejected   This type" in out
    assert out.endswith("None was lost.\n")


def test_a_file_of_many_messages_is_taken_apart(tmp_path: Path) -> None:
    patient = make_patient()
    whole = b"FHS|^~\\&\rBHS|^~\\&\r" + b"".join(report(str(n), patient.medical_record_number) for n in range(3))
    (tmp_path / "batch.hl7").write_bytes(whole + b"BTS|3\rFTS|1\r")
    assert ingest.main([str(tmp_path / "batch.hl7")]) == 0
    assert statuses() == {"filed": 3}


def test_more_messages_than_one_batch_are_all_filed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BATCH", 4)
    patient = make_patient()
    (tmp_path / "many.hl7").write_bytes(b"".join(report(f"{n}", patient.medical_record_number) for n in range(10)))
    assert ingest.main([str(tmp_path)]) == 0
    assert statuses() == {"filed": 10}


@pytest.mark.skipif(not SAMPLES.exists(), reason="the sample messages are not in this tree")
def test_all_sample_messages_are_taken_and_none_breaks_the_filing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SAMPLES, tmp_path / "samples", ignore=shutil.ignore_patterns("*.json", "*.md"))
    assert ingest.main([str(tmp_path)]) == 0
    counted = [1 + repeats for repeats in InboundMessage.objects.values_list("repeats", flat=True)]
    assert sum(counted) >= len(list((tmp_path / "samples").glob("*.hl7")))
    told = f"Took in {sum(counted)} messages: {len(counted)} new, {sum(counted) - len(counted)} stored before."
    assert told in capsys.readouterr().out
    assert not InboundMessage.objects.exclude(work_state="done").exists()
    assert set(statuses()) <= {"worklist", "rejected"}  # their patients are not ours


def test_what_cannot_be_taken_is_named_and_the_rest_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hl7_files, "LARGEST", 1024)
    (tmp_path / "large.mllp").write_bytes(framed(oru("1"), oru("3", filler=b"x" * 2000), oru("4")))
    (tmp_path / "packed.7z").write_bytes(b"7z")
    (tmp_path / "small.hl7").write_bytes(oru("2"))
    assert ingest.main([str(tmp_path), str(tmp_path / "small.hl7")]) == 1
    out = capsys.readouterr().out
    assert "large.mllp: a message is larger than" in out
    assert "packed.7z: this kind of archive is not opened" in out
    assert out.endswith("2 files could not be taken whole.\n")
    assert set(InboundMessage.objects.values_list("control_id", flat=True)) == {"1", "2"}


def test_a_second_run_tells_that_everything_was_stored_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patient = make_patient()
    (tmp_path / "one.hl7").write_bytes(report("1", patient.medical_record_number) + report("2", "NOBODY"))
    assert ingest.main([str(tmp_path)]) == 0
    capsys.readouterr()
    assert ingest.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "Took in 2 messages: 0 new, 2 stored before." in out
    assert "1  filed\n" in out
    assert "1  worklist  " in out
    assert "Everything was stored before." in out


def test_packed_files_are_opened_and_batches_whose_counts_differ_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patient = make_patient()
    whole = b"BHS|^~\\&\r" + report("1", patient.medical_record_number) + b"BTS|7\r"
    (tmp_path / "one.hl7.gz").write_bytes(gzip.compress(whole))
    with zipfile.ZipFile(tmp_path / "two.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/two.hl7", report("2", patient.medical_record_number))
        archive.writestr("in/again.zip", b"PK")
    (tmp_path / "broken.gz").write_bytes(gzip.compress(whole)[:-20])
    assert ingest.main([str(tmp_path)]) == 1
    assert statuses() == {"filed": 2}
    out = capsys.readouterr().out
    assert "one.hl7.gz: BTS 1: counts 7 messages, there are 1" in out
    assert "in/again.zip: an archive inside an archive is not opened" in out
    assert "broken.gz: it cannot be read" in out


def test_a_folder_without_files_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest.main([str(tmp_path), str(tmp_path / "missing")]) == 1
    assert "no files there" in capsys.readouterr().err


def test_a_message_whose_filing_breaks_is_back_in_line_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_lab_feed(sending_facility="BREAKS", time_zone="No/Zone")  # which no form would take
    breaks = report("1", "NOBODY").replace(b"|LAB|", b"|BREAKS|")
    (tmp_path / "two.hl7").write_bytes(breaks + report("2", "NOBODY"))
    assert ingest.main([str(tmp_path)]) == 0
    states = dict(InboundMessage.objects.values_list("control_id", "work_state"))
    assert states == {"1": "waiting", "2": "done"}
    assert "1  received   It is in line to be filed." in capsys.readouterr().out


def test_frames_saved_from_the_wire_are_read_too(tmp_path: Path) -> None:
    patient = make_patient()
    raws = (report("1", patient.medical_record_number), report("2", patient.medical_record_number))
    (tmp_path / "capture.mllp").write_bytes(framed(*raws))
    assert ingest.main([str(tmp_path)]) == 0
    assert statuses() == {"filed": 2}
