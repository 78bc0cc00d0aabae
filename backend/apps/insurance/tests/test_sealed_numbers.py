"""The numbers of members and policies: sealed where they lie, found however they are grouped, sent as they were."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from backend.apps.core import indexing
from backend.apps.core.sealed import column, same
from backend.apps.insurance import claim_facts
from backend.apps.insurance.models import InsurancePlan, PatientInsurance, RemittanceClaim
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance
from backend.apps.insurance.tests.remittance_factories import make_remittance_claim

pytestmark = pytest.mark.django_db
CARD = "1eg4-te5-mk72"


def raw(row: Any, *names: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(names)} FROM {row._meta.db_table} WHERE id = %s", [row.pk])  # noqa: S608  # our own names only
        return tuple(cursor.fetchone())


def as_before(row: Any, **plain: str) -> None:
    """Write columns as they were before anything was sealed."""
    sets = ", ".join([*(f"{name} = %s" for name in plain), *(f"{name}_index = NULL" for name in plain)])
    if isinstance(row, RemittanceClaim):
        sets = "member_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {row._meta.db_table} SET {sets} WHERE id = %s", [*plain.values(), row.pk])  # noqa: S608  # our own names only


def found(text: str) -> list[PatientInsurance]:
    return list(PatientInsurance.objects.filter(same(PatientInsurance, "member_id_index", text)))


def test_a_number_lies_sealed_and_is_found_however_it_is_grouped() -> None:
    cover = make_patient_insurance(member_id=CARD, policy_number="POL 7-7")
    stored = raw(cover, "member_id", "policy_number")
    assert all(text.startswith("v1:") for text in stored)
    assert PatientInsurance.objects.get(pk=cover.pk).member_id == CARD, "as it was written"
    for text in (CARD, "1EG4TE5MK72", " 1EG4 TE5 MK72 "):
        assert found(text) == [cover]
    assert found("1EG4TE5MK7") == []
    cover.member_id = "W123"
    cover.save(update_fields=["member_id"])
    assert (found(CARD), found("w123")) == ([], [cover])


@pytest.mark.parametrize(
    ("plan", "sent"), [({"plan_type": InsurancePlan.PlanType.MEDICARE}, "1EG4TE5MK72"), ({}, CARD)]
)
def test_a_claim_sends_a_number_as_the_card_has_it_and_medicares_without_hyphens(
    plan: dict[str, Any], sent: str
) -> None:
    claim = make_claim()
    cover = claim.patient_insurance
    cover.member_id = CARD
    cover.save()
    InsurancePlan.objects.filter(pk=cover.insurance_plan_id).update(
        **{"plan_type": "ppo", "claim_filing_code": "", **plan}
    )
    (told,) = claim_facts.of_many([claim.pk])
    assert told.member_id == sent


def test_what_a_clinic_had_before_is_sealed_and_found_and_what_it_entered_meanwhile_stays() -> None:
    old, newer = make_patient_insurance(), make_patient_insurance(member_id="NEW1")
    paid = make_remittance_claim()
    as_before(old, member_id="OLD-1", policy_number="P1")
    as_before(paid, member_id="OLD-1")
    before = raw(newer, "member_id", "member_id_index", "updated_at"), raw(old, "updated_at")
    for _ in range(2):
        import_module("backend.apps.insurance.migrations.0009_sealed_numbers_filled").seal_numbers(apps, None)
        assert found("old1") == [PatientInsurance.objects.get(pk=old.pk)]
        assert PatientInsurance.objects.get(pk=old.pk).policy_number == "P1"
        assert RemittanceClaim.objects.get(pk=paid.pk).member_id == "OLD-1"
        for row, name in ((old, "member_id"), (old, "policy_number"), (paid, "member_id")):
            assert raw(row, name)[0].startswith("v1:")
    assert raw(newer, "member_id_index") == before[0][1:2]
    assert column(PatientInsurance, "member_id").open(newer.pk, raw(newer, "member_id")[0]) == "NEW1"
    assert (raw(newer, "updated_at"), raw(old, "updated_at")) == (before[0][2:], before[1]), "nobody changed them"


def test_indexes_are_filled_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [make_patient_insurance(member_id=f"M{number}") for number in range(5)]
    PatientInsurance.objects.update(member_id_index=None)
    monkeypatch.setattr(indexing, "ROWS", 2)
    assert indexing.fill(PatientInsurance) == 5
    assert indexing.fill(PatientInsurance) == 0
    assert [found(f"m{number}") for number in range(5)] == [[row] for row in rows]
