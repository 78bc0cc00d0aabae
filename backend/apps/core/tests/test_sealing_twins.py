"""Plain values of which only one row may have each, as an update of old or a hand in the database leaves them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError
from django.db import IntegrityError

from backend.apps.core import resealing, sealed
from backend.apps.core.tests.test_resealing import OLD, behind, told
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_doctor


@pytest.mark.django_db
def test_plain_values_that_only_one_row_may_have_are_named_and_the_others_are_sealed(settings: Any) -> None:
    settings.INDEX_KEYS = (OLD,)
    first, second, third = (make_doctor(dea_number=f"AB123456{number}") for number in range(3))
    behind("UPDATE doctors_doctor SET dea_number = 'AB1234560', dea_number_index = NULL WHERE id = %s", second.pk)
    behind("UPDATE doctors_doctor SET dea_number = 'AB1234562', dea_number_index = NULL WHERE id = %s", third.pk)
    with pytest.raises(CommandError) as refused:
        told("seal")
    assert f"doctors.Doctor: these rows have a value another row has: {second.pk}. Correct one" in str(refused.value)
    assert "AB1234560" not in str(refused.value)
    assert Doctor.objects.get(sealed.same(Doctor, "dea_number_index", "AB1234562")) == third
    with pytest.raises(IntegrityError, match=rf"1 rows of doctors\.Doctor have a value another row has: {second.pk}"):
        resealing.seal_all(Doctor)
    Doctor.objects.filter(pk=first.pk).update(**sealed.written(Doctor, first.pk, dea_number="AB1234569"))
    assert "doctors.Doctor: 1 rows sealed anew." in told("seal")
    assert Doctor.objects.get(sealed.same(Doctor, "dea_number_index", "AB1234560")) == second
