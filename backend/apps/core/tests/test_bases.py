"""Holds what every row is: a key that sorts by time, time stamps, and a deletion that loses nothing."""

from __future__ import annotations

import time
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from backend.apps.core.bases import uuid7
from backend.apps.core.models import Clinic

pytestmark = pytest.mark.django_db


def test_keys_are_version_7_and_sort_by_time_of_creation() -> None:
    keys = []
    for _ in range(20):
        keys.append(uuid7())
        time.sleep(0.002)
    assert keys == sorted(keys)
    assert {key.version for key in keys} == {7}
    assert len(set(keys)) == 20


def test_a_key_tells_the_millisecond_it_was_made() -> None:
    before_ms, made_ms = int(time.time() * 1000), uuid7().int >> 80
    assert before_ms <= made_ms <= time.time() * 1000 + 1000


def test_a_key_is_the_standard_librarys_kind_so_that_drivers_and_json_know_it() -> None:
    assert isinstance(uuid7(), uuid.UUID)
    assert Clinic.objects.create(name="One").pk.version == 7


def test_deleting_a_row_keeps_it() -> None:
    clinic = Clinic.objects.create(name="One")
    rows, per_model = clinic.delete()
    assert (rows, per_model) == (1, {"core.Clinic": 1})
    assert not Clinic.objects.filter(pk=clinic.pk).exists()
    kept = Clinic.all_objects.get(pk=clinic.pk)
    assert kept.is_deleted
    assert kept.deleted_at is not None
    assert kept.updated_at > kept.created_at


def test_deleting_twice_keeps_the_first_moment() -> None:
    clinic = Clinic.objects.create(name="One")
    clinic.delete()
    first = Clinic.all_objects.get(pk=clinic.pk).deleted_at
    assert clinic.delete()[0] == 0
    assert Clinic.all_objects.get(pk=clinic.pk).deleted_at == first


def test_deleting_and_restoring_a_whole_queryset() -> None:
    for name in ("One", "Two"):
        Clinic.objects.create(name=name)
    assert Clinic.objects.all().delete()[0] == 2
    assert (Clinic.objects.count(), Clinic.all_objects.count()) == (0, 2)
    assert Clinic.all_objects.filter(name="Two").restore() == 1
    back = Clinic.objects.get()
    assert (back.name, back.deleted_at) == ("Two", None)


@pytest.mark.parametrize("half", [{"is_deleted": True}, {"deleted_at": timezone.now()}], ids=["no time", "no mark"])
def test_the_database_refuses_a_half_deletion(half: dict) -> None:
    clinic = Clinic.objects.create(name="One")
    with pytest.raises(IntegrityError, match="deleted_has_time"), transaction.atomic():
        Clinic.all_objects.filter(pk=clinic.pk).update(**half)


def test_a_row_names_itself_without_its_content() -> None:
    clinic = Clinic.objects.create(name="Secret Name")
    assert str(clinic) == f"clinic {clinic.pk}"


def test_the_clinic_knows_its_day_and_has_defaults_before_it_is_filled_in() -> None:
    assert Clinic.current().pk is not None
    assert not Clinic.objects.exists()
    Clinic.objects.create(name="Far East", time_zone="Pacific/Kiritimati")
    assert Clinic.today() == timezone.localdate(timezone=Clinic.current().zone)
    assert Clinic.current().name == "Far East"
