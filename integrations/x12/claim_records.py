"""What the clinic claims from a payer, in plain records; without them the writer of 837P would have to know our tables.

All values are text, "" is absent. Days are "YYYYMMDD", money and quantities PostgreSQL's text of a numeric ("125.00"),
lists of codes are joined by commas and without dots ("E119,I10", "25,59", pointers "1,2"), telephone numbers and postal
codes are digits. The writer reads attributes only: any record with these names will do. Those that hold a patient print
as their type only: a log or a traceback must not show one.

Source of the meanings: ASC X12N 005010X222A1 (837P); the element is named where the word is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

Adjustment = tuple[str, str, str, str]  # CAS: group (CO, PR, OA, PI), reason, amount, quantity


class Envelope(NamedTuple):
    """ISA and GS. usage: T or P. at: aware, in the clinic's zone. segment_terminator: "~", or "~" and a line end."""

    isa_qualifier_ours: str
    isa_id_ours: str
    isa_qualifier_theirs: str
    isa_id_theirs: str
    gs_id_ours: str
    gs_id_theirs: str
    usage: str
    ack_requested: bool
    interchange_number: int
    group_number: int
    at: datetime
    element_separator: str = "*"
    repetition_separator: str = "^"
    component_separator: str = ":"
    segment_terminator: str = "~"


class Submitter(NamedTuple):
    """Loop 1000A. identifier: NM109, given by the partner. phone or email is needed."""

    name: str
    identifier: str
    contact_name: str
    phone: str = ""
    email: str = ""


class Receiver(NamedTuple):
    """Loop 1000B."""

    name: str
    identifier: str


class Billing(NamedTuple):
    """Loops 2000A, 2010AA, 2010AB. A person has last_name and first_name, an organisation name.

    tax_id_type: EI or SY. The address is a street; a box goes into pay_to_*, which is written if pay_to_line1 is there.
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

    def __repr__(self) -> str:
        return "Billing()"


class Payer(NamedTuple):
    """Loop 2010BB. identifier: what this partner calls the payer. secondary: (qualifier, id) of REF, ("2U", "123")."""

    id: str
    name: str = ""
    identifier: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    secondary: tuple[tuple[str, str], ...] = ()


class Provider(NamedTuple):
    """A person: loops 2310A (referring), 2310B and 2420A (rendering)."""

    id: str
    last_name: str = ""
    first_name: str = ""
    npi: str = ""
    taxonomy: str = ""


class Facility(NamedTuple):
    """Loop 2310C, where the service was given; omitted from claims whose billing provider has the same address."""

    id: str
    name: str = ""
    npi: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""


class Parts(NamedTuple):
    """What many claims share, by the id a claim names it with. providers: rendering and referring."""

    billing: Mapping[str, Any]
    payers: Mapping[str, Any]
    providers: Mapping[str, Any]
    facilities: Mapping[str, Any]


class LineAdjudication(NamedTuple):
    """Loop 2430: what another payer decided on a line. payer_identifier: that of the OtherPayer; remaining: AMT*EAF."""

    payer_identifier: str
    paid: str
    code: str
    modifiers: str = ""
    units: str = "1"
    adjudicated_on: str = ""
    remaining: str = ""
    adjustments: tuple[Adjustment, ...] = ()


class Line(NamedTuple):
    """Loops 2400 to 2430. units: of unit_basis (UN or MJ). control_number: REF*6R. rendering: id of a Provider.

    place_of_service is written where it differs from the claim's, rendering likewise. emergency: Y or "".
    to_on: "" for one day. ndc: 11 digits, with ndc_quantity in ndc_unit (F2, GR, ME, ML, UN).
    """

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
    control_number: str = ""
    rendering: str = ""
    adjudications: tuple[LineAdjudication, ...] = ()

    def __repr__(self) -> str:
        return "Line()"


class OtherPayer(NamedTuple):
    """Loops 2320, 2330A, 2330B: another payer of the patient and what it decided on the claim.

    sequence: P, S or T. relationship: of the patient to this policy's holder, 18 is self. paid: AMT*D, "" if it has not
    decided; remaining: AMT*EAF. adjudicated_on and remaining are written here only where no decision of this payer on
    a line says them. reference: its claim number, REF*F8. adjustments: those of the claim, not of its lines.
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
    """Loops 2000B to 2430 of one claim. billing, payer, rendering, referring, facility: ids of Parts, "" for none.

    sequence: SBR01, P, S or T. relationship: of the patient to the holder; 18 is self: then holder_* are written, but
    patient_* for name, address, birth or sex, each as a whole, that holder_* lack. medicare_secondary: SBR05.
    frequency: 1, 7 or 8. signature: CLM06, Y or N. assignment: CLM07, A, B or C. benefits: CLM08, Y, N or W.
    release: CLM09, Y or I. accident: one or two causes, accident_state: of AA only.
    References: original_reference F8, prior_authorization G1, referral_number 9F, clia X4, trace D9, record_number EA.
    """

    id: str
    billing: str = ""
    payer: str = ""
    rendering: str = ""
    referring: str = ""
    facility: str = ""
    sequence: str = "P"
    filing_code: str = ""
    group_number: str = ""
    plan_name: str = ""
    medicare_secondary: str = ""
    relationship: str = "18"
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
    place_of_service: str = ""
    frequency: str = "1"
    signature: str = "Y"
    assignment: str = "A"
    benefits: str = "Y"
    release: str = "Y"
    accident: str = ""
    accident_state: str = ""
    accident_on: str = ""
    delay_reason: str = ""
    onset_on: str = ""
    initial_treatment_on: str = ""
    last_menstrual_on: str = ""
    admission_on: str = ""
    discharge_on: str = ""
    patient_paid: str = ""
    original_reference: str = ""
    prior_authorization: str = ""
    referral_number: str = ""
    clia: str = ""
    trace: str = ""
    record_number: str = ""
    note: str = ""
    diagnoses: str = ""
    lines: tuple[Line, ...] = ()
    other_payers: tuple[OtherPayer, ...] = ()

    def __repr__(self) -> str:
        return "Claim()"


class Placed(NamedTuple):
    """Where a claim stands: answers name it by these. Positions count the segments of its ST, which is itself 1."""

    id: str
    transaction: str
    reference: str
    control_number: str
    first_segment: int
    last_segment: int


class Written(NamedTuple):
    """The next bytes of the interchange, and where its claims stand. reference in Placed: BHT03; transaction: ST02."""

    content: bytes
    placed: list[Placed]
