"""Proves that prescriptions, claims, notes, origins and the audit log say in FHIR what our rows say, and no more."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import Appointment
from backend.apps.core.audit import patient_of
from backend.apps.core.models import Clinic
from backend.apps.insurance.models import ClaimLine, InsuranceClaim, Posting
from backend.apps.insurance.tests.factories import make_claim, make_claim_in
from backend.apps.insurance.tests.remittance_factories import make_remittance_claim
from backend.apps.interop.fhir.source import Source, rows_among
from backend.apps.interop.fhir.sources.claims import CLAIMS, EXPLANATIONS
from backend.apps.interop.fhir.sources.documents import NOTES, RESULT_DOCUMENTS, SOAP_NOTES
from backend.apps.interop.fhir.sources.medications import MEDICATIONS, PRESCRIPTIONS
from backend.apps.interop.fhir.sources.provenance import NOTE_ORIGINS, RESULT_ORIGINS
from backend.apps.interop.tests.fhir.makers_of_papers import (
    MAKERS,
    bare_claim,
    full_claim,
    full_prescription,
    paid_claim,
    signed_note,
    soap_of,
)
from backend.apps.laboratory.models import LabResult
from backend.apps.patients.merging import merge
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.tests.factories import make_prescription
from backend.apps.users.tests.factories import make_user
from tests.support.fhir_rows import GIVEN

pytestmark = pytest.mark.django_db
TAKEN = ("bp", "body-weight", "body-height", "bmi")  # the vital signs of `signed_note`


def told(source: Source, row: Any, *, role: str = "") -> dict[str, Any]:
    """Return the one resource of a row."""
    (values,) = rows_among(source, source.model._base_manager.filter(pk=row.pk), role=role)
    return source.resource.as_dict(values, GIVEN)


def is_told(source: Source, row: Any) -> bool:
    return bool(rows_among(source, source.model._base_manager.filter(pk=row.pk)))


def gone(source: Source) -> list[str]:
    """Return the ids of what no longer is a resource, as an export since long ago tells them."""
    with connection.cursor() as cursor:
        cursor.execute(source.deleted, ["2000-01-01T00:00:00Z"])
        return [fhir_id for fhir_id, _ in cursor.fetchall()]


def amounts(adjudications: list[dict[str, Any]]) -> list[tuple[str, str, Decimal]]:
    return [
        (one["category"]["coding"][0]["code"], one.get("reason", {}).get("text", ""), one["amount"]["value"])
        for one in adjudications
    ]


@pytest.mark.parametrize(
    "source",
    [PRESCRIPTIONS, CLAIMS, EXPLANATIONS, NOTES, SOAP_NOTES, NOTE_ORIGINS, RESULT_DOCUMENTS, RESULT_ORIGINS],
    ids=lambda source: source.name,
)
def test_patients_see_their_own_and_of_results_what_was_released(source: Source) -> None:
    row = MAKERS[source.name][0]()
    own, other = make_user(role="patient"), make_user(role="patient")
    Patient.objects.filter(pk=patient_of(row)).update(user=own)
    assert source.may(own, "list")
    if isinstance(row, LabResult):
        assert not source.visible(own).exists()
        row.verify(make_user(role="lab_tech"))
    assert source.visible(own).get() == row
    assert not source.visible(other).exists()


def test_a_drug_has_its_codes_without_hyphens() -> None:
    prescription = full_prescription()
    drug = told(MEDICATIONS, prescription.medication)
    codes = [(one["system"].rpartition("/")[2], one["code"]) for one in drug["code"]["coding"]]
    assert codes == [("rxnorm", "314076"), ("ndc", prescription.medication.ndc_code.replace("-", ""))]
    assert drug["code"]["text"] == "Lisinopril 10 mg tablet"


def test_a_prescription_is_an_order_with_dose_route_and_refills() -> None:
    prescription = full_prescription()
    order = told(PRESCRIPTIONS, prescription)
    assert (order["status"], order["intent"], order["reportedBoolean"]) == ("active", "order", False)
    assert order["encounter"] == {"reference": f"Encounter/{prescription.appointment_id}"}
    (dosage,) = order["dosageInstruction"]
    assert dosage["route"]["coding"][0]["code"] == "26643006"
    assert dosage["doseAndRate"] == [
        {"doseQuantity": {"value": Decimal("2.5"), "unit": "mL", "system": "http://unitsofmeasure.org", "code": "mL"}}
    ]
    assert order["dispenseRequest"]["numberOfRepeatsAllowed"] == 3
    assert order["dispenseRequest"]["validityPeriod"]["end"] == prescription.expiration_date.isoformat()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("completed", "completed"), ("cancelled", "cancelled"), ("expired", "stopped"), ("on_hold", "on-hold")],
)
def test_each_state_of_a_prescription_has_its_word(ours: str, theirs: str) -> None:
    assert told(PRESCRIPTIONS, make_prescription(status=ours))["status"] == theirs


@pytest.mark.parametrize(
    ("unit", "code"), [("mg", "mg"), ("tablets", None), ("[iU]", "[iU]"), ("{tablet}", "{tablet}")]
)
def test_only_a_unit_that_is_one_of_ucum_is_told_as_such(unit: str, code: str | None) -> None:
    order = told(PRESCRIPTIONS, make_prescription(dose_quantity=1, dose_unit=unit))
    dose = order["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
    assert (dose["unit"], dose.get("code"), "system" in dose) == (unit, code, code is not None)


def test_who_has_a_prescription_reads_the_drug_it_refers_to() -> None:
    prescription, patient = full_prescription(), make_user(role="patient")
    assert told(PRESCRIPTIONS, prescription)["medicationReference"] == {
        "reference": f"Medication/{prescription.medication_id}"
    }
    assert MEDICATIONS.may(patient, "retrieve")
    assert MEDICATIONS.visible(patient).filter(pk=prescription.medication_id).exists()


def test_what_is_of_a_visit_changes_as_its_encounter_comes_and_goes() -> None:
    prescription, note = full_prescription(), signed_note()
    rows = ((PRESCRIPTIONS, prescription), (NOTES, note), (SOAP_NOTES, soap_of(note)))
    earlier = [told(source, row) for source, row in rows]
    Appointment.objects.update(status="no_show", updated_at=timezone.now())
    for before, after in zip(earlier, [told(source, row) for source, row in rows], strict=True):
        assert "encounter" in str(before)
        assert "encounter" not in str(after)
        assert after["meta"]["versionId"] > before["meta"]["versionId"]


def test_a_deleted_prescription_is_told_as_gone() -> None:
    prescription = make_prescription()
    prescription.delete()
    assert not is_told(PRESCRIPTIONS, prescription)
    assert gone(PRESCRIPTIONS) == [str(prescription.pk)]


def test_a_claim_says_its_lines_to_the_cent() -> None:
    claim = full_claim()
    told_claim = told(CLAIMS, claim)
    first, second, third = told_claim["item"]
    assert told_claim["status"] == "draft"
    assert [one["coding"][0]["code"] for one in first["modifier"]] == ["25", "LT"]
    assert "unitPrice" not in first  # 125.00 by three is no price
    assert str(first["net"]["value"]) == "125.00"
    assert second["productOrService"]["coding"] == [
        {"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "J1100"}
    ]
    assert second["diagnosisSequence"] == [1, 2]
    (drug,) = second["detail"]
    assert drug["productOrService"]["coding"][0]["code"] == "00002322730"
    assert (drug["quantity"]["value"], drug["quantity"]["code"]) == (Decimal("1.5"), "mL")
    team = {one["sequence"]: one["provider"].get("reference") for one in told_claim["careTeam"]}
    assert team[first["careTeamSequence"][0]] == f"Practitioner/{claim.rendering_doctor_id}"
    own = ClaimLine.objects.get(claim=claim, number=2).rendering_doctor_id
    assert team[second["careTeamSequence"][0]] == f"Practitioner/{own}"
    assert third["quantity"] == {
        "value": 15, "unit": "minutes", "system": "http://unitsofmeasure.org", "code": "min",
    }  # fmt: skip
    assert third["servicedPeriod"]["end"] == told_claim["billablePeriod"]["end"]
    assert (
        sum(line["net"]["value"] for line in told_claim["item"]) == told_claim["total"]["value"] == claim.billed_amount
    )


def test_a_claim_that_was_taken_back_is_cancelled_and_has_changed() -> None:
    claim = make_claim_in("accepted")
    before = told(CLAIMS, claim)
    void = make_claim(patient_insurance=claim.patient_insurance, original=claim, frequency="8", status="submitted")
    after = told(CLAIMS, claim)
    assert (before["status"], after["status"], told(CLAIMS, void)["status"]) == ("active", "cancelled", "cancelled")
    assert after["meta"]["versionId"] > before["meta"]["versionId"]
    assert told(CLAIMS, void)["related"][0]["claim"] == {"reference": f"Claim/{claim.pk}"}


def test_what_a_payer_decided_is_told_as_the_ledger_holds_it() -> None:
    claim = paid_claim()
    line = ClaimLine.objects.get(claim=claim, number=1)
    by = make_user()
    for kind, group, reason, amount in (
        ("contractual", "CO", "45", "30.00"),
        ("patient", "PR", "1", "12.50"),
        ("patient", "PR", "2", "9.00"),
        ("patient", "PR", "2", "-9.00"),  # taken back
        ("payment", "", "", "82.50"),
    ):
        Posting.objects.create(
            claim=claim, line=line, kind=kind, group=group, reason=reason, amount=Decimal(amount), by=by
        )
    explained = told(EXPLANATIONS, claim)
    assert explained["outcome"] == "complete"
    assert amounts(explained["item"][0]["adjudication"]) == [
        ("submitted", "", Decimal("125.00")),
        ("benefit", "", Decimal("82.50")),
        ("deductible", "PR-1", Decimal("12.50")),
        ("discount", "CO-45", Decimal("30.00")),
    ]
    assert amounts(explained["adjudication"]) == [
        ("benefit", "", Decimal("100.00")),
        ("memberliability", "", Decimal("20.00")),
    ]
    assert str(explained["payment"]["amount"]["value"]) == "100.00"


@pytest.mark.parametrize("role", ["doctor", "nurse", "patient"])
def test_who_has_no_ledger_sees_the_sums_of_an_explanation_alone(role: str) -> None:
    claim = paid_claim()
    whole = told(EXPLANATIONS, claim)
    less = told(EXPLANATIONS, claim, role=role)
    assert "adjudication" not in less
    assert [line["sequence"] for line in less["item"] if "adjudication" not in line] == [1, 2]
    assert (less["total"], less["payment"]) == (whole["total"], whole["payment"])


@pytest.mark.parametrize(
    ("status", "is_judged"),
    [("draft", False), ("submitted", False), ("accepted", False), ("denied", True), ("appealed", True)],
)
def test_only_what_a_payer_judged_is_explained(status: str, is_judged: bool) -> None:
    assert is_told(EXPLANATIONS, make_claim_in(status)) is is_judged


def test_the_codes_of_a_payer_are_written_as_text_whatever_they_are() -> None:
    claim = paid_claim()
    Posting.objects.create(
        claim=claim, kind="other", group='"\\', reason='1"{\\}', amount=Decimal("1.00"), by=make_user()
    )
    (row,) = rows_among(EXPLANATIONS, InsuranceClaim.objects.filter(pk=claim.pk))
    written = json.loads(EXPLANATIONS.resource.line(GIVEN)(row), parse_float=Decimal)
    assert written == EXPLANATIONS.resource.as_dict(row, GIVEN)
    assert ("noncovered", '"\\-1"{\\}', Decimal("1.00")) in amounts(written["adjudication"])


@pytest.mark.parametrize("how", ["rejected", "draft"])
def test_a_claim_whose_void_came_to_nothing_is_active_again_in_a_later_version(how: str) -> None:
    claim = make_claim_in("accepted")
    void = make_claim(patient_insurance=claim.patient_insurance, original=claim, frequency="8", status="submitted")
    before = told(CLAIMS, claim)
    InsuranceClaim.objects.filter(pk=void.pk).update(status=how, denial_reason="Twice", updated_at=timezone.now())
    after = told(CLAIMS, claim)
    assert (before["status"], after["status"]) == ("cancelled", "active")
    assert after["meta"]["versionId"] > before["meta"]["versionId"]


def test_a_merge_is_another_version_of_the_claims_it_moves() -> None:
    claim, stays = paid_claim(), make_patient()
    cover = claim.patient_insurance
    before = [told(source, claim)["meta"]["versionId"] for source in (CLAIMS, EXPLANATIONS)]
    merge(cover.patient, by=None, into=stays)
    for source, version in zip((CLAIMS, EXPLANATIONS), before, strict=True):
        after = told(source, claim)
        assert after["patient"] == {"reference": f"Patient/{stays.pk}"}
        assert after["meta"]["versionId"] > version


def test_a_claim_changes_with_whom_it_names() -> None:
    claim = full_claim()
    plan = claim.patient_insurance.insurance_plan
    for year, named in enumerate((plan, claim.billing_entity, claim.referring_provider), start=2100):
        type(named).objects.filter(pk=named.pk).update(updated_at=f"{year}-01-01T00:00:00Z")
        assert told(CLAIMS, claim)["meta"]["lastUpdated"].startswith(f"{year}-")
    unbilled = bare_claim()
    Clinic.objects.create(name="The practice")
    Clinic.objects.update(updated_at="2200-01-01T00:00:00Z")
    assert "2200-" in told(CLAIMS, unbilled)["meta"]["lastUpdated"]


@pytest.mark.parametrize("role", ["doctor", "nurse", "patient"])
def test_the_numbers_of_the_desk_stay_with_the_desk(role: str) -> None:
    claim = full_claim()
    whole, less = told(CLAIMS, claim), told(CLAIMS, claim, role=role)
    assert [one["sequence"] for one in whole["careTeam"]] == [1, 2, 4]
    assert [one["sequence"] for one in less["careTeam"]] == [1, 4]
    assert "identifier" in whole["provider"]
    assert less["provider"] == {name: told for name, told in whole["provider"].items() if name != "identifier"}


def test_what_was_posted_is_explained_until_it_is_known_to_be_gone() -> None:
    claim, denied = paid_claim(), make_claim_in("denied")
    Posting.objects.create(claim=claim, kind="payment", amount=Decimal("1.00"), by=make_user())
    make_remittance_claim(claim=denied, state="posted")
    make_claim_in("rejected"), make_claim_in("accepted")  # never judged, so never explained
    for status in ("accepted", "rejected", "submitted"):
        InsuranceClaim.objects.update(status=status, denial_reason="Twice", response_date=Clinic.today())
        assert told(EXPLANATIONS, claim)["outcome"] == "partial"
        assert not is_told(EXPLANATIONS, denied)
        assert gone(EXPLANATIONS) == [str(denied.pk)]


def test_a_reversal_leaves_the_explanation_as_partial() -> None:
    claim = paid_claim()
    InsuranceClaim.objects.filter(pk=claim.pk).update(status="accepted")
    assert told(EXPLANATIONS, claim)["outcome"] == "partial"
