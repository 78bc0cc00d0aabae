"""Proves that an exception has a reason and an end, is told of while it lasts, and that a doctor makes none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from backend.apps.core.models import Alert, AuditLog
from backend.apps.credentials.models import CredentialOverride
from backend.apps.credentials.tests.override_factories import lapsed_doctor, make_override
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

URL = "/api/v1/credential-overrides/"
HOUR = timedelta(hours=1)


class TestCredentialOverrides(ApiContract):
    url = URL
    stranger = "receptionist"

    def make(self) -> CredentialOverride:
        return make_override()


def form(**over: Any) -> dict[str, Any]:
    return {"credential_type": "state_license", "reason": "The board confirmed by phone.", "hours": 48, **over}


@pytest.mark.django_db
class TestGranting:
    def test_an_administrator_makes_one_which_is_audited_and_told_of_until_it_ends(self) -> None:
        admin, doctor = make_user(role="admin"), lapsed_doctor()
        api = client_for(admin)
        answer = api.post(URL, form(doctor=str(doctor.pk)), format="json")
        assert answer.status_code == 201, answer.data
        assert answer.data["is_active"] is True
        row = CredentialOverride.objects.get()
        assert row.granted_by == admin
        assert row.expires_at - row.granted_at == 48 * HOUR
        assert AuditLog.objects.filter(action="create", resource_id=str(row.pk), user_id=admin.pk).exists()
        alert = Alert.objects.get(kind="credential_override", resolved_at=None)
        assert alert.subject_id == str(row.pk)
        assert str(doctor.pk) in alert.sentence  # whoever is on call is written to by mail: no name
        assert doctor.user.last_name not in alert.sentence
        again = api.post(URL, form(doctor=str(doctor.pk), reason="Once more."), format="json")
        assert again.status_code == 422
        other = api.post(URL, form(doctor=str(doctor.pk), credential_type="dea"), format="json")
        assert other.status_code == 201
        ended = api.post(f"{URL}{row.pk}/end/")
        assert ended.status_code == 200
        assert ended.data["is_active"] is False
        alert.refresh_from_db()
        assert alert.resolved_at is not None
        assert api.post(f"{URL}{row.pk}/end/").status_code == 422
        assert api.post(URL, form(doctor=str(doctor.pk), reason="Another one."), format="json").status_code == 201

    @pytest.mark.parametrize(
        ("over", "code"),
        [
            ({"hours": 72}, 201),
            ({"hours": 73}, 400),
            ({"hours": 0}, 400),
            ({"reason": "   "}, 400),
            ({"credential_type": "driving_licence"}, 400),
            ({"expires_at": timezone.now() + 2 * HOUR}, 422),
            ({"hours": None}, 400),
        ],
        ids=("longest", "too long", "no time", "no reason", "no such type", "both ends", "no hours"),
    )
    def test_it_lasts_72_hours_at_most_and_has_a_reason(self, over: dict[str, Any], code: int) -> None:
        given = form(doctor=str(make_doctor().pk), **over)
        assert client_for(make_user(role="admin")).post(URL, given, format="json").status_code == code

    def test_nobody_makes_one_for_themselves(self) -> None:
        admin = make_user(role="admin")
        doctor = make_doctor(user=admin)
        answer = client_for(admin).post(URL, form(doctor=str(doctor.pk)), format="json")
        assert answer.status_code == 422
        assert (
            client_for(make_user(role="admin")).post(URL, form(doctor=str(doctor.pk)), format="json").status_code == 201
        )

    def test_all_of_a_doctor_and_type_are_72_hours_at_most_within_30_days(self) -> None:
        doctor, now = make_doctor(), timezone.now()
        api = client_for(make_user(role="admin"))
        for begin, end, ended in ((-900, -828, None), (-768, -696, None), (-480, -460, -470), (-400, -380, None)):
            ends = now + ended * HOUR if ended else None
            make_override(doctor, granted_at=now + begin * HOUR, expires_at=now + end * HOUR, ended_at=ends)
        make_override(granted_at=now - 100 * HOUR, expires_at=now - 30 * HOUR)  # of somebody else
        refused = api.post(URL, form(doctor=str(doctor.pk), hours=48), format="json")
        assert refused.status_code == 422
        assert refused.data["detail"].endswith("18 hours of these are left."), refused.data
        assert api.post(URL, form(doctor=str(doctor.pk), hours=18), format="json").status_code == 201
        other = form(doctor=str(doctor.pk), credential_type="dea", hours=72)
        assert api.post(URL, other, format="json").status_code == 201

    @pytest.mark.parametrize(("hours", "code"), [(-1, 422), (71, 201), (73, 422)])
    def test_its_end_can_be_a_time_instead(self, hours: int, code: int) -> None:
        given = form(doctor=str(make_doctor().pk), expires_at=timezone.now() + hours * HOUR)
        del given["hours"]
        assert client_for(make_user(role="admin")).post(URL, given, format="json").status_code == code

    def test_a_doctor_sees_the_own_ones_and_makes_or_ends_none(self) -> None:
        doctor = make_doctor()
        mine, other = make_override(doctor), make_override()
        api = client_for(doctor.user)
        assert [row["id"] for row in api.get(URL).data["results"]] == [str(mine.pk)]
        assert api.get(f"{URL}{other.pk}/").status_code == 404
        assert api.post(URL, form(doctor=str(doctor.pk)), format="json").status_code == 403
        assert api.post(f"{URL}{mine.pk}/end/").status_code == 403

    def test_the_database_keeps_none_that_lasts_longer_or_has_no_reason(self) -> None:
        now = timezone.now()
        for wrong in ({"expires_at": now + 72 * HOUR + timedelta(seconds=1)}, {"reason": ""}, {"expires_at": now}):
            with pytest.raises(IntegrityError), transaction.atomic():
                make_override(granted_at=now, **wrong)
