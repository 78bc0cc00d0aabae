"""Keys: what is under which, sealing anew beside others who write, a run that was killed, and plain text nowhere."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, models, transaction

from backend.apps.clinical_notes.models import ClinicalNote
from backend.apps.clinical_notes.tests.factories import make_note
from backend.apps.core import deploy_checks, indexing, keyring, resealing, sealed, seals
from backend.apps.core.keyring import CannotOpen
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.insurance.models import BillingEntity, InboundFile, PatientInsurance
from backend.apps.insurance.tests.factories import billing_entity, make_patient_insurance, partner
from backend.apps.insurance.tests.sent_claims import inbound_file
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from tests.support.stage import database_url, until

KILLED, HOLD = "rotation-to-kill", "LOCK TABLE insurance_billingentity IN SHARE MODE"
OLD, NEW = ("old", bytes(range(32))), ("new", bytes(range(1, 33)))


@pytest.fixture(autouse=True)
def keys(settings: Any) -> None:
    settings.FIELD_KEYS = (OLD,)


def next_key(settings: Any) -> None:
    settings.FIELD_KEYS = (NEW, OLD)


def told(*words: str) -> str:
    out = io.StringIO()
    call_command("keys", *words, stdout=out)
    return out.getvalue()


def under(model: type[models.Model]) -> dict[tuple[str, str], int]:
    return {(seal.column, seal.key_id): seal.values for seal in resealing.status() if seal.model is model}


@pytest.mark.django_db
def test_all_rows_come_under_the_first_key_and_say_what_they_said(settings: Any) -> None:
    people = [billing_entity(tax_id=f"{number:09}") for number in range(3)]
    message = make_inbound_message(b"MSH|^~\\&|ELM", ack_sent=b"MSA|AA")
    InboundMessage.objects.filter(pk=message.pk).update(status="filed", work_state="done")
    before = InboundMessage.objects.values().get(pk=message.pk)
    next_key(settings)
    assert under(BillingEntity) == {("tax_id", "old"): 3}
    assert "insurance.BillingEntity: 3 rows sealed anew." in told("rotate")
    assert under(BillingEntity) == {("tax_id", "new"): 3}
    assert under(InboundMessage) == {("raw", "new"): 1, ("ack_sent", "new"): 1}
    settings.FIELD_KEYS = (NEW,)
    assert [BillingEntity.objects.get(pk=one.pk).tax_id for one in people] == ["000000000", "000000001", "000000002"]
    found = InboundMessage.objects.get(pk=message.pk)
    assert (found.raw, found.ack_sent) == (b"MSH|^~\\&|ELM", b"MSA|AA")
    after = InboundMessage.objects.values().get(pk=message.pk)
    assert {name for name, value in after.items() if value != before[name]} == {"raw", "ack_sent"}
    assert "sealed anew" not in told("rotate")


@pytest.mark.django_db
def test_status_names_a_key_that_is_not_there_and_values_nobody_sealed(settings: Any) -> None:
    row = billing_entity(tax_id="123456789")
    assert "insurance.BillingEntity.tax_id" in told("status")
    settings.FIELD_KEYS = (NEW,)
    with pytest.raises(CommandError, match="cannot be read: old"):
        told("status")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE insurance_billingentity SET tax_id = 'plain' WHERE id = %s", [row.pk])
    with pytest.raises(CommandError, match="NOT SEALED"):
        told("status")


@pytest.mark.django_db
def test_a_row_that_does_not_open_is_named_and_left_as_it_is_and_the_others_go_on(settings: Any) -> None:
    good, bad = billing_entity(tax_id="123456789"), billing_entity(tax_id="987654321")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE insurance_billingentity SET tax_id = (SELECT tax_id FROM insurance_billingentity WHERE id = %s) "
            "WHERE id = %s", [good.pk, bad.pk],
        )  # fmt: skip
    next_key(settings)
    with pytest.raises(CommandError, match=f"1 rows hold a value that does not open \\({bad.pk}\\)"):
        told("rotate")
    assert under(BillingEntity) == {("tax_id", "new"): 1, ("tax_id", "old"): 1}


def is_waiting(process: subprocess.Popen[bytes]) -> bool:
    """Whether a part waits for a lock of ours in the database."""
    with psycopg.connect(database_url(), autocommit=True) as looking:
        sql = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        assert process.poll() is None, process.stderr and process.stderr.read()
        return looking.execute(sql, [KILLED]).fetchone() is not None


@pytest.mark.django_db(transaction=True)
def test_a_rotation_that_is_killed_within_a_batch_goes_on_where_it_was(settings: Any) -> None:
    BillingEntity.objects.bulk_create(
        [BillingEntity(name=f"P{number}", tax_id=f"{number:09}") for number in range(resealing.ROWS + 3)]
    )
    ring = " ".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in (NEW, OLD))
    env = {"DATABASE_URL": database_url(), "CARERELAY_FIELD_KEYS": ring, "CARERELAY_PROCESS": KILLED}
    first, second = psycopg.connect(database_url()), psycopg.connect(database_url())
    first.execute(HOLD)  # lets rows be locked and not written
    words = [sys.executable, str(settings.BASE_DIR / "backend" / "manage.py"), "keys", "rotate"]
    with subprocess.Popen(words, env={**os.environ, **env}, stderr=subprocess.PIPE) as rotating:
        until(lambda: is_waiting(rotating))
        after = threading.Thread(target=second.execute, args=(HOLD,))
        after.start()  # stands behind the first batch and before the second
        until(lambda: first.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (2,))
        first.close()
        after.join(20)
        until(lambda: is_waiting(rotating))
        rotating.send_signal(signal.SIGKILL)
    second.close()
    next_key(settings)
    assert under(BillingEntity) == {("tax_id", "new"): resealing.ROWS, ("tax_id", "old"): 3}
    assert "BillingEntity: 3 rows sealed anew" in told("rotate")
    settings.FIELD_KEYS = (NEW,)
    assert {one.tax_id for one in BillingEntity.objects.all()} == {
        f"{number:09}" for number in range(resealing.ROWS + 3)
    }


@pytest.mark.django_db
def test_one_row_that_is_larger_than_a_batch_is_a_batch_of_its_own(settings: Any, monkeypatch: Any) -> None:
    raws = [b"MSH|" + bytes([65 + number]) * 1000 for number in range(4)]
    rows = [make_inbound_message(raw) for raw in raws]
    next_key(settings)
    monkeypatch.setattr(resealing, "BYTES", 100)
    batches = list[int]()
    assert resealing.rotate(InboundMessage, batches.append).rows == 4
    assert batches == [1, 1, 1, 1]
    assert [InboundMessage.objects.get(pk=row.pk).raw for row in rows] == raws


@pytest.mark.django_db(transaction=True)
def test_what_somebody_writes_meanwhile_is_kept_and_nobody_waits(settings: Any, monkeypatch: Any) -> None:
    rows = [make_inbound_message(f"MSH|{number}".encode()) for number in range(6)]
    next_key(settings)
    monkeypatch.setattr(resealing, "ROWS", 2)
    monkeypatch.setattr(resealing, "PAUSE_S", 0.01)
    held, done = threading.Event(), threading.Event()

    def worker() -> None:
        try:
            with transaction.atomic():
                mine = InboundMessage.all_objects.select_for_update().get(pk=rows[1].pk)
                held.set()
                done.wait(20)
                mine.status, mine.ack_sent = "filed", b"MSA|AA|written meanwhile"
                mine.save()
        finally:
            connection.close()

    other = threading.Thread(target=worker)
    other.start()
    assert held.wait(20)
    seen = list[int]()

    def tell(number: int) -> None:
        seen.append(number)
        if sum(seen) == 5:  # all but the one that is held
            done.set()

    found = resealing.rotate(InboundMessage, tell)
    other.join(20)
    assert (found.rows, found.closed, found.held) == (6, (), 0)
    settings.FIELD_KEYS = (NEW,)
    kept = InboundMessage.objects.get(pk=rows[1].pk)
    assert (kept.status, kept.raw, kept.ack_sent) == ("filed", b"MSH|1", b"MSA|AA|written meanwhile")


@pytest.mark.django_db
def test_a_blind_index_is_kept_with_its_column_and_follows_its_key(settings: Any) -> None:
    settings.INDEX_KEYS = (OLD,)
    doctor = make_doctor(dea_number="AB1234563")
    assert list(Doctor.objects.filter(sealed.same(Doctor, "dea_number_index", "AB1234563"))) == [doctor]
    first = Doctor.objects.get(pk=doctor.pk).dea_number_index
    assert (len(first), Doctor.objects.filter(dea_number_index=keyring.digest(b"elsewhere", "AB1234563")).exists()) == (
        16, False,
    )  # fmt: skip
    settings.INDEX_KEYS = (NEW, OLD)
    assert list(Doctor.objects.filter(sealed.same(Doctor, "dea_number_index", "AB1234563"))) == [doctor]
    told("rotate", "--indexes")
    settings.INDEX_KEYS = (NEW,)
    assert Doctor.objects.get(pk=doctor.pk).dea_number_index != first
    assert list(indexing.lost()) == deploy_checks.are_indexes_whole() == []
    make_doctor(dea_number="AB1234564")
    settings.INDEX_KEYS = (("third", bytes(32)),)
    make_doctor(dea_number="AB1234565")
    assert ("doctors.Doctor.dea_number_index", 2, 3) in indexing.lost()
    with pytest.raises(CommandError, match="2 of 3 rows looked at are found by no key of CARERELAY_INDEX_KEYS"):
        told("status")
    assert {one.id for one in deploy_checks.are_indexes_whole()} == {"carerelay.index_keys"}
    warned = io.StringIO()
    call_command("migrate", verbosity=0, stderr=warned)
    assert "doctors.Doctor.dea_number_index: 2 of 3" in warned.getvalue()
    told("rotate", "--indexes")
    assert list(indexing.lost()) == []
    assert list(Doctor.objects.filter(sealed.same(Doctor, "dea_number_index", "AB1234563"))) == [doctor]
    doctor.dea_number = ""
    doctor.save(update_fields=["dea_number"])
    assert Doctor.objects.get(pk=doctor.pk).dea_number_index is None
    assert not Doctor.objects.filter(sealed.same(Doctor, "dea_number_index", "")).exists()


def behind(sql: str, *values: Any) -> None:
    """Write as before there were sealed columns, past every trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.django_db
def test_what_was_plain_before_an_upgrade_is_carried_over_also_when_the_upgrade_is_begun_twice() -> None:
    note, doctor, biller = make_note(signed=True), make_doctor(dea_number=""), billing_entity()
    empty, forged = make_note(content="", diagnosis="v1:old:AAAA"), "v1:old:bm90IHNlYWxlZA=="
    file = inbound_file(partner(), content=b"ISA*00*")
    texts = {
        "content": "Fever since Tuesday",
        "diagnosis": forged,
        "treatment_plan": "  ",
        "follow_up_instructions": "",
    }
    sets = ", ".join(f"{name} = %s" for name in texts)
    behind(f"UPDATE clinical_notes_clinicalnote SET {sets} WHERE id = %s", *texts.values(), note.pk)  # noqa: S608  # ours
    behind("UPDATE doctors_doctor SET dea_number = 'AB1234563', dea_number_index = NULL WHERE id = %s", doctor.pk)
    behind("UPDATE insurance_billingentity SET tax_id = %s WHERE id = %s", seals.seal("123456789"), biller.pk)
    behind("UPDATE insurance_inboundfile SET content = 'ISA*00*'::bytea WHERE id = %s", file.pk)
    before = ClinicalNote.objects.values_list("updated_at", flat=True).get(pk=note.pk)
    for _ in range(2):
        for model in (ClinicalNote, Doctor, InboundFile):
            resealing.seal_all(model)
        resealing.seal_all(BillingEntity, seals.unseal)
    kept = ClinicalNote.objects.get(pk=note.pk)
    assert {name: getattr(kept, name) for name in texts} == texts
    assert (kept.updated_at, ClinicalNote.objects.get(pk=empty.pk).content) == (before, "")
    assert BillingEntity.objects.get(pk=biller.pk).tax_id == "123456789"
    assert bytes(InboundFile.objects.get(pk=file.pk).content) == b"ISA*00*"
    assert Doctor.objects.get(sealed.same(Doctor, "dea_number_index", "AB1234563")).dea_number == "AB1234563"
    assert {key for model in (ClinicalNote, Doctor, BillingEntity, InboundFile) for _, key in under(model)} == {"old"}


@pytest.mark.django_db(transaction=True)
def test_indexes_are_written_anew_beside_others_and_rows_that_clash_are_named_and_stop_nothing(
    settings: Any, monkeypatch: Any
) -> None:
    settings.INDEX_KEYS = (OLD,)
    rows = [make_doctor(dea_number=f"AB{number:06}3") for number in range(5)]
    settings.INDEX_KEYS = (NEW, OLD)
    twin = make_doctor(dea_number="")
    Doctor.objects.filter(pk=twin.pk).update(**sealed.written(Doctor, twin.pk, dea_number=rows[1].dea_number))
    next_key(settings)  # turned together: sealing anew leaves indexes, and twins, to what comes after it
    monkeypatch.setattr(indexing, "ROWS", 2)
    monkeypatch.setattr(indexing, "PASSES", 1)
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT 1 FROM doctors_doctor WHERE id = %s FOR NO KEY UPDATE", [rows[3].pk])
        with pytest.raises(CommandError) as refused:
            told("rotate", "--indexes")
    assert "1 rows were held" in str(refused.value)
    assert f"have a value another row has: {rows[1].pk}." in str(refused.value)
    Doctor.objects.filter(pk=twin.pk).update(**sealed.written(Doctor, twin.pk, dea_number=""))
    assert indexing.reindex(Doctor).rows == 2, "those that were left"
    settings.INDEX_KEYS = (NEW,)
    assert [Doctor.objects.get(sealed.same(Doctor, "dea_number_index", row.dea_number)).pk for row in rows] == [
        row.pk for row in rows
    ]


@pytest.mark.django_db
def test_one_value_of_a_row_that_does_not_open_keeps_the_index_of_no_other_under_the_key_that_goes(
    settings: Any,
) -> None:
    settings.INDEX_KEYS = (OLD,)
    patient = make_patient(phone="+14155557391", email="a@example.org")
    behind("UPDATE patients_patient SET email = phone WHERE id = %s", patient.pk)
    settings.INDEX_KEYS = (NEW, OLD)
    with pytest.raises(CommandError, match=f"1 rows hold a value that does not open \\({patient.pk}"):
        told("rotate", "--indexes")
    settings.INDEX_KEYS = (NEW,)
    assert Patient.objects.filter(sealed.same(Patient, "phone_index", "+14155557391")).exists()
    settings.INDEX_KEYS = (OLD,)
    assert Patient.objects.filter(sealed.same(Patient, "email_index", "a@example.org")).exists()


@pytest.mark.django_db
def test_what_stayed_plain_is_sealed_by_a_command_and_what_only_looks_sealed_is_named_and_left(settings: Any) -> None:
    plain, fine, changed, older = (billing_entity(tax_id=f"12345678{number}") for number in range(4))
    note, coverage = make_note(signed=True), make_patient_insurance()
    seen = sealed.column(BillingEntity, "tax_id").seal(fine.pk, "999999999")
    behind("UPDATE insurance_billingentity SET tax_id = '123456780' WHERE id = %s", plain.pk)
    behind("UPDATE insurance_billingentity SET tax_id = %s WHERE id = %s", seen, changed.pk)
    behind("UPDATE insurance_billingentity SET tax_id = %s WHERE id = %s", seals.seal("987654321"), older.pk)
    behind("UPDATE clinical_notes_clinicalnote SET content = 'Fever' WHERE id = %s", note.pk)
    behind(
        "UPDATE insurance_patientinsurance SET member_id = 'W 123', member_id_index = NULL WHERE id = %s", coverage.pk
    )
    with pytest.raises(CommandError, match="NOT SEALED"):
        told("status")
    with pytest.raises(CommandError, match=f"1 rows hold a value that does not open \\({older.pk}\\)"):
        told("seal")
    assert BillingEntity.objects.get(pk=plain.pk).tax_id == "123456780"
    assert ClinicalNote.objects.get(pk=note.pk).content == "Fever"
    assert PatientInsurance.objects.get(sealed.same(PatientInsurance, "member_id_index", "w123")).member_id == "W 123"
    assert BillingEntity.objects.values_list("tax_id", flat=True).get(pk=changed.pk).content == seen
    BillingEntity.objects.filter(pk=older.pk).update(**sealed.written(BillingEntity, older.pk, tax_id="987654321"))
    with pytest.raises(CommandError, match=f"1 rows hold a value that does not open \\({changed.pk}\\)"):
        told("check")
    assert "NOT SEALED" not in told("status")


@pytest.mark.django_db
def test_an_upgrade_that_was_ended_goes_on_where_it_was(monkeypatch: Any) -> None:
    rows = [billing_entity(tax_id=f"{number:09}") for number in range(5)]
    monkeypatch.setattr(resealing, "ROWS", 2)
    for row in rows:
        behind("UPDATE insurance_billingentity SET tax_id = %s WHERE id = %s", row.tax_id, row.pk)

    class Ended(Exception):
        pass

    def end(_rows: int) -> None:
        raise Ended

    with pytest.raises(Ended):
        resealing.seal_all(BillingEntity, tell=end)
    assert (resealing.plain(BillingEntity), resealing.seal_all(BillingEntity)) == (3, 3)
    assert [BillingEntity.objects.get(pk=row.pk).tax_id for row in rows] == [row.tax_id for row in rows]


@pytest.mark.django_db
def test_an_upgrade_that_lacks_a_key_stops_and_seals_nothing_twice(settings: Any) -> None:
    row = billing_entity(tax_id="123456789")
    settings.FIELD_KEYS = (NEW,)
    with pytest.raises(CannotOpen, match=r"1 values of insurance\.BillingEntity are under the key old"):
        resealing.seal_all(BillingEntity)
    settings.FIELD_KEYS = (OLD,)
    assert BillingEntity.objects.get(pk=row.pk).tax_id == "123456789"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("first", "change"),
    [("SELECT 1", "content = 'v1:old:AAAA'"), (resealing.TRIGGERS_LET, "is_signed = false, signed_at = NULL")],
)
def test_only_sealing_anew_may_touch_a_signed_note_and_nothing_else_of_it(first: str, change: str) -> None:
    note = make_note(signed=True)
    sql = f"UPDATE clinical_notes_clinicalnote SET {change} WHERE id = %s"  # noqa: S608  # ours
    with connection.cursor() as cursor:
        cursor.execute(first)
        with pytest.raises(IntegrityError, match="signed note stays"), transaction.atomic():
            cursor.execute(sql, [note.pk])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "is_sealed"),
    [
        (f"v1:old:{'A' * 38}==", True), (f"v1:old:{'A' * 37}", False), (f"v1:old: {'A' * 60}", False),
        (f"v1:Old:{'A' * 60}", False), (f"v1:old:{'A' * 40}:{'A' * 40}", False), (f"v1::{'A' * 60}", False),
        (f"v1:old4567890:{'A' * 60}", False), ("v1:old:she said no", False), (f"v1:old:{'A' * 80}\u00e9", True),
        (f"v1:old:{'A' * 30}\u00e9{'A' * 30}", False),
    ],
)  # fmt: skip
def test_python_and_the_database_agree_on_what_looks_sealed(text: str, is_sealed: bool) -> None:
    row, tax_id = billing_entity(tax_id="123456789"), sealed.column(BillingEntity, "tax_id")
    behind("UPDATE insurance_billingentity SET tax_id = %s WHERE id = %s", text, row.pk)
    (found,) = [seal.key_id for seal in resealing.status(BillingEntity)]
    assert (found, tax_id.key_id(text)) == (("old", "old") if is_sealed else ("", ""))


def test_numbers_are_told_alike_however_they_are_written() -> None:
    normal = sealed.NORMAL
    assert normal["phone"]("(518) 234-5678") == normal["phone"]("+1 518 234 5678") == "15182345678"
    assert normal["code"]("w12 345-a") == normal["code"]("W12345A")
    assert normal["email"](" Jose\u0301@Example.org ") == normal["email"]("jos\u00e9@example.ORG")
