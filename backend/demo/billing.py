"""How the demo clinic is paid: who bills, a sandbox clearinghouse in two folders, and claims of its last visits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path
from typing import Any

from django.conf import settings

from backend.apps.appointments.models import Appointment
from backend.apps.core.models import Clinic
from backend.apps.insurance import codes, submitting
from backend.apps.insurance.models import (
    BillingEntity,
    InsuranceClaim,
    InsuranceProvider,
    PartnerPayer,
    PatientInsurance,
    TradingPartner,
)

CLAIMS = 24
LEFT_AS_DRAFTS = 4
SANDBOX = "sandbox"  # below the folder for partners
DIAGNOSES = (["E11.9", "I10"], ["J06.9"], ["M54.50"], ["Z00.00"])
VISITS = (("99213", "125.00"), ("99214", "185.00"), ("99396", "210.00"))
DRAW = {"code": "36415", "units": 1, "charge": "25.00", "diagnosis_pointers": [1]}
LETTERS = "ACDEFGHJKMNPQRTUVWXY"  # letters of a Medicare number, without those that look like digits


def create() -> int:
    """Let the clinic bill its last visits; return how many claims were made."""
    clinic = Clinic.current()
    biller = _biller(clinic)
    _partner()
    claims = InsuranceClaim.objects.bulk_create(_claims(biller, clinic.zone))
    submitting.submit_each(claims[LEFT_AS_DRAFTS:], by=None)
    return len(claims)


def _biller(clinic: Clinic) -> BillingEntity:
    return BillingEntity.objects.create(
        name=clinic.name,
        npi=clinic.npi_number,
        taxonomy=clinic.taxonomy_code,
        tax_id=clinic.tax_id.replace("-", ""),
        address_line1=clinic.address_line1,
        city=clinic.city,
        state=clinic.state,
        postal_code=f"{clinic.postal_code}-1234",
        contact_name="Billing desk",
        contact_phone=clinic.phone,
        is_default=True,
    )


def _partner() -> TradingPartner:
    """Save a clearinghouse that takes files in a folder, and make its folders; it needs no secret."""
    folders = {name: f"{SANDBOX}/{name}" for name in ("to", "from")}
    for folder in folders.values():
        (Path(settings.PARTNER_FOLDERS) / folder).mkdir(parents=True, exist_ok=True)
    partner = TradingPartner.objects.create(
        name="Sandbox clearinghouse",
        our_id="DEMOCLINIC",
        their_id="SANDBOX",
        our_group_id="DEMOCLINIC",
        their_group_id="SANDBOX",
        submitter_id="DEMO01",
        receiver_name="SANDBOX CLEARINGHOUSE",
        receiver_id="SANDBOX",
        transport="folder",
        outbound_folder=folders["to"],
        inbound_folder=folders["from"],
    )
    PartnerPayer.objects.bulk_create(
        PartnerPayer(
            partner=partner, provider=payer, payer_id=payer.payer_id, takes_corrections=payer.company_name != "Medicare"
        )
        for payer in InsuranceProvider.objects.all()
    )
    return partner


def _claims(biller: BillingEntity, zone: tzinfo) -> Iterable[InsuranceClaim]:
    visits = Appointment.objects.filter(status="completed", patient__insurances__isnull=False)
    last = list(visits.order_by("-appointment_datetime", "pk")[:CLAIMS])
    covers = PatientInsurance.objects.filter(patient__in={visit.patient_id for visit in last}, priority=1)
    by_patient = {cover.patient_id: cover for cover in covers}
    for number, visit in enumerate(last):
        on, cover = visit.appointment_datetime.astimezone(zone).date(), by_patient[visit.patient_id]
        if cover.covers(on):
            lines = _lines(number)
            yield InsuranceClaim(
                patient_insurance=cover,
                appointment=visit,
                billing_entity=biller,
                service_date=on,
                diagnosis_codes=DIAGNOSES[number % len(DIAGNOSES)],
                procedure_codes=lines,
                billed_amount=codes.total(lines),
            )


def _lines(number: int) -> list[dict[str, Any]]:
    """Return a visit, of two claims in three with a blood draw."""
    code, charge = VISITS[number % len(VISITS)]
    visit = {"code": code, "units": 1, "charge": charge, "diagnosis_pointers": [1]}
    return [visit, DRAW] if number % 3 else [visit]


def medicare_number(number: int) -> str:
    """Return a number in the form of Medicare's (MBI), another one for each of the first 800,000."""
    rest, digits = divmod(number, 100)
    rest, last = divmod(rest, len(LETTERS))
    first, middle = divmod(rest, len(LETTERS))
    return f"1{LETTERS[first % len(LETTERS)]}G4TE5{LETTERS[middle]}{LETTERS[last]}{digits:02d}"
