"""Edits of who bills, who pays, who gave the service and where; the numbers of these stand in every claim of theirs."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import (
    Batch,
    Billing,
    Claim,
    Facility,
    On,
    Payer,
    Provider,
    Severity,
    edit,
)
from backend.apps.insurance.facts import UNREADABLE
from backend.apps.insurance.models.code_sets import CodeSetKind

ERROR, WARNING = Severity.ERROR, Severity.WARNING
MOST_PAYER_ID = 80  # NM109
SHORTEST_PAYER_ID = 2


@edit("billing-missing", ERROR, On.CLAIM, "billing", "Say who bills this claim, or mark one billing entity as default.")
def billing_missing(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("billing", lambda one: one not in batch.parts.billing)


@edit("billing-name", ERROR, On.BILLING, "name", "Enter the name of who bills; of a person first and last name.")
def billing_name(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if not (one.last_name and one.first_name if one.is_person else one.name)]


@edit("billing-npi", ERROR, On.BILLING, "npi", "The NPI of who bills is missing or its check digit is wrong.")
def billing_npi(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if not forms.is_npi(one.npi)]


@edit(
    "billing-taxonomy",
    ERROR,
    On.BILLING,
    "taxonomy",
    "A taxonomy code has ten characters, ends in X and stands in the list.",
)
def billing_taxonomy(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if one.taxonomy and not _is_taxonomy(batch, one.taxonomy)]


def _is_taxonomy(batch: Batch, code: str) -> bool:
    is_form = forms.TAXONOMY.fullmatch(code)
    return bool(is_form) and batch.codes.is_valid(CodeSetKind.TAXONOMY, code, batch.today)


@edit("billing-tax-id", ERROR, On.BILLING, "tax_id", "The number for taxes has nine digits; correct it.")
def billing_tax_id(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if one.tax_id != UNREADABLE and not forms.is_tax_id(one.tax_id)]


@edit(
    "billing-tax-id-unreadable",
    ERROR,
    On.BILLING,
    "tax_id",
    "The number for taxes does not open; whoever runs this was told. Enter it anew, or wait.",
)
def billing_tax_id_unreadable(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if one.tax_id == UNREADABLE]


@edit("billing-address", ERROR, On.BILLING, "address", "Enter street and city of who bills.")
def billing_address(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if not (one.line1 and one.city)]


@edit(
    "billing-po-box",
    ERROR,
    On.BILLING,
    "address",
    "Payers refuse a PO box here; enter the street, and the box as pay-to.",
)
def billing_po_box(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if forms.PO_BOX.search(one.line1) or forms.PO_BOX.search(one.line2)]


@edit("billing-state", ERROR, On.BILLING, "state", "Choose the state of who bills.")
def billing_state(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if one.state not in forms.STATES]


@edit("billing-zip", ERROR, On.BILLING, "postal_code", "The postal code of who bills needs all nine digits (ZIP+4).")
def billing_zip(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if len(one.postal_code) != forms.LONG_ZIP or not forms.is_zip(one.postal_code)]


@edit(
    "billing-phone", ERROR, On.BILLING, "contact_phone", "Neither area code nor exchange of a phone begins with 0 or 1."
)
def billing_phone(batch: Batch) -> Iterable[Billing]:
    return [one for one in batch.billing if one.contact_phone and not forms.is_phone(one.contact_phone)]


@edit(
    "billing-pay-to", ERROR, On.BILLING, "pay_to_address", "Complete the pay-to address: city, state and postal code."
)
def billing_pay_to(batch: Batch) -> Iterable[Billing]:
    return [
        one
        for one in batch.billing
        if one.pay_to_line1
        and not (one.pay_to_city and one.pay_to_state in forms.STATES and forms.is_zip(one.pay_to_postal_code))
    ]


@edit("payer-missing", ERROR, On.CLAIM, "payer", "Choose the payer of this claim's coverage again.")
def payer_missing(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("payer", lambda one: one not in batch.parts.payers)


@edit("payer-name", ERROR, On.PAYER, "name", "Enter the payer's name.")
def payer_name(batch: Batch) -> Iterable[Payer]:
    return [one for one in batch.payers if not one.name]


@edit(
    "payer-identifier",
    ERROR,
    On.PAYER,
    "identifier",
    "Enter the number under which the clearinghouse knows this payer.",
)
def payer_identifier(batch: Batch) -> Iterable[Payer]:
    return [one for one in batch.payers if not SHORTEST_PAYER_ID <= len(one.identifier) <= MOST_PAYER_ID]


@edit("provider-name", ERROR, On.PROVIDER, "name", "Enter the doctor's last name.")
def provider_name(batch: Batch) -> Iterable[Provider]:
    return [one for one in batch.providers if not one.last_name]


@edit("provider-npi", ERROR, On.PROVIDER, "npi", "The doctor's NPI is missing or its check digit is wrong.")
def provider_npi(batch: Batch) -> Iterable[Provider]:
    return [one for one in batch.providers if not forms.is_npi(one.npi)]


@edit(
    "provider-taxonomy",
    ERROR,
    On.PROVIDER,
    "taxonomy",
    "A taxonomy code has ten characters, ends in X and stands in the list.",
)
def provider_taxonomy(batch: Batch) -> Iterable[Provider]:
    return [one for one in batch.providers if one.taxonomy and not _is_taxonomy(batch, one.taxonomy)]


@edit(
    "rendering-missing", WARNING, On.CLAIM, "rendering", "Name the doctor who gave the service; an organisation bills."
)
def rendering_missing(batch: Batch) -> Iterable[Claim]:
    firms = {one.id for one in batch.billing if not one.is_person}
    return [claim for claim in batch.claims_without("rendering") if claim.billing in firms]


@edit("rendering-unknown", ERROR, On.CLAIM, "rendering", "Choose the doctor who gave the service again.")
def rendering_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("rendering", lambda one: one and one not in batch.parts.providers)


@edit("referring-unknown", ERROR, On.CLAIM, "referring", "Choose the referring doctor again.")
def referring_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("referring", lambda one: one and one not in batch.parts.providers)


@edit("facility-unknown", ERROR, On.CLAIM, "facility", "Choose the place of the service again.")
def facility_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("facility", lambda one: one and one not in batch.parts.facilities)


@edit("facility-name", ERROR, On.FACILITY, "name", "Enter the name of the place of the service.")
def facility_name(batch: Batch) -> Iterable[Facility]:
    return [one for one in batch.facilities if not one.name]


@edit("facility-npi", ERROR, On.FACILITY, "npi", "The check digit of the facility's NPI is wrong.")
def facility_npi(batch: Batch) -> Iterable[Facility]:
    return [one for one in batch.facilities if one.npi and not forms.is_npi(one.npi)]


@edit("facility-address", ERROR, On.FACILITY, "address", "Enter street, city and state of the place of the service.")
def facility_address(batch: Batch) -> Iterable[Facility]:
    return [one for one in batch.facilities if not (one.line1 and one.city and one.state in forms.STATES)]


@edit(
    "facility-zip", ERROR, On.CLAIM, "facility.postal_code", "The facility's postal code needs all nine digits (ZIP+4)."
)
def facility_zip(batch: Batch) -> Iterable[Claim]:
    """A facility at the address of who bills is not written, and may keep its short code."""
    short = {one.id: one for one in batch.facilities if len(one.postal_code) != forms.LONG_ZIP}
    if not short:
        return ()
    homes = {one.id: _street(one) for one in batch.billing}
    return [
        claim
        for claim in batch.claims
        if claim.facility in short and homes.get(claim.billing) != _street(short[claim.facility])
    ]


def _street(place: Billing | Facility) -> tuple[str, ...]:
    return place.line1.upper(), place.line2.upper(), place.city.upper(), place.state, place.postal_code[:5]


@edit("clia-form", ERROR, On.CLAIM, "clia", "A CLIA number has ten characters, as 45D1234567; correct it.")
def clia_form(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("clia", lambda one: one and not forms.CLIA.fullmatch(one))
