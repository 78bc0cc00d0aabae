"""Keys: what is under which, sealing anew beside others who write, a run that was killed, and plain text nowhere."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, models, transaction

from backend.apps.clinical_notes.models import ClinicalNote
from backend.apps.clinical_notes.tests.factories import make_note
from backend.apps.core import keyring, resealing, sealed, seals
from backend.apps.core.keyring import CannotOpen
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.insurance.models import BillingEntity, InboundFile
from backend.apps.insurance.tests.factories import billing_entity, partner
from backend.apps.insurance.tests.sent_claims import inbound_file
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message

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
    with pytest.raises(CommandError, match=f"1 rows do not open \\({bad.pk}\\)"):
        told("rotate")
    assert under(BillingEntity) == {("tax_id", "new"): 1, ("tax_id", "old"): 1}


@pytest.mark.django_db
def test_a_run_that_was_ended_goes_on_where_it_was(settings: Any, monkeypatch: Any) -> None:
    for number in range(5):
        billing_entity(tax_id=f"{number:09}")
    next_key(settings)
    monkeypatch.setattr(resealing, "ROWS", 2)

    class Killed(Exception):
        pass

    def stop(_rows: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        resealing.rotate(BillingEntity, stop)
    assert under(BillingEntity) == {("tax_id", "new"): 2, ("tax_id", "old"): 3}
    assert resealing.rotate(BillingEntity).rows == 3
    assert sorted(one.tax_id for one in BillingEntity.objects.all()) == [f"{number:09}" for number in range(5)]


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
    behind(f"UPDATE clinical_notes_clinicalnote SET {sets} WHERE id = %s", *texts.values(), note.pk)  # noqa: S608
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


@pytest.mark.django_db
def test_an_upgrade_that_lacks_a_key_stops_and_seals_nothing_twice(settings: Any) -> None:
    row = billing_entity(tax_id="123456789")
    settings.FIELD_KEYS = (NEW,)
    with pytest.raises(CannotOpen, match="1 rows of insurance"):
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
    sql = f"UPDATE clinical_notes_clinicalnote SET {change} WHERE id = %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(first)
        with pytest.raises(IntegrityError, match="signed note stays"), transaction.atomic():
            cursor.execute(sql, [note.pk])


def test_numbers_are_told_alike_however_they_are_written() -> None:
    normal = sealed.NORMAL
    assert normal["phone"]("(518) 234-5678") == normal["phone"]("+1 518 234 5678") == "15182345678"
    assert normal["code"]("w12 345-a") == normal["code"]("W12345A")
    assert normal["email"](" Jose\u0301@Example.org ") == normal["email"]("jos\u00e9@example.ORG")
