"""Reads who bills, who pays and who treats, once for many claims; without it each claim would ask for them again."""

from __future__ import annotations

import re
from typing import Any

from backend.apps.doctors.models import Doctor, DoctorSpecialization
from backend.apps.insurance.facts import Billing, Facility, Parts, Payer, Plan, Provider
from backend.apps.insurance.models import (
    BillingEntity,
    InsurancePlan,
    InsuranceProvider,
    PartnerPayer,
    ReferringProvider,
    ServiceFacility,
)

NOT_DIGITS = re.compile(r"[^0-9]")
TAXONOMY = r"^[0-9A-Z]{9}X$"
COUNTRY = "1"  # of telephone numbers in North America: X12 wants ten digits


def parts() -> Parts:
    """Return all parts, those no longer in use too: claims of old days name them."""
    return Parts(_billing(), _payers(), {**_doctors(), **_referring()}, _facilities(), _plans())


def digits(text: str) -> str:
    return NOT_DIGITS.sub("", text)


def phone(text: str) -> str:
    found = digits(text)
    return found[1:] if len(found) == 11 and found.startswith(COUNTRY) else found


def _billing() -> dict[str, Billing]:
    return {str(row.pk): _biller(row) for row in BillingEntity.all_objects.all()}


def _biller(row: BillingEntity) -> Billing:
    is_person = bool(row.first_name)
    return Billing(
        id=str(row.pk),
        is_person=is_person,
        name="" if is_person else row.name,
        last_name=row.name if is_person else "",
        first_name=row.first_name,
        npi=row.npi,
        taxonomy=row.taxonomy,
        tax_id=row.tax_id,
        tax_id_type=row.tax_id_type,
        line1=row.address_line1,
        line2=row.address_line2,
        city=row.city,
        state=row.state,
        postal_code=digits(row.postal_code),
        pay_to_line1=row.pay_to_address_line1,
        pay_to_line2=row.pay_to_address_line2,
        pay_to_city=row.pay_to_city,
        pay_to_state=row.pay_to_state,
        pay_to_postal_code=digits(row.pay_to_postal_code),
        contact_name=row.contact_name,
        contact_phone=phone(row.contact_phone),
        contact_email=row.contact_email,
        clia=row.clia_number,
    )


def _payers() -> dict[str, Payer]:
    routes = {row.provider_id: row for row in PartnerPayer.objects.filter(is_active=True)}
    return {str(row.pk): _payer(row, routes.get(row.pk)) for row in InsuranceProvider.all_objects.all()}


def _payer(row: InsuranceProvider, route: PartnerPayer | None) -> Payer:
    """Return a payer; claims go to its own address where it has one for them."""
    prefix = "claims_" if row.claims_address_line1 else ""
    line1, line2, city, state, postal = (
        getattr(row, f"{prefix}{name}") for name in ("address_line1", "address_line2", "city", "state", "postal_code")
    )
    usual = row.electronic_claims_id or row.payer_id
    payer = Payer(str(row.pk), row.company_name, usual, line1, line2, city, state, digits(postal))
    if route is None:
        return payer
    return payer._replace(
        identifier=route.payer_id,
        secondary=tuple((str(qualifier), str(value)) for qualifier, value in route.secondary_ids),
        route=str(route.pk),
        partner=str(route.partner_id),
        takes_corrections=route.takes_corrections,
        wants_one_year=route.wants_one_year,
        member_id_pattern=route.member_id_pattern,
    )


def _doctors() -> dict[str, Provider]:
    links = DoctorSpecialization.objects.filter(specialization__medical_code__regex=TAXONOMY).order_by("-position")
    taxonomies: dict[Any, str] = dict(links.values_list("doctor_id", "specialization__medical_code"))
    rows = Doctor.all_objects.values_list("pk", "user__last_name", "user__first_name", "npi_number")
    return {str(key): Provider(str(key), last, first, npi, taxonomies.get(key, "")) for key, last, first, npi in rows}


def _referring() -> dict[str, Provider]:
    rows = ReferringProvider.all_objects.values_list("pk", "last_name", "first_name", "npi")
    return {str(key): Provider(str(key), *values) for key, *values in rows}


def _facilities() -> dict[str, Facility]:
    rows = ServiceFacility.all_objects.values_list(
        "pk", "name", "npi", "address_line1", "address_line2", "city", "state", "postal_code", "clia_number",
        "place_of_service",
    )  # fmt: skip
    return {str(row[0]): Facility(str(row[0]), *row[1:7], digits(row[7]), row[8], row[9]) for row in rows}


def _plans() -> dict[str, Plan]:
    return {str(row.pk): _plan(row) for row in InsurancePlan.all_objects.all()}


def _plan(row: InsurancePlan) -> Plan:
    return Plan(
        id=str(row.pk),
        kind=row.plan_type,
        name=row.plan_name,
        filing_code=row.claim_filing_code,
        filing_days=row.timely_filing_days or 0,
        needs_prior_authorization=row.needs_prior_authorization,
        needs_referral=row.needs_referral,
        dependents_are_members=row.dependents_are_members,
    )
