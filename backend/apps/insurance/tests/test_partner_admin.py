"""Proves that the admin keeps a way that claims wait for, as the API does; else they would wait for good."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from backend.apps.core.models import AuditLog
from backend.apps.insurance import services, submitting
from backend.apps.insurance.models import PartnerPayer
from backend.apps.insurance.tests.factories import ready_claim, route
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = reverse("admin:insurance_partnerpayer_changelist")


@pytest.mark.parametrize("of_many", [False, True])
def test_a_way_that_claims_wait_for_is_kept_and_the_reason_is_told(client: Any, of_many: bool) -> None:
    claim = services.submit(ready_claim(), by=None)
    way, idle = PartnerPayer.objects.get(), route()
    client.force_login(make_user("admin"))
    url, form = reverse("admin:insurance_partnerpayer_delete", args=[way.pk]), {"post": "yes"}
    if of_many:
        url, form = LIST, {**form, "action": "delete_selected", "_selected_action": [str(way.pk), str(idle.pk)]}
    refused = client.post(url, form, follow=True)
    assert "Claims wait to be sent this way." in refused.content.decode()
    assert PartnerPayer.objects.count() == 2
    assert AuditLog.objects.filter(outcome="refused", resource_type="partnerpayer").count() == 1
    submitting.withdraw(claim, by=None)
    assert client.post(url, form).status_code == 302
    assert PartnerPayer.objects.count() == (0 if of_many else 1)
