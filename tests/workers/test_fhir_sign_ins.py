"""Proves that used sign-ins of systems are forgotten by the hourly round once their age refuses them, and no sooner."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backend.apps.interop.models import SmartAssertion, SmartClient
from workers import fhir_export


@pytest.mark.django_db
def test_the_hourly_round_forgets_the_sign_ins_that_are_too_old_to_come_again() -> None:
    client = SmartClient.objects.create(name="Registry", jwks={"keys": []})
    hour = timedelta(hours=1)
    for jti, expires_at in (("old", timezone.now() - hour), ("new", timezone.now() + hour)):
        SmartAssertion.objects.create(client=client, jti=jti, expires_at=expires_at)
    fhir_export.expire()
    assert list(SmartAssertion.objects.values_list("jti", flat=True)) == ["new"]
