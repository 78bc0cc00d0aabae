"""One value that does not open costs nobody the others: it is named, told of once, and never lost by who writes."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from backend.apps.core import closed_values
from backend.apps.core.models import Alert, Clinic
from backend.apps.core.sealed import column, same
from backend.apps.doctors.models import DoctorCredential
from backend.apps.doctors.tests.factories import make_credential
from backend.apps.insurance.models import PatientInsurance
from backend.apps.insurance.tests.factories import make_patient_insurance
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for
from tests.support.closed import close

pytestmark = pytest.mark.django_db
LIST, FHIR = "/api/v1/patient-insurances/", "/fhir/R4/Coverage"


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_values, "_told", {})  # what other tests told


@pytest.fixture
def moved() -> tuple[PatientInsurance, PatientInsurance]:
    """A coverage that is as it should be, and one whose member number somebody put there from another row."""
    good, bad = make_patient_insurance(member_id="W123"), make_patient_insurance(member_id="W456")
    with connection.cursor() as cursor:
        sql = "UPDATE insurance_patientinsurance SET member_id = %s WHERE id = %s"
        cursor.execute(sql, [column(PatientInsurance, "member_id").seal(good.pk, "W789"), bad.pk])
    return good, bad


def stored(row: PatientInsurance) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT member_id, member_id_index FROM insurance_patientinsurance WHERE id = %s", [row.pk])
        return tuple(cursor.fetchone())


def test_a_list_leaves_it_out_with_a_mark_and_one_row_is_refused_with_the_name_of_its_key(
    moved: tuple[PatientInsurance, PatientInsurance], caplog: Any, settings: Any
) -> None:
    good, bad = moved
    api, key = client_for(make_user(role="admin")), settings.FIELD_KEYS[0][0]
    with caplog.at_level(logging.ERROR, "backend.apps.core.closed_values"):
        listed = {row["id"]: row for row in api.get(LIST).data["results"]}
        answer = api.get(f"{LIST}{bad.pk}/")
    assert (listed[str(good.pk)]["member_id"], "unreadable" in listed[str(good.pk)]) == ("W123", False)
    marked = listed[str(bad.pk)]
    assert (marked["unreadable"], "member_id" in marked) == (["member_id"], False)
    assert marked["policy_number"] == bad.policy_number
    assert (answer.status_code, answer.data["type"]) == (500, "urn:carerelay:problem:unreadable")
    assert (answer.data["field"], answer.data["key_id"]) == ("member_id", key)
    said = f"insurance.PatientInsurance.member_id of row {bad.pk} does not open, key {key}"
    assert [one.getMessage() for one in caplog.records if one.name == closed_values.__name__] == [said] * 2
    (alert,) = Alert.objects.filter(kind=closed_values.KIND)
    assert str(bad.pk) in alert.sentence


def test_who_writes_such_a_row_loses_nothing_and_mends_it_by_writing_the_field_anew(
    moved: tuple[PatientInsurance, PatientInsurance],
) -> None:
    _, bad = moved
    api, before = client_for(make_user(role="admin")), stored(bad)
    row = PatientInsurance.objects.get(pk=bad.pk)
    row.group_number = "G1"
    row.save()
    assert stored(bad) == before
    assert api.patch(f"{LIST}{bad.pk}/", {"group_number": "G2"}, format="json").status_code == 500
    assert stored(bad) == before
    with pytest.raises(CommandError, match=f"1 rows hold a value that does not open \\({bad.pk}\\)"):
        call_command("keys", "check")
    assert api.patch(f"{LIST}{bad.pk}/", {"member_id": "W457"}, format="json").data["member_id"] == "W457"
    assert list(PatientInsurance.objects.filter(same(PatientInsurance, "member_id_index", "W457"))) == [bad]
    call_command("keys", "check")
    assert not Alert.objects.filter(kind=closed_values.KIND, resolved_at=None).exists()


def test_who_does_not_see_the_field_anyway_is_shown_the_rest_of_the_row() -> None:
    clinic = Clinic.objects.create(name="Elm Street Clinic", tax_id="123456789")
    close(clinic)
    url = f"/api/v1/clinics/{clinic.pk}/"
    told = client_for(make_user(role="nurse")).get(url)
    assert (told.status_code, told.data["name"], told.data["unreadable"]) == (200, clinic.name, ["tax_id"])
    assert client_for(make_user(role="admin")).get(url).status_code == 500


def test_fhir_leaves_it_out_of_a_bundle_with_an_outcome_and_refuses_the_resource_itself(
    moved: tuple[PatientInsurance, PatientInsurance],
) -> None:
    good, bad = moved
    api = client_for(make_user(role="admin"))
    bundle = json.loads(api.get(FHIR).content)
    held = {one["resource"]["id"]: one["resource"] for one in bundle["entry"] if one["search"]["mode"] == "match"}
    assert "W123" in json.dumps(held[str(good.pk)])
    assert not {"W456", "W789"} & set(json.dumps(held[str(bad.pk)]).split('"'))
    (told,) = [one["resource"] for one in bundle["entry"] if one["search"]["mode"] == "outcome"]
    assert told["issue"][0]["severity"] == "warning"
    assert told["issue"][0]["diagnostics"].startswith(f"Coverage/{bad.pk}: The field 'member_id'")
    answer = api.get(f"{FHIR}/{bad.pk}")
    assert (answer.status_code, json.loads(answer.content)["resourceType"]) == (500, "OperationOutcome")
    assert "member_id" in json.loads(answer.content)["issue"][0]["diagnostics"]
    assert Alert.objects.filter(kind=closed_values.KIND).count() == 1


def test_pages_say_which_field_cannot_be_read(moved: tuple[PatientInsurance, PatientInsurance]) -> None:
    _, bad = moved
    paper, other, site = make_credential(number="AB1"), make_credential(number="AB2"), Client()
    DoctorCredential.objects.filter(pk=paper.pk).update(
        number=DoctorCredential.objects.values_list("number", flat=True).get(pk=other.pk)
    )
    site.force_login(make_user(role="admin"))
    shown = site.get(f"/console/credentials/{paper.pk}/")
    assert (shown.status_code, "The field &#x27;number&#x27; of this row cannot be read" in shown.content.decode()) == (
        500, True,
    )  # fmt: skip
    for form in ({}, {"data": {"group_number": "G3"}}):
        page = (site.post if form else site.get)(
            f"/admin/insurance/patientinsurance/{bad.pk}/change/", follow=True, **form
        )
        assert "The field &#x27;member_id&#x27; of this row cannot be read" in page.content.decode()
    columns = {alert.sentence.split()[0] for alert in Alert.objects.filter(kind=closed_values.KIND)}
    assert columns == {"doctors.DoctorCredential.number", "insurance.PatientInsurance.member_id"}
