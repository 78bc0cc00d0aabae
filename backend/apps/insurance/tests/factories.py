"""Makes payers, plans, coverage and claims for tests; without it every claim test would begin with four rows."""

from __future__ import annotations

import itertools
import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor, Specialization
from backend.apps.doctors.tests.factories import make_doctor, make_npi, make_specialization
from backend.apps.insurance import codes
from backend.apps.insurance.models import (
    BillingEntity,
    InsuranceClaim,
    InsurancePlan,
    InsuranceProvider,
    PartnerPayer,
    PatientInsurance,
    PriorAdjudication,
    ReferringProvider,
    ServiceFacility,
    Submission,
    TradingPartner,
)
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient

TAXONOMY = "207R00000X"
_partners = itertools.count(1)


def make_provider(**over: Any) -> InsuranceProvider:
    return InsuranceProvider.objects.create(
        **{"company_name": "Example Health", "payer_id": f"P{uuid.uuid4().hex[:10].upper()}", **over}
    )


def make_plan(**over: Any) -> InsurancePlan:
    over.setdefault("provider", None)
    provider = over.pop("provider") or make_provider()
    fields = {"plan_name": "Silver", "plan_type": "ppo", "copay_primary_care": Decimal(25)}
    return InsurancePlan.objects.create(provider=provider, **{**fields, **over})


def make_patient_insurance(**over: Any) -> PatientInsurance:
    """Save a primary coverage of the patient's own since 2024, never verified."""
    over.setdefault("patient", None)
    over.setdefault("insurance_plan", None)
    fields = {
        **over,
        "patient": over["patient"] or make_patient(),
        "insurance_plan": over["insurance_plan"] or make_plan(),
    }
    usual = {"policy_number": "POL-1", "member_id": "W123456789", "effective_date": date(2024, 1, 1)}
    return PatientInsurance.objects.create(**{**usual, **fields})


def line(charge: str = "125.00", **over: Any) -> dict[str, Any]:
    return {"code": "99213", "modifiers": [], "units": 1, "charge": charge, "diagnosis_pointers": [1], **over}


def make_claim(**over: Any) -> InsuranceClaim:
    """Save a draft for an office visit of last week, billed 150.00 in two lines."""
    over.setdefault("patient_insurance", None)
    coverage = over.pop("patient_insurance") or make_patient_insurance()
    if "billing_entity" not in over:
        over["billing_entity"] = BillingEntity.objects.first() or billing_entity()
    fields = {
        "service_date": Clinic.today() - timedelta(days=7),
        "diagnosis_codes": ["E11.9", "I10"],
        "procedure_codes": [line(), line("25.00", code="36415", diagnosis_pointers=[1, 2])],
        **over,
    }
    fields.setdefault("billed_amount", codes.total(fields["procedure_codes"]))
    if fields.get("status", "draft") != "draft":
        fields.setdefault("submission_date", fields["service_date"])
    return InsuranceClaim.objects.create(patient_insurance=coverage, **fields)


def make_claim_in(status: str) -> InsuranceClaim:
    """Save a claim that came to `status` by its own verbs."""
    claim = make_claim()
    steps = {
        "draft": [],
        "submitted": ["submit"],
        "pending": ["submit", "mark_as_pending"],
        "accepted": ["submit", "accept"],
        "rejected": ["submit", "reject"],
        "denied": ["submit", "deny"],
        "appealed": ["submit", "deny", "appeal"],
        "paid": ["submit", "mark_as_paid"],
    }
    inputs = {"reject": ["Unknown member"], "deny": ["Not covered"], "mark_as_paid": [Decimal("100.00"), "EFT-1"]}
    for verb in steps[status]:
        getattr(claim, verb)(*inputs.get(verb, []))
    return claim


def billing_entity(**over: Any) -> BillingEntity:
    """Save an organisation that may bill; `is_default=True` makes it the one that bills where a claim names none."""
    usual = {
        "name": "Elm Street Clinic",
        "npi": make_npi(),
        "taxonomy": TAXONOMY,
        "tax_id": "123456789",
        "address_line1": "200 Main Street",
        "city": "Albany",
        "state": "NY",
        "postal_code": "12207-1234",
        "contact_name": "Billing desk",
        "contact_phone": "+15182345678",
    }
    return BillingEntity.objects.create(**{**usual, **over})


def partner(**over: Any) -> TradingPartner:
    """Save a clearinghouse that takes test files in a folder; every number of it is its own."""
    number = next(_partners)
    usual = {
        "name": f"Clearinghouse {number} {uuid.uuid4().hex[:6]}",
        "our_id": f"OURS{number}",
        "their_id": f"THEIRS{number}",
        "our_group_id": f"OURS{number}",
        "their_group_id": f"THEIRS{number}",
        "submitter_id": f"S{number}",
        "receiver_name": "CLEARINGHOUSE",
        "receiver_id": f"R{number}",
        "transport": "folder",
        "outbound_folder": f"clearinghouse{number}/to",
        "inbound_folder": f"clearinghouse{number}/from",
    }
    return TradingPartner.objects.create(**{**usual, **over})


def route(**over: Any) -> PartnerPayer:
    """Save how a payer is reached; of `partner` and `provider` what is left out is made."""
    over.setdefault("partner", None)
    over.setdefault("provider", None)
    fields = {**over, "partner": over["partner"] or partner(), "provider": over["provider"] or make_provider()}
    return PartnerPayer.objects.create(**{"payer_id": fields["provider"].payer_id, **fields})


def service_facility(**over: Any) -> ServiceFacility:
    usual = {"name": "Elm Street Infusion", "npi": make_npi(), "address_line1": "9 River Road", "city": "Troy"}
    return ServiceFacility.objects.create(**{**usual, "state": "NY", "postal_code": "121801234", **over})


def referring_provider(**over: Any) -> ReferringProvider:
    return ReferringProvider.objects.create(**{"first_name": "Rosa", "last_name": "Lind", "npi": make_npi(), **over})


def rendering_doctor() -> Doctor:
    """Save a doctor whose first specialization has a code of the provider taxonomy."""
    known = Specialization.objects.filter(medical_code=TAXONOMY).first()
    return make_doctor(specializations=[known or make_specialization(medical_code=TAXONOMY)])


def ready_claim(**over: Any) -> InsuranceClaim:
    """Save a draft that no edit objects to and whose payer is reached by `partner`; what is not given is made."""
    by = over.pop("partner", None)
    over.setdefault("patient_insurance", None)
    coverage = over.pop("patient_insurance") or make_patient_insurance()
    payer = coverage.insurance_plan.provider
    if not PartnerPayer.objects.filter(provider=payer, is_active=True).exists():
        route(provider=payer, partner=by)
    for name, maker in (("billing_entity", billing_entity), ("rendering_doctor", rendering_doctor)):
        if name not in over:
            over[name] = maker()
    return make_claim(patient_insurance=coverage, **over)


def make_submission(patient: Patient) -> Submission:
    """Save a claim of the patient that waits for the next file."""
    claim = ready_claim(patient_insurance=make_patient_insurance(patient=patient))
    way = PartnerPayer.objects.get(provider=claim.patient_insurance.insurance_plan.provider)
    return Submission.objects.create(claim=claim, partner=way.partner)


def make_prior_adjudication(patient: Patient) -> PriorAdjudication:
    """Save what the patient's first payer made of a draft to the second: 100.00 of 150.00 paid."""
    first, second = (make_patient_insurance(patient=patient, priority=priority) for priority in (1, 2))
    claim = ready_claim(patient_insurance=second)
    adjustments = [["CO", "45", "30.00", None], ["PR", "2", "20.00", None]]
    decided = {"paid": Decimal(100), "adjudicated_on": claim.service_date, "adjustments": adjustments}
    return PriorAdjudication.objects.create(claim=claim, coverage=first, **decided)
