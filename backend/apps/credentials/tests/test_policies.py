"""Proves that a type without rules of its own has the usual ones, and who may change which."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from backend.apps.core import dispatch
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.credentials import policies
from backend.apps.credentials.models import CredentialNotice, CredentialPolicy, CredentialRules
from backend.apps.credentials.tests.factories import lapsing, make_alert, make_notice, make_policy
from backend.apps.employees.models import CredentialType
from backend.apps.employees.tests.factories import make_department, make_employee, make_employee_credential, make_head
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
POLICIES, ALERTS = "/api/v1/credential-policies/", "/api/v1/credential-alerts/"


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> Any:
    """Run a call with what it rings for; the broker is the only thing that is replaced."""
    names: list[str] = []
    monkeypatch.setattr(dispatch, "send", lambda name: names.append(name) or True)

    def run(job: Any) -> list[str]:
        with django_capture_on_commit_callbacks(execute=True):
            job()
        return names

    return run


class TestPolicies(ApiContract):
    url = POLICIES
    stranger = "patient"
    few, many = 1, 8

    def make(self) -> CredentialPolicy:
        row = CredentialPolicy.objects.filter(is_deleted=False).count()
        return make_policy() if row < len(CredentialType) else CredentialPolicy.objects.latest("created_at")


class TestRules(ApiContract):
    url = "/api/v1/credential-rules/"
    stranger = "doctor"

    def make(self) -> CredentialRules:
        return CredentialRules.objects.create()


class TestAlerts(ApiContract):
    url = ALERTS
    stranger = "patient"

    def make(self) -> Any:
        return make_alert()


class TestNotices(ApiContract):
    url = "/api/v1/credential-notices/"
    stranger = "patient"

    def make(self) -> CredentialNotice:
        return make_notice()


def test_every_type_has_rules_and_the_usual_ones_stand_in_the_database_too() -> None:
    assert set(policies.USUAL) == set(CredentialType.values)
    assert {kind: row.needed_for for kind, row in policies.USUAL.items() if row.needed_for} == {
        "state_license": ["appointments", "prescriptions", "claims"], "dea": ["controlled_substances"],
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT DATE '2026-12-31' - credentials_first_look('dea', '2026-12-31')")
        assert cursor.fetchone() == (policies.USUAL["dea"].tiers[0],)


def test_rules_of_a_type_stand_in_for_the_usual_ones_until_they_are_deleted(rung: Any) -> None:
    api = client_for(make_user("admin"))
    form = {"credential_type": "dea", "tiers": [45, 10], "needed_for": [], "must_be_verified": True}
    assert rung(lambda: api.post(POLICIES, form, format="json")) == [policies.SWEEP]
    stored = policies.of_types()["dea"]
    assert (stored.tiers, stored.needed_for, stored.must_be_verified) == ([45, 10], [], True)
    assert rung(lambda: api.patch(f"{POLICIES}{stored.pk}/", {"tiers": [60]}, format="json")) == [policies.SWEEP] * 2
    assert rung(lambda: api.delete(f"{POLICIES}{stored.pk}/")) == [policies.SWEEP] * 3
    assert policies.of_types()["dea"].tiers == policies.USUAL["dea"].tiers


@pytest.mark.parametrize(
    "wrong",
    [{"tiers": []}, {"tiers": [1, 30]}, {"tiers": [30, 30]}, {"tiers": [99999]}, {"tiers": [-1]}, {"tiers": "30"},
     {"needed_for": ["everything"]}, {"credential_type": "driving"}],
    ids=["no tiers", "upwards", "twice", "too early", "below zero", "no list", "no such need", "no such type"],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    answer = client_for(make_user("admin")).post(POLICIES, {"credential_type": "dea", **wrong}, format="json")
    assert answer.status_code == 400, answer.data


def test_a_type_has_one_set_of_rules_and_they_stay_with_it() -> None:
    policy = make_policy(credential_type="bls")
    answer = client_for(make_user("admin")).post(POLICIES, {"credential_type": "bls"}, format="json")
    assert answer.status_code == 400
    with pytest.raises(DomainError):
        policies.change(policy, by=None, credential_type="acls")


def test_there_is_one_row_of_rules_and_its_officer_can_sign_in() -> None:
    policies.write_rules(by=None)
    with pytest.raises(Conflict):
        policies.write_rules(by=None)
    for user in (make_user("patient"), make_user("nurse"), make_user("admin", is_active=False)):
        with pytest.raises(DomainError):
            policies.change_rules(CredentialRules.current(), by=None, compliance_officer=user)


def test_alerts_are_seen_by_the_holder_the_manager_the_head_of_the_department_and_administrators() -> None:
    department, boss = make_department(), make_employee()
    head, nurse = make_head(department), make_employee(department=department, manager=boss)
    of_nurse = make_employee_credential(employee=nurse)
    row, _ = make_alert(credential=of_nurse), make_alert()
    seen = {
        who: {row["id"] for row in client_for(user).get(ALERTS).data["results"]}
        for who, user in {
            "head": head.user, "manager": boss.user, "nurse": nurse.user, "other": make_user("nurse"),
        }.items()
    }  # fmt: skip
    assert seen == {"head": {str(row.pk)}, "manager": {str(row.pk)}, "nurse": {str(row.pk)}, "other": set()}
    answer = client_for(make_user("admin")).get(ALERTS, {"open": True, "credential_type": "bls"})
    assert [row["holder"] for row in answer.data["results"]] == [str(nurse.user_id)]


def test_an_administrator_has_the_sweep_run_now(rung: Any) -> None:
    assert client_for(lapsing(20).doctor.user).post(f"{ALERTS}sweep/").status_code == 403
    assert rung(lambda: client_for(make_user("admin")).post(f"{ALERTS}sweep/")) == [policies.SWEEP]
