"""For each edit of parties, people, coverage and diagnoses what breaks it and what nearly does; a rule needs both."""

from __future__ import annotations

from collections.abc import Mapping

from backend.apps.insurance.code_sets import Known
from backend.apps.insurance.tests.edit_case import (
    DEPENDENT,
    MEDICARE,
    NPI,
    OTHER_NPI,
    SECOND,
    WRONG_NPI,
    Example,
    known,
)

HOME = {"line1": "1 OAK AVE", "city": "AUSTIN", "state": "TX", "postal_code": "78702"}
EXAMPLES: Mapping[str, Example] = {
    # who bills, who pays, who served and where
    "billing-missing": Example({"claim.billing": ""}, {}),
    "billing-name": Example(
        {"billing.name": ""},
        {"billing.is_person": True, "billing.last_name": "T", "billing.first_name": "T", "billing.name": ""},
    ),
    "billing-npi": Example({"billing.npi": WRONG_NPI}, {"billing.npi": OTHER_NPI}),
    "billing-taxonomy": Example({"billing.taxonomy": "207Q00000"}, {"billing.taxonomy": ""}),
    "billing-tax-id": Example({"billing.tax_id": "74-123456"}, {"billing.tax_id": "012345678"}),
    "billing-tax-id-unreadable": Example({"billing.tax_id": "\0"}, {"billing.tax_id": "012345678"}),
    "billing-address": Example({"billing.line1": ""}, {"billing.line2": "STE 2"}),
    "billing-po-box": Example({"billing.line1": "P.O. Box 12"}, {"billing.line1": "12 BOXWOOD POINT"}),
    "billing-state": Example({"billing.state": "XX"}, {"billing.state": "PR"}),
    "billing-zip": Example({"billing.postal_code": "78701"}, {"billing.postal_code": "009261234"}),
    "billing-phone": Example({"billing.contact_phone": "15121550101"}, {"billing.contact_phone": "5125550101"}),
    "billing-pay-to": Example(
        {"billing.pay_to_line1": "PO BOX 1"},
        {
            "billing.pay_to_line1": "PO BOX 1",
            "billing.pay_to_city": "AUSTIN",
            "billing.pay_to_state": "TX",
            "billing.pay_to_postal_code": "78767",
        },
    ),
    "payer-missing": Example({"claim.payer": "gone"}, {}),
    "payer-name": Example({"payer.name": ""}, {"payer.name": "X"}),
    "payer-identifier": Example({"payer.identifier": "6"}, {"payer.identifier": "60"}),
    "provider-name": Example({"provider.last_name": ""}, {"provider.first_name": ""}),
    "provider-npi": Example({"provider.npi": ""}, {"provider.npi": NPI}),
    "provider-taxonomy": Example({"provider.taxonomy": "INTERNAL"}, {"provider.taxonomy": ""}),
    "rendering-missing": Example(
        {"claim.rendering": ""},
        {"claim.rendering": "", "billing.is_person": True, "billing.last_name": "T", "billing.first_name": "T"},
    ),
    "rendering-unknown": Example({"claim.rendering": "gone"}, {}),
    "rendering-not-entitled": Example(
        {"provider.entitled": ((("20200101", "20261027"),),)},
        {"provider.entitled": ((("20200101", "20251027"), ("20251101", "20261028")),)},
    ),
    "rendering-excluded": Example({"provider.excluded_from": "20261028"}, {"provider.excluded_from": "20261029"}),
    "referring-unknown": Example({"claim.referring": "gone"}, {"claim.referring": "d"}),
    "facility-unknown": Example({"claim.facility": "gone"}, {"claim.facility": ""}),
    "facility-name": Example({"facility.name": ""}, {"facility.name": "", "claim.facility": ""}),
    "facility-npi": Example({"facility.npi": WRONG_NPI}, {"facility.npi": ""}),
    "facility-address": Example({"facility.city": ""}, {"facility.line2": "FLOOR 2"}),
    "facility-zip": Example(
        {"facility.postal_code": "78703"}, {"facility.line1": "100 Main St", "facility.postal_code": "78701"}
    ),
    "clia-form": Example({"claim.clia": "45-0123456"}, {"claim.clia": "45D0123456"}),
    # the patient and the holder
    "member-id-missing": Example({"claim.member_id": ""}, {}),
    "member-id-unreadable": Example({"claim.member_id": "\0"}, {"claim.member_id": "00"}),
    "member-id-length": Example({"claim.member_id": "W"}, {"claim.member_id": "W1"}),
    "member-id-form": Example({"payer.member_id_pattern": "M[0-9]{9}"}, {"payer.member_id_pattern": "W[0-9]{9}"}),
    "medicare-number": Example(
        {**MEDICARE, "claim.member_id": "1EG4TE5MK7S"}, {**MEDICARE, "claim.member_id": "1eg4-te5 mk73"}
    ),
    "relationship-unknown": Example(
        {**DEPENDENT, "claim.relationship": "99"}, {**DEPENDENT, "claim.relationship": "G8"}
    ),
    "holder-name": Example({**DEPENDENT, "claim.holder_first": ""}, DEPENDENT),
    "patient-name": Example(
        {"claim.holder_last": "DOE"},
        {"claim.patient_first": "", "claim.holder_last": "DOE", "claim.holder_first": "JANE"},
    ),
    "patient-birth": Example(
        {"claim.patient_birth": ""}, {"claim.patient_birth": "", "claim.holder_birth": "19800229"}
    ),
    "patient-birth-future": Example({"claim.patient_birth": "20261106"}, {"claim.patient_birth": "20261028"}),
    "patient-sex": Example({"claim.patient_sex": ""}, {"claim.patient_sex": "U"}),
    "patient-address": Example(
        {"claim.patient_city": "", "claim.holder_city": "AUSTIN"},
        {"claim.patient_city": "", **{f"claim.holder_{name}": value for name, value in HOME.items()}},
    ),
    "patient-state": Example({"claim.patient_state": "TEXAS"}, {"claim.holder_state": "NM"}),
    "patient-zip": Example({"claim.patient_postal_code": "7870"}, {"claim.patient_postal_code": "787021234"}),
    "reference-length": Example({"claim.group_number": "G" * 51}, {"claim.group_number": "G" * 50}),
    "member-id-not-writable": Example({"claim.member_id": "W12*345"}, {"claim.member_id": "w12-345/6"}),
    "text-not-writable": Example({"claim.prior_authorization": "\u00c9-1"}, {"claim.prior_authorization": " e-1 "}),
    # coverage
    "coverage-deleted": Example({"claim.coverage_is_deleted": "Y"}, {}),
    "coverage-begins-later": Example({"claim.coverage_from": "20261029"}, {"claim.coverage_from": "20261028"}),
    "coverage-ended": Example({"claim.coverage_to": "20261027"}, {"claim.coverage_to": "20261028"}),
    "sequence-unknown": Example({"claim.sequence": "A", "secondary": True}, SECOND),
    "filing-code-unknown": Example({"claim.filing_code": "PP"}, {"claim.filing_code": "CI"}),
    "medicare-secondary-missing": Example(
        {**SECOND, "claim.filing_code": "MB"}, {**SECOND, "claim.filing_code": "MB", "claim.medicare_secondary": "12"}
    ),
    "medicare-secondary-unknown": Example(
        {**SECOND, "claim.filing_code": "MB", "claim.medicare_secondary": "99"},
        {**SECOND, "claim.filing_code": "MB", "claim.medicare_secondary": "47"},
    ),
    "medicare-secondary-unexpected": Example({"claim.medicare_secondary": "12"}, {}),
    # diagnoses
    "diagnosis-missing": Example({"claim.diagnoses": "", "line.pointers": ""}, {}),
    "diagnosis-form": Example({"claim.diagnoses": "E11.9,I10"}, {"claim.diagnoses": "M1A0110,U071"}),
    "diagnosis-too-many": Example(
        {"claim.diagnoses": ",".join(f"A{n}" for n in range(10, 23))},
        {"claim.diagnoses": ",".join(f"A{n}" for n in range(10, 22))},
    ),
    "diagnosis-twice": Example({"claim.diagnoses": "E119,E119"}, {"claim.diagnoses": "E119,E118"}),
    "external-cause-first": Example({"claim.diagnoses": "W19XXXA,S7200XA"}, {"claim.diagnoses": "S7200XA,W19XXXA"}),
    "diagnosis-not-valid": Example(
        {"codes": {"icd10cm": {"E119": Known(), "I10": Known("20261101")}}},
        {"codes": {"icd10cm": {"E119": Known(), "I10": Known("20261001")}}},
    ),
    "diagnosis-sex": Example(
        {"claim.diagnoses": "N400,I10", "codes": {"icd10cm": known("N400", sex="M")}},
        {"claim.patient_sex": "U", "claim.diagnoses": "N400,I10", "codes": {"icd10cm": known("N400", sex="M")}},
    ),
    "diagnosis-age": Example(
        {"claim.diagnoses": "P220,I10", "codes": {"icd10cm": known("P220", age_to=0)}},
        {"claim.diagnoses": "P220,I10", "codes": {"icd10cm": known("P220", age_from=46, age_to=46)}},
    ),
}
