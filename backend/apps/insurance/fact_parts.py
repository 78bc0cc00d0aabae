"""Reads who bills, who pays and who treats, once for many claims; without it each claim would ask for them again."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any

from django.db.models import QuerySet

from backend.apps.core import closed_values
from backend.apps.core.models import Clinic
from backend.apps.credentials import covered, registries
from backend.apps.credentials.models import Needed
from backend.apps.doctors.models import Doctor, DoctorSpecialization
from backend.apps.insurance.facts import UNREADABLE, Billing, Claim, Facility, Parts, Payer, Plan, Provider
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
FEW = 50  # claims, whose parts are asked for by their ids
COUNTRY = "1"  # of telephone numbers in North America: X12 wants ten digits


Ids = Collection[str] | None  # None: all


def parts() -> Parts:
    """Return all parts, those no longer in use too: claims of old days name them."""
    return _parts(None, None, None, None, None)


def of(claims: Sequence[Claim]) -> Parts:
    """Return the parts that claims name, or all where many claims do: a clinic has not that many parts."""
    if len(claims) > FEW:
        return parts()
    lines = {line.rendering for claim in claims for line in claim.lines}
    named = {
        name: {getattr(claim, name) for claim in claims} - {""}
        for name in ("billing", "payer", "rendering", "referring", "facility", "plan")
    }
    people = named["rendering"] | named["referring"] | lines - {""}
    return _parts(named["billing"], named["payer"], people, named["facility"], named["plan"])


def _parts(billing: Ids, payers: Ids, people: Ids, facilities: Ids, plans: Ids) -> Parts:
    billers = _billing(billing)
    named = None if people is None else {*people, *(one.doctor for one in billers.values())} - {""}
    return Parts(
        billers,
        _payers(payers),
        {**_doctors(named), **_referring(named)},
        _facilities(facilities),
        _plans(plans),
    )


def _among(rows: QuerySet[Any], ids: Ids, name: str = "pk") -> QuerySet[Any]:
    return rows if ids is None else rows.filter(**{f"{name}__in": ids})


def digits(text: str) -> str:
    return NOT_DIGITS.sub("", text)


def phone(text: str) -> str:
    found = digits(text)
    return found[1:] if len(found) == 11 and found.startswith(COUNTRY) else found


def tax_id(row: BillingEntity | Clinic) -> str:
    """Return the number for taxes; UNREADABLE, which an edit finds, where it does not open: others still bill."""
    return str(closed_values.read(row, "tax_id", UNREADABLE))


def _billing(ids: Ids) -> dict[str, Billing]:
    rows = list(_among(BillingEntity.all_objects.all(), ids))
    persons = [row.npi for row in rows if row.first_name]
    ours = Doctor.all_objects.filter(npi_number__in=persons).order_by("-is_deleted")
    doctors = dict(ours.values_list("npi_number", "pk"))  # of two the one on file, who comes last
    return {str(row.pk): _biller(row, doctors.get(row.npi)) for row in rows}


def _biller(row: BillingEntity, doctor: Any) -> Billing:
    is_person = bool(row.first_name)
    return Billing(
        id=str(row.pk),
        is_person=is_person,
        name="" if is_person else row.name,
        last_name=row.name if is_person else "",
        first_name=row.first_name,
        npi=row.npi,
        taxonomy=row.taxonomy,
        tax_id=tax_id(row),
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
        doctor=str(doctor or ""),
    )


def _payers(ids: Ids) -> dict[str, Payer]:
    ways = _among(PartnerPayer.objects.filter(is_active=True), ids, "provider")
    routes = {row.provider_id: row for row in ways}
    rows = _among(InsuranceProvider.all_objects.all(), ids)
    return {str(row.pk): _payer(row, routes.get(row.pk)) for row in rows}


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


def _doctors(ids: Ids) -> dict[str, Provider]:
    links = DoctorSpecialization.objects.filter(specialization__medical_code__regex=TAXONOMY).order_by("-position")
    mine = _among(links, ids, "doctor")
    taxonomies: dict[Any, str] = dict(mine.values_list("doctor_id", "specialization__medical_code"))
    days = covered.of(ids, Needed.CLAIMS)
    names = ("pk", "user", "user__last_name", "user__first_name", "npi_number")
    rows = list(_among(Doctor.all_objects.all(), ids).values_list(*names))
    excluded = registries.excluded_since([user for _, user, *_ in rows])
    return {
        str(key): Provider(
            str(key), last, first, npi, taxonomies.get(key, ""),
            entitled=covered.among(days, str(key)), excluded_from=_text(excluded.get(user)),
        )
        for key, user, last, first, npi in rows
    }  # fmt: skip


def _text(day: date | None) -> str:
    return day.isoformat().replace("-", "") if day else ""


def _referring(ids: Ids) -> dict[str, Provider]:
    rows = _among(ReferringProvider.all_objects.all(), ids).values_list("pk", "last_name", "first_name", "npi")
    return {str(key): Provider(str(key), *values) for key, *values in rows}


def _facilities(ids: Ids) -> dict[str, Facility]:
    rows: Iterable[Any] = _among(ServiceFacility.all_objects.all(), ids).values_list(
        "pk", "name", "npi", "address_line1", "address_line2", "city", "state", "postal_code", "clia_number",
        "place_of_service",
    )  # fmt: skip
    return {str(row[0]): Facility._make((str(row[0]), *row[1:7], digits(row[7]), *row[8:])) for row in rows}


def _plans(ids: Ids) -> dict[str, Plan]:
    return {str(row.pk): _plan(row) for row in _among(InsurancePlan.all_objects.all(), ids)}


def _plan(row: InsurancePlan) -> Plan:
    return Plan(
        id=str(row.pk),
        kind=row.plan_type,
        name=row.plan_name,
        filing_code=row.claim_filing_code,
        filing_days=row.filing_days or 0,
        needs_prior_authorization=row.needs_prior_authorization,
        needs_referral=row.needs_referral,
        dependents_are_members=row.dependents_are_members,
    )
