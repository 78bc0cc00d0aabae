"""What a claim says, in plain records of text; without them edits and writers would each read the tables in their way.

All values are text, "" is absent, "Y" is yes. Days are "YYYYMMDD", money and quantities PostgreSQL's text of a numeric
("125.00"), lists of codes are joined by commas and without points ("E119,I10", "25,59", pointers "1,2"). Names of
attributes are those of the records that the writers of X12 read; what only edits read stands behind them. Records that
hold a patient print as their type only: a log or a traceback must not show one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Adjustment = tuple[str, str, str, str]  # group (CO, PR, OA, PI), reason, amount, quantity
UNREADABLE = "\0"  # stands for a number that does not open; no column and no file can hold it


class Billing(NamedTuple):
    """Who bills. A person has last_name and first_name, an organisation name. Postal codes and phones are digits.

    For edits only: doctor is the id of the doctor of ours who bills in person, by the NPI, "" for anybody else.
    """

    id: str
    is_person: bool = False
    name: str = ""
    last_name: str = ""
    first_name: str = ""
    npi: str = ""
    taxonomy: str = ""
    tax_id: str = ""
    tax_id_type: str = "EI"
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    pay_to_line1: str = ""
    pay_to_line2: str = ""
    pay_to_city: str = ""
    pay_to_state: str = ""
    pay_to_postal_code: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    contact_email: str = ""
    clia: str = ""
    doctor: str = ""

    def __repr__(self) -> str:
        return "Billing()"


class Payer(NamedTuple):
    """A payer by the id of its InsuranceProvider. route: id of its PartnerPayer, "" where no partner reaches it.

    identifier: what the route's partner calls it. What stands behind `secondary` is the route's.
    """

    id: str
    name: str = ""
    identifier: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    secondary: tuple[tuple[str, str], ...] = ()
    route: str = ""
    partner: str = ""
    takes_corrections: bool = True
    wants_one_year: bool = False
    member_id_pattern: str = ""


class Plan(NamedTuple):
    """A plan. kind: "hmo", "medicare"...; filing_code: SBR09; filing_days: 0 where nobody knows."""

    id: str
    kind: str = ""
    name: str = ""
    filing_code: str = ""
    filing_days: int = 0
    needs_prior_authorization: bool = False
    needs_referral: bool = False
    dependents_are_members: bool = False


class Provider(NamedTuple):
    """A person who gives a service or refers to us: by the id of a Doctor or a ReferringProvider.

    For edits only: entitled are the days on which a doctor of ours had each credential that claims need, one group for
    each, as (first, last); None where there is nothing to have. excluded_from: the day from which no public payer pays
    what they do, "" for nobody.
    """

    id: str
    last_name: str = ""
    first_name: str = ""
    npi: str = ""
    taxonomy: str = ""
    entitled: tuple[tuple[tuple[str, str], ...], ...] | None = None
    excluded_from: str = ""


class Facility(NamedTuple):
    """Where a service was given that is not at the address of who bills."""

    id: str
    name: str = ""
    npi: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    clia: str = ""
    place_of_service: str = ""


class Parts(NamedTuple):
    """What many claims share, by the id a claim names it with. providers: rendering and referring."""

    billing: Mapping[str, Billing]
    payers: Mapping[str, Payer]
    providers: Mapping[str, Provider]
    facilities: Mapping[str, Facility]
    plans: Mapping[str, Plan]


class LineAdjudication(NamedTuple):
    """What another payer decided on a line. payer_identifier: of the OtherPayer; remaining: the patient's share."""

    payer_identifier: str
    paid: str
    code: str
    modifiers: str = ""
    units: str = "1"
    adjudicated_on: str = ""
    remaining: str = ""
    adjustments: tuple[Adjustment, ...] = ()


class Line(NamedTuple):
    """A service. place_of_service and rendering are "" where they are the claim's. emergency: "Y" or ""."""

    number: str
    code: str
    modifiers: str = ""
    description: str = ""
    charge: str = ""
    units: str = "1"
    unit_basis: str = "UN"
    pointers: str = "1"
    from_on: str = ""
    to_on: str = ""
    place_of_service: str = ""
    emergency: str = ""
    ndc: str = ""
    ndc_quantity: str = ""
    ndc_unit: str = ""
    prior_authorization: str = ""
    note: str = ""
    rendering: str = ""
    control_number: str = ""
    adjudications: tuple[LineAdjudication, ...] = ()

    def __repr__(self) -> str:
        return "Line()"


class OtherPayer(NamedTuple):
    """Another payer of the patient and what it decided on the claim. paid: "" where it has not decided yet.

    sequence: P, S or T. relationship: of the patient to this policy's holder, "18" is self. adjudicated_on stands here
    where no line carries a decision of this payer. adjustments: those of the claim, not of its lines.
    """

    sequence: str
    relationship: str = "18"
    group_number: str = ""
    plan_name: str = ""
    filing_code: str = ""
    medicare_secondary: str = ""
    holder_last: str = ""
    holder_first: str = ""
    holder_line1: str = ""
    holder_line2: str = ""
    holder_city: str = ""
    holder_state: str = ""
    holder_postal_code: str = ""
    member_id: str = ""
    payer_name: str = ""
    payer_identifier: str = ""
    paid: str = ""
    remaining: str = ""
    assignment: str = "Y"
    release: str = "Y"
    adjudicated_on: str = ""
    reference: str = ""
    adjustments: tuple[Adjustment, ...] = ()

    def __repr__(self) -> str:
        return "OtherPayer()"


class Claim(NamedTuple):
    """A claim. billing, payer, rendering, referring, facility, plan: ids in Parts, "" for none.

    relationship: of the patient to the holder; "18" is self: then the holder is the patient, and holder_* are "" unless
    the coverage has them. frequency: 1, 7 or 8; original_reference: the payer's number of what 7 and 8 are about.
    control_number: CLM01, "" until the claim is queued. For edits only: coverage_from and coverage_to are its days of
    cover, coverage_is_deleted "Y" or ""; gender is the patient's record's ("female", "male", "other", "unknown");
    is_secondary "Y" where another payer comes first; original and secondary_to: ids of claims.
    """

    id: str
    rendering: str = ""
    referring: str = ""
    facility: str = ""
    group_number: str = ""
    member_id: str = ""
    holder_last: str = ""
    holder_first: str = ""
    holder_birth: str = ""
    holder_sex: str = ""
    holder_line1: str = ""
    holder_line2: str = ""
    holder_city: str = ""
    holder_state: str = ""
    holder_postal_code: str = ""
    patient_last: str = ""
    patient_first: str = ""
    patient_birth: str = ""
    patient_sex: str = ""
    patient_line1: str = ""
    patient_line2: str = ""
    patient_city: str = ""
    patient_state: str = ""
    patient_postal_code: str = ""
    control_number: str = ""
    total: str = ""
    accident_on: str = ""
    onset_on: str = ""
    initial_treatment_on: str = ""
    last_menstrual_on: str = ""
    admission_on: str = ""
    discharge_on: str = ""
    patient_paid: str = ""
    original_reference: str = ""
    prior_authorization: str = ""
    referral_number: str = ""
    trace: str = ""
    record_number: str = ""
    note: str = ""
    diagnoses: str = ""
    patient: str = ""
    coverage: str = ""
    coverage_from: str = ""
    coverage_to: str = ""
    service_on: str = ""
    original: str = ""
    secondary_to: str = ""
    # From here on what many claims have in common: one record of these serves all of them.
    billing: str = ""
    payer: str = ""
    plan: str = ""
    sequence: str = "P"
    filing_code: str = ""
    plan_name: str = ""
    medicare_secondary: str = ""
    relationship: str = "18"
    place_of_service: str = ""
    frequency: str = "1"
    signature: str = "Y"
    assignment: str = "A"
    benefits: str = "Y"
    release: str = "Y"
    accident: str = ""
    accident_state: str = ""
    delay_reason: str = ""
    clia: str = ""
    coverage_is_deleted: str = ""
    gender: str = ""
    is_secondary: str = ""
    lines: tuple[Line, ...] = ()
    other_payers: tuple[OtherPayer, ...] = ()

    def __repr__(self) -> str:
        return "Claim()"
