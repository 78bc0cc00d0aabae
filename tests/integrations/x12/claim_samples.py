"""The claims behind the golden 837P files; without them nobody could say what a file was made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from integrations.x12.claim_837p import Writer837P
from integrations.x12.claim_records import Claim, Envelope, Line, LineAdjudication, OtherPayer, Written
from tests.support.claim_facts import ENVELOPE, PARTS, RECEIVER, SUBMITTER

VISIT = Line(
    "1", "99213", modifiers="25", charge="125.00", pointers="1,2", from_on="20261005", place_of_service="11",
    control_number="K7Q2M9X4T1B8W5Z3AL1",
)  # fmt: skip
TEST = Line(
    "2", "85025", charge="20.50", from_on="20261005", place_of_service="11", control_number="K7Q2M9X4T1B8W5Z3AL2"
)
SELF = Claim(
    "c1", billing="b1", payer="p1", rendering="d1", facility="f1", filing_code="CI", group_number="GRP 01",
    member_id="W000000001", holder_last="DOE", holder_first="JANE", holder_birth="19800101", holder_sex="F",
    holder_line1="12 OAK AVE", holder_line2="APT 4", holder_city="AUSTIN", holder_state="TX",
    holder_postal_code="787021234", control_number="K7Q2M9X4T1B8W5Z3A", total="145.50", place_of_service="11",
    trace="K7Q2M9X4T1B8W5Z3A", record_number="MRN0000001", diagnoses="E119,I10", lines=(VISIT, TEST),
)  # fmt: skip
DEPENDENT = SELF._replace(
    id="c2", relationship="19", patient_last="DOE", patient_first="KID", patient_birth="20150102", patient_sex="M",
    patient_line1="12 OAK AVE", patient_city="AUSTIN", patient_state="TX", patient_postal_code="78702",
    holder_birth="", holder_sex="", holder_line1="", holder_line2="", holder_city="", holder_state="",
    holder_postal_code="",
)  # fmt: skip
DECIDED = LineAdjudication(
    "77770", "90.00", "99213", "25", "1", "20261030", "35.00", (("CO", "45", "25.00", ""), ("PR", "2", "10.00", "1"))
)
DENIED = LineAdjudication("77770", "0.00", "85025", "", "1", "20261030", "20.50", (("PR", "1", "20.50", ""),))
PRIMARY = OtherPayer(
    "P", "01", "OG1", "", "CI", "", "DOE", "JOHN", "12 OAK AVE", "", "AUSTIN", "TX", "78702", "O000000001",
    "SAMPLE PRIMARY", "77770", "90.00", "55.50", adjudicated_on="20261030", reference="ICN0001",
)  # fmt: skip
SECONDARY = SELF._replace(
    id="c3", sequence="S", other_payers=(PRIMARY,),
    lines=(VISIT._replace(adjudications=(DECIDED,)), TEST._replace(adjudications=(DENIED,))),
)  # fmt: skip
WHOLE = PRIMARY._replace(adjustments=(("CO", "45", "25.00", ""), ("PR", "1", "20.50", ""), ("PR", "2", "10.00", "")))
REPLACEMENT = SELF._replace(id="c4", frequency="7", original_reference="ICN0001", patient_paid="20.00")
VOID = SELF._replace(id="c5", frequency="8", original_reference="ICN0002")
DRUG = Line(
    "1", "J1885", charge="31.00", units="2.000", pointers="1", from_on="20261005", ndc="00409379501",
    ndc_quantity="1.500", ndc_unit="ML", place_of_service="02", prior_authorization="AUTH1", rendering="d2",
    note="Given in the clinic", control_number="K7Q2M9X4T1B8W5Z3AL1",
)  # fmt: skip
REMOTE = Line(
    "2", "99214", modifiers="95", charge="150.00", from_on="20261005", to_on="20261006", place_of_service="02",
    emergency="Y", control_number="K7Q2M9X4T1B8W5Z3AL2",
)  # fmt: skip
TELEHEALTH = SELF._replace(
    id="c6", total="181.00", place_of_service="02", facility="", referring="d3", referral_number="RF1",
    prior_authorization="AUTH9", onset_on="20261001", accident="AA,OA", accident_state="TX", accident_on="20261001",
    delay_reason="11", note="Sample note", lines=(DRUG, REMOTE),
)  # fmt: skip
GOLDEN: dict[str, tuple[Claim, ...]] = {
    "837p_self": (SELF,),
    "837p_dependent": (DEPENDENT,),
    "837p_secondary": (SECONDARY, SECONDARY._replace(id="c7", lines=SELF.lines, other_payers=(WHOLE,))),
    "837p_replacement_and_void": (REPLACEMENT, VOID),
    "837p_drug_and_telehealth": (TELEHEALTH,),
    "837p_sole_proprietor": (SELF._replace(billing="b2", rendering="d99", payer="p3", facility=""),),
}


def writer(envelope: Envelope = ENVELOPE, **options: Any) -> Writer837P:
    return Writer837P(envelope, SUBMITTER, RECEIVER, PARTS, **options)


def written(claims: Iterable[Any], envelope: Envelope = ENVELOPE, **options: Any) -> Written:
    """Return the whole interchange."""
    one = writer(envelope, **options)
    content, placed = one.write(claims)
    return Written(content + one.close(), placed)


def text(*claims: Any) -> str:
    return written(claims).content.decode()


def segments(*claims: Any) -> list[str]:
    """Return the segments without their terminator."""
    return text(*claims).split("~")[:-1]
