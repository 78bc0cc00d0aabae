"""Proves of every field with a rule, and of every role, what API, admin, FHIR, filters and writes tell of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import FileField
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from backend.apps.core import field_rules
from backend.apps.core.field_rules import ONLY, RULES
from backend.apps.core.roles import Role
from backend.apps.employees.tests.factories import PDF
from tests.security.matrix import OF_LABEL, RESOURCES, Practice, make, make_practice, undone, view_of
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
SECRETS: dict[str, Any] = {
    "dea_number": "AB1234563", "dea_number_used": "AB1234563", "member_id": "ZQMEMBER77", "policy_number": "ZQPOLICY77",
    "salary": "71717.00", "pay_frequency": "weekly", "benefits_enrolled": True, "termination_reason": "Zqreason",
    "performance_rating": "3.7", "pto_balance": "7.70", "deactivated_because": "Zqbecause", "tax_id": "123456789",
    "number": "AB1234563",
}  # fmt: skip
GOES_IN_ONLY = {"insurance.BillingEntity.tax_id"}


def planted(label: str, practice: Practice) -> Any:
    """Save a row of the model with a value in every field that has a rule."""
    model = apps.get_model(label)
    row = make(OF_LABEL[label], practice)
    values = {name: SECRETS.get(name) or a_file(model, name) for name in RULES[label]}
    if label == "prescriptions.Prescription":
        values |= {"schedule": "V", "expiration_date": row.prescribed_date + timedelta(days=30)}
    for name, value in values.items():
        setattr(row, name, value)
    row.save_base(update_fields=[*values])
    row.refresh_from_db()
    return row


def a_file(model: Any, name: str) -> str:
    field = model._meta.get_field(name)
    assert isinstance(field, FileField), f"Say in SECRETS what {name} may be."
    return str(field.storage.save("zq.pdf", SimpleUploadedFile("zq.pdf", PDF)))


@pytest.mark.parametrize("label", sorted(RULES))
def test_each_role_sees_of_each_field_what_the_table_says(label: str) -> None:
    practice = make_practice()
    row, resource = planted(label, practice), OF_LABEL[label]
    for role in Role:
        login = practice.logins[role]
        answer = client_for(login).get(f"/api/v1/{resource}/{row.pk}/")
        if role not in RESOURCES[resource].permissions["retrieve"]:
            assert answer.status_code == 403
            continue
        if answer.status_code == 404:  # the object rules: not this row
            assert role != Role.ADMIN
            continue
        listed = client_for(login).get(f"/api/v1/{resource}/").data["results"]
        shown = next(one for one in listed if one["id"] == str(row.pk))
        for name, one in RULES[label].items():
            for told in (shown, answer.data):
                says(told, name, one, sees=one.sees(login, row), cut=is_cut(row, name, login))


def is_cut(row: Any, name: str, login: Any) -> bool:
    seen = field_rules.only(type(row), login)
    return f"{row._meta.label}.{name}" in GOES_IN_ONLY or (seen is not None and name not in seen)


def says(told: Any, name: str, one: Any, *, sees: bool, cut: bool) -> None:
    if cut or not (sees or one.masked):
        assert name not in told
    elif sees:
        whole = SECRETS.get(name)
        assert told[name] == whole or (whole is None and "zq" in told[name]), name
    else:
        assert told[name] == f"••••{SECRETS[name][-4:]}", name


@pytest.mark.parametrize("label", sorted(RULES))
def test_the_admin_leaves_out_what_a_role_does_not_see_whole(label: str) -> None:
    practice, model = make_practice(), apps.get_model(label)
    row = planted(label, practice)
    site = admin.site._registry.get(model)
    if site is None:
        pytest.skip("the model has no page")
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
    looked = 0
    for role in set(Role) - {Role.PATIENT}:
        login, client = practice.logins[role], Client()
        client.force_login(login)
        answer = client.get(url)
        if answer.status_code != 200:
            continue
        looked += 1
        for name, one in RULES[label].items():
            if not one.sees(login, row):
                secret = str(SECRETS.get(name, "zq"))
                assert f"field-{name}" not in answer.content.decode(), (role, name)
                assert len(secret) < 5 or secret not in answer.content.decode(), (role, name)
    assert looked, "somebody sees the page"


@pytest.mark.parametrize("label", sorted({*RULES, *ONLY}))
def test_nobody_filters_searches_or_orders_by_a_field_they_do_not_see(label: str) -> None:
    practice, resource, model = make_practice(), OF_LABEL[label], apps.get_model(label)
    for role in RESOURCES[resource].permissions["list"]:
        login = practice.logins[role]
        api, view = client_for(login), view_of(resource, login, "list")
        only = field_rules.only(model, login)
        unseen = field_rules.hidden(model, login)
        if only is not None:
            unseen |= {field.name for field in model._meta.fields} - only - field_rules.HARMLESS
        for name in unseen:
            for query in ({name: "x"}, {f"{name}__icontains": "x"}, {"ordering": name}, {"ordering": f"-{name}"}):
                assert api.get(f"/api/v1/{resource}/", query).status_code == 400, (role, query)
        searched = [backend().get_search_fields(view, view.request) for backend in view.filter_backends
                    if hasattr(backend, "get_search_fields")]  # fmt: skip
        if resource != "patients":
            assert not {path.lstrip("^=@$") for paths in searched for path in paths} & unseen
        request = RequestFactory().get("/")
        request.user = login
        site = admin.site._registry.get(model) or admin.ModelAdmin(model, admin.site)
        assert [
            name
            for name in unseen
            for lookup in (name, f"{name}__gte", f"{name}__startswith")
            if site.lookup_allowed(lookup, "x", request)
        ] == [], role
        for offered in (site.get_search_fields(request), site.get_list_filter(request), site.get_list_display(request)):
            assert not unseen & {str(name).lstrip("^=@$") for name in offered}, role


@pytest.mark.parametrize("role", [Role.LAB_TECH, Role.PHARMACIST])
def test_a_search_by_what_of_patients_a_role_does_not_see_finds_nobody(role: str) -> None:
    practice = make_practice()
    login, site = practice.logins[role], admin.site._registry[type(practice.patient)]
    request = RequestFactory().get("/")
    request.user = login
    for text, sees in ((practice.patient.email, False), (practice.patient.phone, role == Role.PHARMACIST)):
        found = client_for(login).post("/api/v1/patients/search/", {"text": text}, format="json").data
        assert bool(found) is sees, text
        assert site.get_search_results(request, type(practice.patient).objects.all(), text)[0].exists() is sees


def test_fhir_tells_no_number_of_a_coverage_to_who_does_not_see_it_and_does_not_find_by_it() -> None:
    practice = make_practice()
    row = planted("insurance.PatientInsurance", practice)
    make("appointments", practice)
    for role, sees in ((Role.DOCTOR, False), (Role.NURSE, False), (Role.RECEPTIONIST, True), (Role.PATIENT, True)):
        api = client_for(practice.logins[role])
        answer = api.get(f"/fhir/R4/Coverage/{row.pk}")
        assert answer.status_code == 200, role
        assert (b"ZQMEMBER77" in answer.content, b"ZQPOLICY77" in answer.content) == (sees, sees), role
        everything = api.get(f"/fhir/R4/Patient/{practice.patient.pk}/$everything")
        assert (b"ZQMEMBER77" in everything.content) is (sees and everything.status_code == 200), role
        found = api.generic(
            "POST", "/fhir/R4/Coverage/_search", "identifier=ZQMEMBER77", "application/x-www-form-urlencoded"
        )
        assert found.status_code == (200 if sees else 403), role


def test_a_masked_value_cannot_be_written_back() -> None:
    practice = make_practice()
    row = planted("insurance.PatientInsurance", practice)
    serializer = view_of("patient-insurances", practice.logins[Role.NURSE], "update").get_serializer(
        row, data={"member_id": "••••ER77", "policy_number": "x"}, partial=True
    )
    assert not serializer.is_valid()
    assert set(serializer.errors) == {"member_id", "policy_number"}
    own = view_of("patient-insurances", practice.logins[Role.RECEPTIONIST], "update").get_serializer(
        row, data={"member_id": "NEW"}, partial=True
    )
    assert own.is_valid(), own.errors


def test_a_short_value_is_masked_whole() -> None:
    assert [field_rules.mask(text) for text in (None, "", "12345678", "123456789")] == ["", "", "••••", "••••6789"]


PRIVILEGES: dict[str, Any] = {
    "role": "admin", "is_active": True, "is_verified": True, "password": "correct-horse-battery",
    "email": "a@b.example",
}  # fmt: skip
NO_FIELDS = ("is_staff", "is_superuser", "groups", "user_permissions", "is_deleted", "pk", "no_such")


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMIN}))
def test_nobody_gives_themself_a_role_or_a_field_that_is_not_there(role: str) -> None:
    practice = make_practice()
    login = practice.logins[role]
    api, url, stored = client_for(login), f"/api/v1/users/{login.pk}/", type(login).objects.values()
    before = stored.get(pk=login.pk)
    for name, value in [*PRIVILEGES.items(), *((name, True) for name in NO_FIELDS)]:
        with undone():
            answer = api.patch(url, {name: value}, format="json")
            after = stored.get(pk=login.pk)
            assert {**after, "updated_at": None} == {**before, "updated_at": None}, name
            if name in NO_FIELDS or name == "password":
                assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, name)
    other = practice.logins[Role.ADMIN]
    assert api.patch(f"/api/v1/users/{other.pk}/", {"first_name": "x"}, format="json").status_code == 404
    assert stored.get(pk=login.pk)["updated_at"] < timezone.now() + timedelta(seconds=1)
