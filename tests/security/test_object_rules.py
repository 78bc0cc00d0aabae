"""Proves that nobody reaches another patient's rows by list, id, filter, search, order or as a part of another row."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.serializers import ManyRelatedField, PrimaryKeyRelatedField
from rest_framework.test import APIClient

from backend.apps.core.roles import Role
from backend.apps.patients.models import Patient
from tests.security.matrix import (
    RESOURCES,
    Practice,
    calls,
    contents,
    make,
    make_practice,
    model_of,
    undone,
    view_of,
)
from tests.support.api_contract import client_for

OF_PATIENTS = sorted(name for name in RESOURCES if getattr(model_of(name).access, "patient", None))
BREAKS_GLASS = "break_glass"  # looks beyond own patients, told at once and reviewed
KEPT_FOR_EVER = {"contact-consents", "lab-results"}  # a trigger refuses
OF_MODEL = {model_of(name): name for name in RESOURCES}
BULK = {"insurance-claims": {"scrub_each", "submit_each"}}  # calls that take ids of rows
OWN_ROWS_ONLY = (Role.PATIENT, Role.DOCTOR)
DELETABLE = sorted(name for name in RESOURCES if hasattr(model_of(name), "is_deleted") and name not in KEPT_FOR_EVER)

pytestmark = pytest.mark.django_db


def ids(answer: Any) -> set[str]:
    return {str(row["id"]) for row in answer.data["results"]}


def readers(resource: str, practice: Practice) -> list[APIClient]:
    """Return the clients that see only their own patients and may list."""
    allowed = RESOURCES[resource].permissions["list"]
    return [client_for(practice.logins[role]) for role in OWN_ROWS_ONLY if role in allowed]


def test_there_are_patients_rows_to_protect() -> None:
    assert len(OF_PATIENTS) >= 12


@pytest.mark.parametrize("resource", OF_PATIENTS)
def test_another_patients_row_is_not_there_whatever_is_asked(resource: str) -> None:
    mine, theirs = make_practice(), make_practice()
    make_the_doctor_know(mine)
    make_the_doctor_know(theirs)
    own, other = make(resource, mine), make(resource, theirs)
    url = f"/api/v1/{resource}/"
    for api in readers(resource, mine):
        seen = ids(api.get(url))
        assert str(other.pk) not in seen
        assert api.get(f"{url}{other.pk}/").status_code == 404
        assert str(own.pk) in seen
        assert api.get(f"{url}{own.pk}/").status_code == 200
        for query in questions_about(resource, other):
            answer = api.get(url, query)
            assert answer.status_code in {200, 400}, (query, answer.data)
            assert answer.status_code == 400 or str(other.pk) not in ids(answer), query
        stored = contents(model_of(resource))
        for call in calls(resource):
            if call.detail and call.method != "get" and call.action != BREAKS_GLASS:
                assert getattr(api, call.method)(call.url(resource, other.pk), {}).status_code in {403, 404}, call
        assert contents(model_of(resource)) == stored
    everything = ids(client_for(mine.logins[Role.ADMIN]).get(url))
    assert {str(own.pk), str(other.pk)} <= everything


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_another_patients_row_cannot_become_part_of_an_own_one(resource: str) -> None:
    mine, theirs = make_practice(), make_practice()
    make_the_doctor_know(mine)
    own = make(resource, mine, draft=True)
    for role in OWN_ROWS_ONLY:
        api, login = client_for(mine.logins[role]), mine.logins[role]
        for action, method, url in writes(resource, role, own.pk):
            serializer = view_of(resource, login, action).get_serializer()
            for name, related in links(serializer).items():
                with undone():
                    other = make(related, theirs)
                    stored = contents(model_of(resource))
                    answer = getattr(api, method)(url, {name: as_value(serializer, name, other)})
                    if answer.status_code != 404:  # the own row is not one this role finds
                        assert "does not exist" in refusal_of(answer).get(name, ""), (role, action, name, answer.data)
                    assert contents(model_of(resource)) == stored


@pytest.mark.parametrize("resource", DELETABLE)
def test_a_deleted_row_is_nowhere(resource: str) -> None:
    practice = make_practice()
    row = make(resource, practice, draft=True)
    row.delete()
    api = client_for(practice.logins[Role.ADMIN])
    assert str(row.pk) not in ids(api.get(f"/api/v1/{resource}/"))
    for query in questions_about(resource, row):
        answer = api.get(f"/api/v1/{resource}/", query)
        assert answer.status_code == 400 or str(row.pk) not in ids(answer), query
    for call in calls(resource):
        if call.detail:
            answer = getattr(api, call.method)(call.url(resource, row.pk), {} if call.method != "get" else None)
            denied = call.action not in RESOURCES[resource].permissions
            assert answer.status_code == (403 if denied else 404), (call.action, answer.status_code)


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_deleted_row_cannot_be_pointed_to(resource: str) -> None:
    practice, gone = make_practice(), make_practice()
    row = make(resource, practice, draft=True)
    api, login = client_for(practice.logins[Role.ADMIN]), practice.logins[Role.ADMIN]
    for action, method, url in writes(resource, Role.ADMIN, row.pk):
        serializer = view_of(resource, login, action).get_serializer()
        for name, related in links(serializer, all_models=True).items():
            with undone():
                other = make(related, gone, draft=True)
                other.delete()
                refused = refusal_of(getattr(api, method)(url, {name: as_value(serializer, name, other)}))
                assert "does not exist" in refused.get(name, ""), (action, name, refused)


def pointing(api: APIClient, login: Any, resource: str) -> dict[str, str]:
    """Return {field: address} of what a new row of `resource`, and the calls beside it, say of a patient."""
    found = {}
    for call in calls(resource):
        may = Role.ADMIN in RESOURCES[resource].permissions.get(call.action, ())
        form = call.form() if isinstance(call.form, type) else None
        if call.action == "create":
            form = view_of(resource, login, "create").get_serializer()
        for name, field in form.fields.items() if may and form is not None and not call.detail else ():
            inner = getattr(field, "child_relation", field)
            queryset = None if field.read_only else getattr(inner, "queryset", None)
            if queryset is not None and inner.get_queryset().model is Patient:
                found[name] = call.url(resource, None)
    return found


def test_a_patient_who_was_merged_or_deleted_is_found_by_no_list_and_named_in_no_body() -> None:
    stays, merged, gone = make_practice(), make_practice(), make_practice()
    api, login = client_for(stays.logins[Role.ADMIN]), stays.logins[Role.ADMIN]
    Patient.all_objects.filter(pk=merged.patient.pk).update(
        merged_into=stays.patient, is_deleted=True, deleted_at=merged.patient.created_at
    )
    gone.patient.delete()
    named, listed = 0, 0
    for patient in (merged.patient, gone.patient):
        for resource in sorted(RESOURCES):
            for name, url in pointing(api, login, resource).items():
                with undone():
                    stored = contents(model_of(resource))
                    answer = api.post(url, {name: str(patient.pk)}, format="json")
                    assert "does not exist" in refusal_of(answer).get(name, ""), (resource, name, answer.data)
                    assert contents(model_of(resource)) == stored
                    named += 1
            with undone():
                answer = api.get(f"/api/v1/{resource}/", {"patient": str(patient.pk)})
                assert answer.status_code in {200, 400}, resource
                assert answer.status_code == 400 or answer.data["results"] == [], resource
                listed += answer.status_code == 200
        assert str(patient.pk) not in ids(api.get("/api/v1/patients/"))
    assert (named >= 10, listed >= 4) == (True, True), (named, listed)


def test_many_rows_in_one_call_are_all_there_or_nothing_is_done() -> None:
    practice = make_practice()
    api, tried = client_for(practice.logins[Role.ADMIN]), 0
    for resource, names in BULK.items():
        own, gone = make(resource, practice), make(resource, make_practice())
        gone.delete()
        for call in calls(resource):
            if call.action not in names:
                continue
            for ids_of in ([own.pk, gone.pk], [own.pk, uuid.uuid4()], [own.pk, "x"], [gone.pk]):
                stored = contents(model_of(resource))
                answer = api.post(call.url(resource, None), {"ids": list(map(str, ids_of))}, format="json")
                assert answer.status_code in {400, 404, 422}, (call.action, answer.data)
                assert contents(model_of(resource)) == stored, call.action
                tried += 1
    assert tried == 4 * sum(map(len, BULK.values()))


def make_the_doctor_know(practice: Practice) -> None:
    """Link doctor and patient, as the first visit does."""
    make("appointments", practice)


def as_value(serializer: Any, name: str, row: Any) -> Any:
    return [str(row.pk)] if isinstance(serializer.fields[name], ManyRelatedField) else str(row.pk)


def refusal_of(answer: Any) -> dict[str, str]:
    """Return {field: message} of a 400."""
    assert answer.status_code == 400, answer.data
    return {error["field"]: error["message"] for error in answer.data["errors"]}


def writes(resource: str, role: str, pk: Any) -> list[tuple[str, str, str]]:
    """Return (action, method, address) of what `role` may write."""
    return [
        (call.action, call.method, call.url(resource, pk))
        for call in calls(resource)
        if call.action in {"create", "partial_update"} and role in RESOURCES[resource].permissions.get(call.action, ())
    ]


def links(serializer: Any, *, all_models: bool = False) -> dict[str, str]:
    """Return {writable field: resource of the patients' rows (or of any rows) it points to}."""
    found = {}
    for name, field in serializer.fields.items():
        inner = field.child_relation if isinstance(field, ManyRelatedField) else field
        if field.read_only or not isinstance(inner, PrimaryKeyRelatedField):
            continue
        related = OF_MODEL[inner.get_queryset().model]
        if all_models or related in OF_PATIENTS:
            found[name] = related
    return found


def questions_about(resource: str, row: Any) -> list[dict[str, str]]:
    """Return queries that would find `row`: each filter with its own value, each text as a search, each ordering."""
    view = view_of(resource, None, "list")  # type: ignore[arg-type]  # the filters do not depend on the caller
    filterset = DjangoFilterBackend().get_filterset_class(view, view.queryset)
    asked: list[dict[str, str]] = []
    for name, entry in (filterset.base_filters if filterset else {}).items():
        value = reached(row, entry.field_name)
        if value not in (None, ""):
            asked.append({name: value.isoformat() if hasattr(value, "isoformat") else str(getattr(value, "pk", value))})
    for path in getattr(view, "search_fields", ()):
        if value := reached(row, path.lstrip("^=@$")):
            asked.append({"search": str(value)})
    for name in view.ordering_fields:
        asked += [{"ordering": name}, {"ordering": f"-{name}"}]
    return asked


def reached(row: Any, path: str) -> Any:
    for step in path.split("__"):
        row = getattr(row, step, None)
    return row
