"""For each edit of services, days, money and earlier payers what breaks it and what nearly does; a rule needs both."""

from __future__ import annotations

from collections.abc import Mapping

from backend.apps.insurance.tests.edit_case import AGAIN, DRUG, MEDICARE, SECOND, TWO, Example, known, line, split

EXAMPLES: Mapping[str, Example] = {
    # services
    "line-missing": Example({"lines": ()}, {}),
    "line-too-many": Example(
        {"lines": tuple(line(number=str(n), code=f"{99000 + n}", charge="2.50") for n in range(1, 52))},
        {"lines": tuple(line(number=str(n), code=f"{99000 + n}", charge="2.50") for n in range(1, 51))},
    ),
    "procedure-form": Example({"line.code": "9921"}, {"line.code": "J1885"}),
    "procedure-not-valid": Example(
        {"line.code": "99299", "codes": {"cpt": known("99213")}},
        {"line.code": "J1885", "codes": {"cpt": known("99213")}},
    ),
    "procedure-sex": Example(
        {"line.code": "55700", "codes": {"cpt": known("55700", sex="M")}},
        {"line.code": "58150", "codes": {"cpt": known("58150", sex="F")}},
    ),
    "procedure-age": Example(
        {"line.code": "99381", "codes": {"cpt": known("99381", age_to=0)}},
        {"line.code": "99396", "codes": {"cpt": known("99396", age_from=40, age_to=64)}},
    ),
    "modifier-form": Example({"line.modifiers": "25,5"}, {"line.modifiers": "25,LT"}),
    "modifier-too-many": Example({"line.modifiers": "25,59,LT,XU,76"}, {"line.modifiers": "25,59,LT,XU"}),
    "modifier-twice": Example({"line.modifiers": "25,25"}, {"line.modifiers": "25"}),
    "units-not-positive": Example({"line.units": "0.000"}, {"line.units": "0.5"}),
    "units-too-long": Example({"line.units": "1.0005"}, {"line.units": "1.0050"}),
    "unit-basis-unknown": Example({"line.unit_basis": "DA"}, {"line.unit_basis": "MJ"}),
    "anesthesia-minutes": Example(
        {"line.code": "00142"}, {"line.code": "00142", "line.unit_basis": "MJ", "line.units": "47"}
    ),
    "units-too-many": Example(
        {**MEDICARE, "lines": split("2", "2"), "codes": {"mue": known("99213", most_units=3, indicator="2")}},
        {**MEDICARE, "lines": split("2", "2"), "codes": {"mue": known("99213", most_units=3, indicator="3")}},
    ),
    "units-unusual": Example(
        {"line.units": "4", "codes": {"mue": known("99213", most_units=3, indicator="2")}},
        {"line.units": "4", "line.to_on": "20261029", "codes": {"mue": known("99213", most_units=3, indicator="2")}},
    ),
    "pointer-missing": Example({"line.pointers": ""}, {"line.pointers": "2"}),
    "pointer-too-many": Example(
        {"line.pointers": "1,2,3,4,5", "claim.diagnoses": "A10,A11,A12,A13,A14"},
        {"line.pointers": "1,2,3,4", "claim.diagnoses": "A10,A11,A12,A13"},
    ),
    "pointer-twice": Example({"line.pointers": "1,1"}, {"line.pointers": "2,1"}),
    "pointer-unknown": Example({"line.pointers": "3"}, {"line.pointers": "2"}),
    "ndc-form": Example({**DRUG, "line.ndc": "0002-7510-01"}, DRUG),
    "ndc-quantity": Example({**DRUG, "line.ndc_quantity": "0"}, {**DRUG, "line.ndc_quantity": "0.001"}),
    "ndc-unit": Example({**DRUG, "line.ndc_unit": "QT"}, {**DRUG, "line.ndc_unit": "F2"}),
    "ndc-missing": Example(
        {"line.code": "J1885", "plan.kind": "medicaid"}, {**DRUG, "line.code": "J1885", "plan.kind": "medicaid"}
    ),
    "clia-missing": Example(
        {"line.code": "85025", "plan.kind": "medicaid"},
        {"line.code": "85025", "plan.kind": "medicaid", "claim.clia": "45D0123456"},
    ),
    "line-text-not-writable": Example({"line.prior_authorization": "A:1"}, {"line.prior_authorization": "a-1"}),
    "procedure-repeated": Example(
        {"lines": (line(charge="62.50"), line(number="2", charge="62.50"))},
        {"lines": (line(charge="62.50"), line(number="2", charge="62.50", modifiers="76"))},
    ),
    # place
    "place-unknown": Example({"claim.place_of_service": "00"}, {"claim.place_of_service": "27"}),
    "line-place-unknown": Example({"line.place_of_service": "98"}, {"line.place_of_service": "22"}),
    "telehealth-modifier": Example(
        {"claim.place_of_service": "02"}, {"claim.place_of_service": "10", "line.modifiers": "25,95"}
    ),
    "telehealth-place": Example({"line.modifiers": "95"}, {"line.modifiers": "95", "line.place_of_service": "02"}),
    "admission-missing": Example(
        {"claim.place_of_service": "21"}, {"claim.place_of_service": "21", "claim.admission_on": "20261027"}
    ),
    # days
    "service-day-missing": Example({"line.from_on": "20261301"}, {}),
    "service-in-future": Example({"line.from_on": "20261106"}, {"line.from_on": "20261105"}),
    "service-before-birth": Example({"claim.patient_birth": "20261029"}, {"claim.patient_birth": "20261028"}),
    "service-ends-before-it-begins": Example({"line.to_on": "20261027"}, {"line.to_on": "20261028"}),
    "two-years": Example(
        {
            "payer.wants_one_year": True,
            "claim.coverage_from": "20250101",
            "line.from_on": "20251231",
            "line.to_on": "20260101",
        },
        {
            "claim.coverage_from": "20250101",
            "plan.filing_days": 0,
            "line.from_on": "20251231",
            "line.to_on": "20260101",
        },
    ),
    "accident-unknown": Example(
        {"claim.accident": "XX", "claim.accident_on": "20261001"},
        {"claim.accident": "EM", "claim.accident_on": "20261001"},
    ),
    "accident-day-missing": Example(
        {"claim.accident": "OA"}, {"claim.accident": "OA", "claim.accident_on": "20261028"}
    ),
    "accident-state-missing": Example(
        {"claim.accident": "AA", "claim.accident_on": "20261001"},
        {"claim.accident": "AA", "claim.accident_on": "20261001", "claim.accident_state": "TX"},
    ),
    "accident-after-service": Example(
        {"claim.accident": "OA", "claim.accident_on": "20261029"},
        {"claim.accident": "OA", "claim.accident_on": "20261028"},
    ),
    "onset-after-service": Example({"claim.onset_on": "20261029"}, {"claim.onset_on": "20261028"}),
    "discharge-before-admission": Example(
        {"claim.admission_on": "20261004", "claim.discharge_on": "20261003"},
        {"claim.admission_on": "20261003", "claim.discharge_on": "20261003"},
    ),
    "delay-reason-unknown": Example({"claim.delay_reason": "12"}, {"claim.delay_reason": "15"}),
    # money
    "charge-form": Example({"line.charge": "125", "claim.total": "125"}, {}),
    "charge-not-positive": Example(
        {"lines": (line(), line(number="2", code="36415", charge="0.00"))},
        {"lines": (line(), line(number="2", code="36415", charge="0.01")), "claim.total": "125.01"},
    ),
    "total-not-positive": Example(
        {"claim.total": "0.00", "line.charge": "0.00"}, {"claim.total": "0.01", "line.charge": "0.01"}
    ),
    "total-not-sum": Example({"lines": TWO, "claim.total": "125.01"}, {"lines": TWO}),
    "patient-paid-too-much": Example({"claim.patient_paid": "125.01"}, {"claim.patient_paid": "125.00"}),
    # permissions and corrections
    "authorisation-missing": Example(
        {"plan.needs_prior_authorization": True},
        {"plan.needs_prior_authorization": True, "line.prior_authorization": "A1"},
    ),
    "referral-missing": Example({"plan.needs_referral": True}, {"plan.needs_referral": True, "claim.referring": "d"}),
    "referral-number-missing": Example(
        {"plan.needs_referral": True, "claim.referring": "d"},
        {"plan.needs_referral": True, "claim.referring": "d", "claim.referral_number": "R1"},
    ),
    "referral-without-doctor": Example(
        {"claim.referral_number": "R1"}, {"claim.referral_number": "R1", "claim.referring": "d"}
    ),
    "frequency-unknown": Example({**AGAIN, "claim.frequency": "6"}, {**AGAIN, "claim.frequency": "8"}),
    "original-reference-missing": Example({**AGAIN, "claim.original_reference": ""}, AGAIN),
    "original-reference-unexpected": Example({**AGAIN, "claim.frequency": "1"}, AGAIN),
    "corrections-not-taken": Example({**AGAIN, "payer.takes_corrections": False}, {"payer.takes_corrections": False}),
    "indicators-unknown": Example({"claim.assignment": "Y"}, {"claim.assignment": "C", "claim.release": "I"}),
    # an earlier payer
    "earlier-payer-missing": Example({"claim.sequence": "S"}, SECOND),
    "payers-out-of-order": Example({**SECOND, "claim.sequence": "P"}, {**SECOND, "claim.sequence": "T"}),
    "earlier-payer-name": Example({**SECOND, "other.payer_name": ""}, SECOND),
    "earlier-text-not-writable": Example(
        {**SECOND, "other.reference": "ICN*1"}, {**SECOND, "other.reference": "ICN-1"}
    ),
    "earlier-member-id-unreadable": Example({**SECOND, "other.member_id": "\0"}, SECOND),
    "earlier-holder": Example({**SECOND, "other.member_id": ""}, SECOND),
    "adjustment-unknown": Example(
        {**SECOND, "other.adjustments": (("XX", "45", "0.00", ""),)},
        {**SECOND, "other.adjustments": (("OA", "94", "0.00", ""),)},
    ),
    "line-adjustment-unknown": Example(
        {**SECOND, "said.adjustments": (("CO", "", "45.00", ""),)},
        {**SECOND, "said.adjustments": (("CO", "45", "45.00", ""),)},
    ),
    "earlier-line-balance": Example(
        {**SECOND, "said.adjustments": (("CO", "45", "44.99", ""),)},
        {**SECOND, "said.adjustments": (("CO", "45", "45", ""),)},
    ),
    "earlier-claim-balance": Example({**SECOND, "other.paid": "80.01"}, SECOND),
    "earlier-paid-not-sum": Example(
        {**SECOND, "other.paid": "79.00"},
        {**SECOND, "other.paid": "79.00", "other.adjustments": (("PR", "1", "1.00", ""),), "said.paid": "80.00"},
    ),
    "earlier-day-missing": Example(
        {**SECOND, "said.adjudicated_on": ""}, {**SECOND, "said.adjudicated_on": "", "other.adjudicated_on": "20261101"}
    ),
    # twice, and late
    "billed-before": Example({"duplicates": ["c"]}, {"duplicates": ["c"], **AGAIN, "claim.frequency": "8"}),
    "billed-once-more": Example({"once_more": ["c"]}, {}),
    "billed-beside": Example(
        {"beside": {}}, {"beside": {"service_on": "20261027", "lines": (line(from_on="20261027"),)}}
    ),
    "filing-late": Example({"plan.filing_days": 7}, {"plan.filing_days": 7, "claim.delay_reason": "7"}),
    "filing-soon-late": Example({"plan.filing_days": 10}, {"plan.filing_days": 12}),
}
