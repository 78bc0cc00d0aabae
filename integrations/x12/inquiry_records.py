"""What the clinic asks a payer, in plain records; without them 270 and 276 would have to know our tables.

Values as in claim_records: all text, "" is absent, days "YYYYMMDD". Questions print as their type only.

Source of the meanings: ASC X12N 005010X279A1 (270) and 005010X212 (276).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class InquiryPayer(NamedTuple):
    """NM1*PR. identifier: what this partner calls the payer."""

    id: str
    name: str = ""
    identifier: str = ""


class InquiryProvider(NamedTuple):
    """NM1*1P, who asks. A person has last_name and first_name, an organisation name."""

    id: str
    is_person: bool = False
    name: str = ""
    last_name: str = ""
    first_name: str = ""
    npi: str = ""


class EligibilityQuestion(NamedTuple):
    """Is this patient covered on that day? One 270 inquiry. payer, provider: ids.

    trace: TRN02, unique, comes back in the 271. relationship: of the patient to the holder; 18 is self: then holder_*
    are written, but patient_* for name, birth or sex, each as a whole, that holder_* lack. service_types: EQ01, as "30"
    or "30,98".
    """

    id: str
    payer: str = ""
    provider: str = ""
    trace: str = ""
    relationship: str = "18"
    member_id: str = ""
    group_number: str = ""
    holder_last: str = ""
    holder_first: str = ""
    holder_birth: str = ""
    holder_sex: str = ""
    patient_last: str = ""
    patient_first: str = ""
    patient_birth: str = ""
    patient_sex: str = ""
    service_on: str = ""
    service_types: str = "30"

    def __repr__(self) -> str:
        return "EligibilityQuestion()"


class StatusQuestion(NamedTuple):
    """What became of this claim? One 276 inquiry. payer, provider: ids; relationship and holder as above.

    trace: TRN02, unique, comes back in the 277. control_number: CLM01 of the claim, REF*EJ. payer_claim_number: REF*1K.
    total: AMT*T3. from_on, to_on: the days of service; to_on "" for one day.
    """

    id: str
    payer: str = ""
    provider: str = ""
    trace: str = ""
    relationship: str = "18"
    member_id: str = ""
    group_number: str = ""
    holder_last: str = ""
    holder_first: str = ""
    holder_birth: str = ""
    holder_sex: str = ""
    patient_last: str = ""
    patient_first: str = ""
    patient_birth: str = ""
    patient_sex: str = ""
    control_number: str = ""
    payer_claim_number: str = ""
    total: str = ""
    from_on: str = ""
    to_on: str = ""

    def __repr__(self) -> str:
        return "StatusQuestion()"


class Asked(NamedTuple):
    """Where a question stands. Answers name it by transaction (ST02), reference (BHT03) and trace."""

    id: str
    transaction: str
    reference: str
    trace: str


class InquiryParts(NamedTuple):
    """Whom questions name by id: any records with the attributes of InquiryPayer and InquiryProvider."""

    payers: Mapping[str, Any]
    providers: Mapping[str, Any]


class Inquiries(NamedTuple):
    """A whole interchange of questions, and where each stands."""

    content: bytes
    asked: list[Asked]
