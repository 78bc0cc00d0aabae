"""Proves who reads and changes consents and contact points over HTTP, and that no number stands in an address."""

from __future__ import annotations

import itertools

import pytest

from backend.apps.patients import consents
from backend.apps.patients.models import ContactConsent, ContactPoint
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

CONSENTS, POINTS = "/api/v1/contact-consents/", "/api/v1/contact-points/"
numbers = itertools.count(1)


class TestContactConsents(ApiContract):
    url = CONSENTS
    reader = "receptionist"
    stranger = "pharmacist"

    def make(self) -> ContactConsent:
        return ContactConsent.objects.create(patient=make_patient(), channel="sms", given=True, method="staff")


class TestContactPoints(ApiContract):
    url = POINTS
    reader = "receptionist"
    stranger = "patient"

    def make(self) -> ContactPoint:
        return ContactPoint.objects.create(channel="sms", address=f"+1415556{next(numbers):04d}")


@pytest.mark.django_db
class TestConsenting:
    def test_the_front_desk_notes_a_consent_and_everybody_at_the_desk_reads_who_did(self) -> None:
        patient, desk = make_patient(), make_user(role="receptionist")
        said = {"channel": "sms", "given": True, "evidence": "form 12"}
        answer = client_for(desk).post(f"/api/v1/patients/{patient.pk}/consent/", said, format="json")
        assert answer.status_code == 200, answer.data
        assert answer.data["sms_consent"] is True
        row = client_for(make_user(role="nurse")).get(CONSENTS, {"patient": str(patient.pk)}).data["results"][0]
        assert (row["given"], row["method"], row["evidence"], row["by"]) == (True, "staff", "form 12", desk.pk)

    @pytest.mark.parametrize(
        "said",
        [
            {"channel": "push", "given": True},
            {"channel": "sms"},
            {"channel": "sms", "given": True, "method": "text"},
            {"channel": "sms", "given": True, "by": "somebody"},
        ],
    )
    def test_a_consent_that_cannot_be_is_refused(self, said: dict[str, object]) -> None:
        patient = make_patient()
        api = client_for(make_user(role="receptionist"))
        assert api.post(f"/api/v1/patients/{patient.pk}/consent/", said, format="json").status_code == 400
        assert not ContactConsent.objects.exists()

    def test_patients_read_their_own_rows_and_change_none(self) -> None:
        login = make_user(role="patient")
        own, other = make_patient(user=login), make_patient()
        for patient in (own, other):
            consents.record(patient, "sms", True, by=None, method="staff")
        api = client_for(login)
        assert [row["patient"] for row in api.get(CONSENTS).data["results"]] == [own.pk]
        answer = api.post(f"/api/v1/patients/{own.pk}/consent/", {"channel": "sms", "given": False}, format="json")
        assert answer.status_code == 403


@pytest.mark.django_db
class TestPoints:
    def test_a_patients_own_points_are_found_by_the_patient(self) -> None:
        patient = make_patient(sms_consent=True)
        consents.stop(patient.phone, evidence="SM1")
        consents.stop("+14155550199", evidence="SM2")
        consents.mark_unusable("email", patient.email, code="bounce")
        api = client_for(make_user(role="receptionist"))
        found = api.get(POINTS, {"patient": str(patient.pk)}).data["results"]
        assert {row["address"] for row in found} == {patient.phone, patient.email}
        assert len(api.get(POINTS, {"opted_out": "true"}).data["results"]) == 2
        assert len(api.get(POINTS, {"unusable": "true"}).data["results"]) == 1

    def test_nobody_asks_for_a_number_in_an_address(self) -> None:
        api = client_for(make_user(role="receptionist"))
        assert api.get(POINTS, {"address": "+14155550100"}).status_code == 400

    def test_a_number_that_was_wrong_for_a_while_is_said_to_be_usable_again(self) -> None:
        point = consents.mark_unusable("sms", "+14155550100", code="30006")
        url = f"{POINTS}{point.pk}/mark_usable/"
        doctor = client_for(make_user(role="doctor"))
        assert doctor.post(url).status_code == 403
        assert [doctor.get(each).status_code for each in (POINTS, f"{POINTS}{point.pk}/")] == [403, 403]
        answer = client_for(make_user(role="receptionist")).post(url)
        assert (answer.status_code, answer.data["unusable_at"]) == (200, None)
