"""Holds the two promises of a write: the same POST twice acts once, and nobody overwrites what he has not seen."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog, Clinic, IdempotentRequest
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
URL = "/api/v1/clinics/"
KEY = {"HTTP_IDEMPOTENCY_KEY": "0197a2f0-1111-7000"}


class TestClinicsContract(ApiContract):
    url = URL

    def make(self) -> Clinic:
        return Clinic.objects.create(name="One")


class TestAuditLogContract(ApiContract):
    url = "/api/v1/audit-logs/"
    stranger = "doctor"

    def make(self) -> AuditLog:
        return AuditLog.objects.create(action="list", resource_type="patient")


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def api(admin: User) -> APIClient:
    return client_for(admin)


def test_the_same_post_under_the_same_key_acts_once_and_answers_twice(api: APIClient) -> None:
    first, second = (api.post(URL, {"name": "One"}, **KEY) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Clinic.objects.count() == 1


def test_a_change_does_not_hold_up_new_rows_that_name_what_is_changed(api: APIClient) -> None:
    row = Clinic.objects.create(name="One")
    with CaptureQueriesContext(connection) as asked:
        assert api.patch(f"{URL}{row.pk}/", {"name": "Two"}).status_code == 200
    locks = [query["sql"] for query in asked if "core_clinic" in query["sql"] and " FOR " in query["sql"]]
    assert locks
    assert all("FOR NO KEY UPDATE" in lock for lock in locks)


def test_without_a_key_two_posts_are_two_rows(api: APIClient) -> None:
    for _ in range(2):
        api.post(URL, {"name": "One"})
    assert Clinic.objects.count() == 2


def test_a_key_stands_for_one_request_only(api: APIClient) -> None:
    api.post(URL, {"name": "One"}, **KEY)
    other = api.post(URL, {"name": "Two"}, **KEY)
    assert other.status_code == 422
    assert other.data["type"].endswith("idempotency_key_reused")
    assert Clinic.objects.count() == 1


def test_two_users_may_choose_the_same_key(api: APIClient) -> None:
    api.post(URL, {"name": "One"}, **KEY)
    client_for(make_user("admin")).post(URL, {"name": "Two"}, **KEY)
    assert Clinic.objects.count() == 2


def test_a_refused_post_leaves_no_key_behind(api: APIClient) -> None:
    assert api.post(URL, {"name": ""}, **KEY).status_code == 400
    assert not IdempotentRequest.objects.exists()
    assert api.post(URL, {"name": "One"}, **KEY).status_code == 201


def test_repeating_a_post_whose_row_is_gone_is_404(api: APIClient) -> None:
    pk = api.post(URL, {"name": "One"}, **KEY).data["id"]
    Clinic.objects.get(pk=pk).delete()
    assert api.post(URL, {"name": "One"}, **KEY).status_code == 404
    assert not Clinic.objects.exists()


@pytest.mark.parametrize("body", [[], [{"name": "One"}], "text", 5, None], ids=str)
def test_a_body_that_is_no_object_is_400_under_a_key_too(api: APIClient, body: Any) -> None:
    assert api.post(URL, body, format="json", **KEY).status_code == 400
    assert not IdempotentRequest.objects.exists()


@pytest.mark.parametrize("key", ["short", "x" * 129, "with space in it", "é" * 10])
def test_a_key_that_is_no_key_is_400(api: APIClient, key: str) -> None:
    answer = api.post(URL, {"name": "One"}, HTTP_IDEMPOTENCY_KEY=key)
    assert answer.status_code == 400
    assert not Clinic.objects.exists()


def test_the_stored_key_does_not_give_the_body_away(api: APIClient) -> None:
    api.post(URL, {"name": "Very Secret"}, **KEY)
    assert "Secret" not in str(IdempotentRequest.objects.values().get())


@pytest.mark.django_db(transaction=True)
def test_two_simultaneous_posts_under_one_key_make_one_row(admin: User) -> None:
    ready, answers = threading.Barrier(2), list[int]()

    def post() -> None:
        ready.wait()
        answers.append(client_for(admin).post(URL, {"name": "One"}, **KEY).status_code)
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201, 201]
    assert Clinic.objects.count() == 1


def test_a_change_that_names_the_current_version_is_done_and_gets_a_new_one(api: APIClient) -> None:
    made = api.post(URL, {"name": "One"})
    changed = api.patch(f"{URL}{made.data['id']}/", {"name": "Two"}, HTTP_IF_MATCH=made["ETag"])
    assert changed.status_code == 200
    assert changed["ETag"] != made["ETag"]
    assert api.get(f"{URL}{made.data['id']}/")["ETag"] == changed["ETag"]


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_change_of_an_old_version_is_412_and_changes_nothing(api: APIClient, method: str) -> None:
    made = api.post(URL, {"name": "One"})
    api.patch(f"{URL}{made.data['id']}/", {"name": "Two"})
    late = getattr(api, method)(f"{URL}{made.data['id']}/", {"name": "Three"}, HTTP_IF_MATCH=made["ETag"])
    assert late.status_code == 412
    assert Clinic.objects.get().name == "Two"


@pytest.mark.parametrize("tag", ["*", '"nonsense", {etag}'])
def test_any_version_or_one_of_several_will_do(api: APIClient, tag: str) -> None:
    made = api.post(URL, {"name": "One"})
    sent = tag.replace("{etag}", made["ETag"])
    assert api.patch(f"{URL}{made.data['id']}/", {"name": "Two"}, HTTP_IF_MATCH=sent).status_code == 200


def test_an_unknown_field_is_an_error_and_not_lost(api: APIClient) -> None:
    answer = api.post(URL, {"name": "One", "nmae": "Two"})
    assert answer.status_code == 400
    assert answer.data["errors"] == [{"field": "nmae", "message": "There is no such field."}]


def test_fields_of_the_machine_cannot_be_written(api: APIClient) -> None:
    body = {"name": "One", "id": "0197a2f0-0000-7000-8000-000000000000", "created_at": "2001-01-01T00:00:00Z"}
    made = api.post(URL, body)
    assert made.data["id"] != body["id"]
    assert not made.data["created_at"].startswith("2001")


@pytest.mark.parametrize("body", [[], "text", 5, None, [{"name": "One"}]])
def test_a_body_that_is_no_object_is_400(api: APIClient, body: Any) -> None:
    assert api.post(URL, body, format="json").status_code == 400


def test_each_write_leaves_one_audit_row_with_names_of_fields_and_no_values(api: APIClient, admin: User) -> None:
    pk = api.post(URL, {"name": "Very Secret"}).data["id"]
    api.patch(f"{URL}{pk}/", {"city": "Very Secret"})
    rows = AuditLog.objects.filter(resource_id=pk, user_id=admin.pk).order_by("id")
    assert [(row.action, row.detail) for row in rows] == [
        ("create", {"fields": ["name"]}),
        ("partial_update", {"fields": ["city"]}),
    ]


def test_a_refused_write_leaves_one_audit_row_too() -> None:
    nurse = make_user("nurse")
    assert client_for(nurse).post(URL, {"name": "One"}).status_code == 403
    row = AuditLog.objects.get(user_id=nurse.pk)
    assert (row.action, row.outcome, row.detail) == ("create", "refused", {"status": 403})
