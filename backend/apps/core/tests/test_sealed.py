"""A sealed column: unreadable in the database, readable by us, and nowhere but in its own row."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import connection, transaction
from django.db.models import F

from backend.apps.core import keyring, seals
from backend.apps.core.sealed import CannotOpen, CannotSeal, Sealed, SealedTextField, column, written
from backend.apps.insurance.models import BillingEntity
from backend.apps.insurance.tests.factories import billing_entity
from backend.config.environment import key_ring

FIRST, SECOND = ("k1", bytes(range(32))), ("k2", bytes(range(1, 33)))


@pytest.fixture(autouse=True)
def keys(settings: Any) -> None:
    settings.FIELD_KEYS = (FIRST,)


def stored(row: BillingEntity) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tax_id FROM insurance_billingentity WHERE id = %s", [row.pk])
        return str(cursor.fetchone()[0])


def put(row: BillingEntity, text: str) -> BillingEntity:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE insurance_billingentity SET tax_id = %s WHERE id = %s", [text, row.pk])
    return BillingEntity.objects.get(pk=row.pk)


@pytest.mark.django_db
def test_what_was_saved_is_read_again_and_is_not_to_be_read_in_the_database() -> None:
    row = billing_entity(tax_id="123456789")
    assert stored(row).startswith("v1:k1:")
    assert "123456789" not in stored(row)
    assert b"123456789" not in base64.b64decode(stored(row).split(":")[2])
    assert BillingEntity.objects.get(pk=row.pk).tax_id == "123456789"
    assert BillingEntity.objects.defer("tax_id").get(pk=row.pk).tax_id == "123456789"
    ((key, found),) = BillingEntity.objects.values_list("pk", "tax_id")
    assert (repr(found), found.open(key), found.open(str(key))) == ("<sealed>", "123456789", "123456789")


@pytest.mark.django_db
def test_a_value_that_was_moved_or_changed_does_not_open() -> None:
    row, other = billing_entity(tax_id="123456789"), billing_entity(tax_id="987654321")
    moved = put(other, stored(row))
    with pytest.raises(CannotOpen) as refused:
        _ = moved.tax_id
    assert stored(row) not in str(refused.value)
    body = bytearray(base64.b64decode(stored(row).split(":")[2]))
    for place in (0, len(body) // 2, len(body) - 1):
        body[place] ^= 1
        changed = put(row, f"v1:k1:{base64.b64encode(body).decode()}")
        with pytest.raises(CannotOpen):
            _ = changed.tax_id
        body[place] ^= 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["123456789", "v1:k1:", "v1:k1:AAAA", "v1:k9:AAAA", "v2:k1:AAAA", "v1:k1:?", "v1:é:AA"]
)
def test_what_we_did_not_seal_is_never_taken_for_plain(text: str) -> None:
    found = put(billing_entity(tax_id="123456789"), text)
    with pytest.raises(CannotOpen):
        _ = found.tax_id


@pytest.mark.django_db
def test_a_value_of_another_table_or_column_does_not_open() -> None:
    row = billing_entity(tax_id="123456789")
    sealed = column(BillingEntity, "tax_id").unpack(stored(row))
    assert keyring.unseal(sealed, b"insurance_billingentity.tax_id." + row.pk.bytes) == b"123456789"
    for place in (b"core_clinic.tax_id.", b"insurance_billingentity.name."):
        with pytest.raises(CannotOpen):
            keyring.unseal(sealed, place + row.pk.bytes)


@pytest.mark.django_db
def test_the_first_key_writes_and_all_read_but_no_unknown_one(settings: Any) -> None:
    row = billing_entity(tax_id="123456789")
    settings.FIELD_KEYS = (SECOND, FIRST)
    assert BillingEntity.objects.get(pk=row.pk).tax_id == "123456789"
    assert stored(billing_entity(tax_id="123456789")).startswith("v1:k2:")
    settings.FIELD_KEYS = (SECOND,)
    with pytest.raises(CannotOpen, match="the key k1, which is not in CARERELAY_FIELD_KEYS"):
        _ = BillingEntity.objects.get(pk=row.pk).tax_id
    settings.FIELD_KEYS = (("k1", SECOND[1]),)
    with pytest.raises(CannotOpen, match="its key has another value"):
        _ = BillingEntity.objects.get(pk=row.pk).tax_id


@pytest.mark.django_db
def test_plain_text_never_gets_in_by_a_way_that_knows_no_row() -> None:
    row = billing_entity(tax_id="123456789")
    before, other = stored(row), SealedTextField(name="note")
    other.model, other.column = BillingEntity, "note"
    row.tax_id = "987654321"
    for write in (
        lambda: BillingEntity.objects.update(tax_id="987654321"),
        lambda: BillingEntity.objects.bulk_update([row], ["tax_id"]),
        lambda: BillingEntity.objects.update(tax_id=Sealed(other, before)),
    ):
        with pytest.raises(CannotSeal) as refused, transaction.atomic():
            write()
        assert "987654321" not in str(refused.value)
    assert stored(row) == before
    BillingEntity.objects.filter(pk=row.pk).update(**written(BillingEntity, row.pk, tax_id="987654321"))
    assert BillingEntity.objects.get(pk=row.pk).tax_id == "987654321"
    (made,) = BillingEntity.objects.bulk_create([BillingEntity(name="X", tax_id="111111111")])
    assert BillingEntity.objects.get(pk=made.pk).tax_id == "111111111"
    assert "111111111" not in stored(made)


@pytest.mark.django_db
def test_it_cannot_be_searched_but_for_whether_it_is_there() -> None:
    row = billing_entity(tax_id="123456789")
    assert list(BillingEntity.objects.exclude(tax_id="")) == [row]
    for how in ("tax_id__icontains", "tax_id__startswith", "tax_id__gt", "tax_id__length"):
        with pytest.raises(FieldError):
            BillingEntity.objects.filter(**{how: "123"})
    for how, value in (("tax_id", "123456789"), ("tax_id__in", ["123456789"])):
        with pytest.raises(CannotSeal):
            BillingEntity.objects.filter(**{how: value})


@pytest.mark.django_db
def test_a_value_nobody_changed_stays_as_it_was_sealed_and_a_copy_of_the_row_is_sealed_anew() -> None:
    row = billing_entity(tax_id="123456789")
    before = stored(row)
    row.save()
    assert stored(row) == before
    found = BillingEntity.objects.get(pk=row.pk)
    found.save()
    assert (stored(row), found.tax_id) == (before, "123456789")
    found.save()
    assert stored(row) == before
    twin, unread = copy.copy(found), BillingEntity.objects.get(pk=row.pk)
    for one in (twin, unread):
        one.pk, one._state.adding = BillingEntity().pk, True
    twin.save()
    found.save()
    assert (stored(row), BillingEntity.objects.get(pk=row.pk).tax_id) == (before, "123456789")
    assert BillingEntity.objects.get(pk=twin.pk).tax_id == "123456789"
    with pytest.raises(CannotOpen):
        unread.save()


def test_a_row_without_its_key_cannot_seal() -> None:
    with pytest.raises(CannotSeal):
        column(BillingEntity, "tax_id").pre_save(BillingEntity(pk=None, tax_id="123456789"), add=True)


def test_nothing_stays_nothing() -> None:
    field = SealedTextField(null=True)
    assert (field.get_prep_value(None), field.get_prep_value("")) == (None, "")
    assert field.from_db_value("", F("x"), connection) == ""


def entry(name: str, key: bytes) -> str:
    return f"{name}:{base64.b64encode(key).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "k1", "k1:AAAA", ",", entry("k1", bytes(31)), entry("K1", bytes(32)), entry("toolongid", bytes(32)),
        f"{entry(*FIRST)} {entry('k1', SECOND[1])}", f"{entry(*FIRST)},{entry('k2', FIRST[1])}",
    ],
)  # fmt: skip
def test_a_ring_of_keys_that_cannot_be_meant_is_refused_without_being_shown(text: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("CARERELAY_FIELD_KEYS", text)
    with pytest.raises(ImproperlyConfigured) as refused:
        key_ring("CARERELAY_FIELD_KEYS", "derived from")
    assert "AAAA" not in str(refused.value)


def test_keys_come_from_a_variable_or_a_file_and_only_outside_production_from_the_secret_key(
    monkeypatch: Any, tmp_path: Any
) -> None:
    both = " ".join(entry(*each) for each in (SECOND, FIRST)).replace("+", "-").replace("/", "_")
    monkeypatch.delenv("CARERELAY_FIELD_KEYS", raising=False)
    assert len(key_ring("CARERELAY_FIELD_KEYS", "secret")[0][1]) == 32
    assert key_ring("CARERELAY_FIELD_KEYS", "secret") != key_ring("CARERELAY_INDEX_KEYS", "secret")
    with pytest.raises(ImproperlyConfigured, match="Set CARERELAY_FIELD_KEYS"):
        key_ring("CARERELAY_FIELD_KEYS")
    (tmp_path / "keys").write_text(f"{both}\n")
    monkeypatch.setenv("CARERELAY_FIELD_KEYS_FILE", str(tmp_path / "keys"))
    assert key_ring("CARERELAY_FIELD_KEYS") == (SECOND, FIRST)


def test_a_cursor_is_sealed_under_the_secret_key_and_its_predecessors(settings: Any) -> None:
    sealed = seals.seal("123456789")
    assert "123456789" not in sealed
    assert (seals.seal(""), seals.unseal("")) == ("", "")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one, which is long enough to be a key"
    assert seals.unseal(sealed) == "123456789"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(CannotOpen) as refused:
        seals.unseal(sealed)
    assert sealed not in str(refused.value)
