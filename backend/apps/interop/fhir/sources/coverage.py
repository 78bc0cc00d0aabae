"""Patients' coverages, as FHIR."""

from __future__ import annotations

from backend.apps.core.field_rules import RULES
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.insurance import permissions
from backend.apps.insurance.models import PatientInsurance
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.places import OUR_CLINIC, gone
from integrations.fhir.resources.coverage import COVERAGE

ZONE = f"COALESCE(c.time_zone, '{Clinic().time_zone}')"  # as `Clinic.current` before the profile is filled in
TODAY = f"(now() AT TIME ZONE {ZONE})::date"
# What it says of itself changes with its plan and payer, and on the day after its last one.
CHANGED = f"""greatest(t.updated_at, plan.updated_at, payer.updated_at, CASE WHEN t.termination_date < {TODAY}
    THEN (t.termination_date + 1)::timestamp AT TIME ZONE {ZONE} END)"""
NUMBERS = {"member": "member_id", "policy": "policy_number"}  # our columns, and the fields whose rules hold
GROUP = text("COALESCE(NULLIF(t.group_number, ''), plan.group_number)")

COVERAGES = Source(
    name="coverage",
    resource=COVERAGE,
    model=PatientInsurance,
    permissions=permissions.COVERAGE,
    tables=f"""insurance_patientinsurance AS t
        JOIN insurance_insuranceplan AS plan ON plan.id = t.insurance_plan_id
        JOIN insurance_insuranceprovider AS payer ON payer.id = plan.provider_id {OUR_CLINIC}""",
    columns={
        "id": "t.id::text",
        "version": version_of(CHANGED),
        "updated": instant(CHANGED),
        "member": "t.member_id",
        "policy": "t.policy_number",
        "status": f"CASE WHEN t.termination_date < {TODAY} THEN 'cancelled' ELSE 'active' END",
        "plan_type": "plan.plan_type",
        "subscriber": "CASE WHEN t.policy_holder_relationship = 'self' THEN t.patient_id::text END",
        "patient": "t.patient_id::text",
        "relationship": "t.policy_holder_relationship",
        "begins": "t.effective_date::text",
        "ends": "t.termination_date::text",
        "payer": "payer.id::text",
        "payer_name": "payer.company_name",
        "group": GROUP,
        "plan": text("COALESCE(NULLIF(plan.plan_number, ''), plan.plan_name)"),
        "plan_name": text("plan.plan_name"),
        "priority": "t.priority::text",
    },
    sealed={"member": "member_id", "policy": "policy_number"},
    patient="t.patient_id",
    changed=CHANGED,
    seen_by={
        role: frozenset(COVERAGE.columns) - NUMBERS.keys()
        for role in Role
        if not all(RULES["insurance.PatientInsurance"][name].sees_as(role) for name in NUMBERS.values())
    },
    deleted=gone("insurance_patientinsurance"),
)
