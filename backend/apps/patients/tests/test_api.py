"""Proves who may see and change which patients over HTTP, and how much of them."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.patients.views import BY_POST, TYPED
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

URL = "/api/v1/patients/"
PERSON = {"first_name": "Ada", "last_name": "Okafor", "date_of_birth": "1980-05-17", "gender": "female"}
MINIMUM = {
    "id", "medical_record_number", "first_name", "middle_name", "last_name", "name_suffix", "full_name",
    "date_of_birth", "age", "gender",
}  # fmt: skip


class TestPatients(ApiContract):
    url = URL
    reader = "receptionist"

    def make(self) -> Patient:
        return make_patient()


def as_role(role: str) -> APIClient:
    return client_for(make_user(role=role))


@pytest.mark.django_db
class TestRoles:
    @pytest.mark.parametrize(
        ("role", "create", "update", "destroy"),
        [
            ("admin", 201, 200, 204),
            ("receptionist", 201, 200, 403),
            ("nurse", 201, 200, 403),
            ("doctor", 201, 403, 403),
            ("lab_tech", 403, 403, 403),
            ("pharmacist", 403, 403, 403),
            ("patient", 403, 403, 403),
        ],
    )
    def test_each_role_writes_only_what_its_work_needs(self, role: str, create: int, update: int, destroy: int) -> None:
        api, row = as_role(role), make_patient(first_name="Eve")
        assert api.post(URL, PERSON, format="json").status_code == create
        assert api.patch(f"{URL}{row.pk}/", {"city": "Troy"}, format="json").status_code == update
        assert api.delete(f"{URL}{row.pk}/").status_code == destroy
        row.refresh_from_db()
        assert (row.city == "Troy") == (update == 200)
        assert Patient.objects.filter(pk=row.pk).exists() == (destroy != 204)

    @pytest.mark.parametrize(("role", "seen"), [("lab_tech", MINIMUM), ("pharmacist", MINIMUM | {"phone"})])
    def test_laboratory_and_pharmacy_see_the_minimum(self, role: str, seen: set[str]) -> None:
        row, api = make_patient(), as_role(role)
        assert set(api.get(f"{URL}{row.pk}/").data) == seen
        assert set(api.get(URL).data["results"][0]) == seen
        assert set(api.post(f"{URL}search/", {"text": "Oka"}, format="json").data[0]) == seen

    def test_a_doctor_sees_no_patient_without_a_link(self) -> None:
        row, api = make_patient(), as_role("doctor")
        assert api.get(f"{URL}{row.pk}/").status_code == 404
        assert api.get(URL).data["results"] == []
        assert api.post(f"{URL}search/", {"text": "Oka"}, format="json").data == []

    def test_a_patient_sees_the_own_record_and_no_other(self) -> None:
        user, other = make_user(role="patient"), make_patient()
        own = make_patient(user=user)
        api = client_for(user)
        assert [row["id"] for row in api.get(URL).data["results"]] == [str(own.pk)]
        assert api.get(f"{URL}{other.pk}/").status_code == 404
        assert api.patch(f"{URL}{own.pk}/", {"city": "Troy"}, format="json").status_code == 403
        assert api.post(f"{URL}search/", {"text": "Oka"}, format="json").status_code == 403


@pytest.mark.django_db
class TestWriting:
    @pytest.fixture
    def desk(self) -> User:
        return make_user(role="receptionist")

    @pytest.fixture
    def api(self, desk: User) -> APIClient:
        return client_for(desk)

    def test_a_new_patient_gets_a_record_number_and_an_audit_row(self, api: APIClient, desk: User) -> None:
        answer = api.post(URL, {**PERSON, "sms_consent": True}, format="json")
        assert answer.status_code == 201, answer.data
        assert answer.data["medical_record_number"].startswith("MRN")
        assert answer.data["sms_consent_at"]
        log = AuditLog.objects.get(user_id=desk.pk, action="create")
        assert str(log.patient_id) == answer.data["id"]
        assert "Okafor" not in str(log.detail)

    def test_a_possible_duplicate_is_409_until_it_is_confirmed(self, api: APIClient) -> None:
        make_patient()
        refused = api.post(URL, PERSON, format="json")
        assert refused.status_code == 409
        assert refused.data["type"].endswith("possible_duplicate")
        assert "Okafor" not in str(refused.data)
        assert api.post(URL, {**PERSON, "confirm_duplicate": True}, format="json").status_code == 201

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("date_of_birth", "2999-01-01"),
            ("date_of_birth", "1899-12-31"),
            ("gender", "x"),
            ("phone", "12"),
            ("insurance_info", [1]),
            ("insurance_info", {"a": {"b": 1}}),
            ("time_zone", "Mars/Olympus"),
            ("country", "USA"),
            ("state", "New York"),
            ("nickname", "x"),
            ("medical_record_number", "a b"),
        ],
    )
    def test_a_wrong_field_is_400_and_named(self, api: APIClient, field: str, value: Any) -> None:
        answer = api.post(URL, {**PERSON, field: value}, format="json")
        assert answer.status_code == 400, answer.data
        assert {error["field"].split(".")[0] for error in answer.data["errors"]} == {field}
        assert Patient.objects.count() == 0

    def test_what_us_core_wants_to_know_is_written_and_read(self, api: APIClient) -> None:
        said = {
            "middle_name": "Ngozi", "name_suffix": "III", "birth_sex": "F", "races": ["2054-5", "2106-3"],
            "ethnicity": "2186-5", "needs_interpreter": False, "deceased_at": "2025-03-01T04:05:06Z",
        }  # fmt: skip
        row = make_patient()
        assert api.patch(f"{URL}{row.pk}/", said, format="json").status_code == 200
        answer = api.get(f"{URL}{row.pk}/").json()
        assert {name: answer[name] for name in said} == said
        dead = (
            {"deceased_at": when}
            for when in ("1899-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "2125-01-01T00:00:00Z")
        )
        for wrong in ({"races": ["white"]}, {"ethnicity": "x"}, *dead):
            assert api.patch(f"{URL}{row.pk}/", wrong, format="json").status_code == 400

    def test_a_nul_character_is_400(self, api: APIClient) -> None:
        assert api.post(URL, {**PERSON, "first_name": "a\x00b"}, format="json").status_code == 400

    def test_what_is_computed_cannot_be_written(self, api: APIClient) -> None:
        answer = api.post(URL, {**PERSON, "age": 3, "sms_consent_at": "2020-01-01T00:00:00Z"}, format="json")
        assert answer.data["age"] > 3
        assert answer.data["sms_consent_at"] is None

    def test_the_second_of_two_writers_is_told_to_load_again(self, api: APIClient) -> None:
        row = make_patient()
        tag = api.get(f"{URL}{row.pk}/")["ETag"]
        url = f"{URL}{row.pk}/"
        assert api.patch(url, {"city": "Troy"}, format="json", headers={"If-Match": tag}).status_code == 200
        assert api.patch(url, {"city": "Utica"}, format="json", headers={"If-Match": tag}).status_code == 412

    def test_a_repeated_post_makes_one_patient(self, api: APIClient) -> None:
        key = {"Idempotency-Key": "registration-0001"}
        first = api.post(URL, PERSON, format="json", headers=key)
        second = api.post(URL, PERSON, format="json", headers=key)
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.data["id"] == second.data["id"]
        assert Patient.objects.count() == 1

    def test_a_repeated_post_of_a_doctor_is_answered_although_the_patient_is_not_theirs_yet(self) -> None:
        doctor, key = as_role("doctor"), {"Idempotency-Key": "registration-0001"}
        first, second = (doctor.post(URL, PERSON, format="json", headers=key) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.data["id"] == second.data["id"]
        assert doctor.get(f"{URL}{first.data['id']}/").status_code == 404


@pytest.mark.django_db
class TestFinding:
    @pytest.mark.parametrize(
        "text", ["lind", "LIN", "ev lin", "K-9", "lindt, 1991-01-02", "1/2/1991", "+14155550199", "EVE@example.org"]
    )
    def test_a_search_finds_the_one(self, text: str) -> None:
        make_patient()
        eve = make_patient(
            first_name="Eve",
            last_name="Lindt",
            medical_record_number="K-9",
            date_of_birth="1991-01-02",
            phone="+14155550199",
            email="eve@example.org",
        )
        rows = as_role("nurse").post(f"{URL}search/", {"text": text}, format="json").data
        assert [row["id"] for row in rows] == [str(eve.pk)]

    @pytest.mark.parametrize("name", sorted(TYPED))
    def test_a_list_is_not_cut_by_what_would_stand_in_its_address(self, name: str) -> None:
        make_patient(last_name="Lindt")
        answer = as_role("nurse").get(URL, {name: "Lindt"})
        assert answer.status_code == 400
        assert [(one["field"], one["message"]) for one in answer.data["errors"]] == [(name, BY_POST)]
        assert "Lindt" not in answer.content.decode()

    def test_searching_by_post_keeps_the_name_out_of_the_url_and_of_the_audit(self) -> None:
        user, row = make_user(role="nurse"), make_patient()
        answer = client_for(user).post(f"{URL}search/", {"text": "okafor"}, format="json")
        assert [found["id"] for found in answer.data] == [str(row.pk)]
        log = AuditLog.objects.get(user_id=user.pk, action="search")
        assert log.detail["ids"] == [str(row.pk)]
        assert "okafor" not in str(log.detail).lower()

    @pytest.mark.parametrize("form", [{}, {"text": ""}, {"text": "x" * 201}, {"text": "a", "more": 1}])
    def test_a_search_that_makes_no_sense_is_400(self, form: dict[str, Any]) -> None:
        assert as_role("nurse").post(f"{URL}search/", form, format="json").status_code == 400
