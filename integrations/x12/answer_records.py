"""What partners answer to our files, in frozen records; without it callers would have to know segments and elements.

Text is as sent, empty where the file is. Money is Decimal, a day is a date or None where there is none or no real one.
Records that hold a person print as their type only: a log or a traceback must not show a patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple


class Flaw(NamedTuple):
    """An envelope that disagrees with itself: accepted and flagged. The sentence tells shapes, never values.

    codes: "set_count" (SE01), "set_number" (SE02), "group_count", "group_number" (GE), "interchange_count",
    "interchange_number" (IEA), "no_group_trailer", "no_interchange_trailer", "outside" (a segment between sets),
    "rubbish" (text between or after interchanges), "amount" (one that is information only cannot be read).
    """

    code: str
    sentence: str


class Marks(NamedTuple):
    """The separators of one interchange, one character each; repetition is empty where ISA11 names none ("U")."""

    element: str
    repetition: str
    component: str
    segment: str


class Interchange(NamedTuple):
    """ISA. position: 1 for the first one of the file. control_number: ISA13 as sent, nine digits.

    usage: "T" or "P". `flaws` fills as the file is read: complete when the next interchange or the end is reached.
    """

    control_number: str
    sender_qualifier: str
    sender: str
    receiver_qualifier: str
    receiver: str
    sent_on: date | None
    sent_at: str
    usage: str
    ack_requested: bool
    marks: Marks
    position: int
    flaws: list[Flaw]


class Group(NamedTuple):
    """GS. functional_id: GS01 ("HP" is an 835, "HN" a 277, "FA" a 999, "HB" a 271, "HC" an 837)."""

    control_number: str
    functional_id: str
    version: str
    sender: str
    receiver: str
    sent_on: date | None


class Transaction(NamedTuple):
    """One ST to SE, or one TA1 (then `kind` is "TA1" and `group` None).

    position: 1 for the first of the file, TA1s counted too. version: ST03, or GS08 where ST03 is empty.
    segments: each a list of elements, its name first; ST and SE left out, so the first is segment 2 as IK3-02 counts.
    They can be walked once, and only until the next transaction is asked for.
    flaws: complete when the segments are used up.
    """

    kind: str
    control_number: str
    version: str
    interchange: Interchange
    group: Group | None
    position: int
    segments: Iterator[list[str]]
    flaws: list[Flaw]


class Ta1(NamedTuple):
    """The answer to one interchange of ours. verdict: "A", "E" or "R". note_code: "000" none, "025" seen before.

    interchange_number: our ISA13 as sent.
    """

    interchange_number: str
    sent_on: date | None
    sent_at: str
    verdict: str
    note_code: str


class ElementError(NamedTuple):
    """IK4 (or AK4) without its copy of our data. element, component and repeat: places from 1, 0 where not said.

    reference: the data element's number in X12's dictionary. code: "1" missing, "7" not a known code, "I12" and so on.
    """

    element: int
    component: int
    repeat: int
    reference: str
    code: str


class SegmentError(NamedTuple):
    """IK3 (or AK3) with what hangs on it. position: the segment's place in the ST, ST being 1; 0 where not said.

    segment_id is as sent, also a cut one as "NM". claim: CLM01 out of the CTX (TRN02 where we had asked about a
    claim or a person), empty where there is none.
    triggers: for each other CTX the segment id and place that made a situational element needed, as ("CLM", 43).
    """

    segment_id: str
    position: int
    loop: str
    code: str
    claim: str
    triggers: tuple[tuple[str, int], ...]
    elements: tuple[ElementError, ...]


class SetAck(NamedTuple):
    """AK2 to IK5: the answer to one ST of ours. verdict: "A", "E", "R", "M", "W", "X"; empty where IK5 is missing.

    segment: the place of AK2 in the 999, its ST being 1.
    """

    control_number: str
    kind: str
    version: str
    verdict: str
    codes: tuple[str, ...]
    errors: tuple[SegmentError, ...]
    segment: int


class Ack999(NamedTuple):
    """999 (or 997): the answer to one group of ours. group_number: our GS06. verdict: AK901, "A", "E", "P", "R"...

    A refused group may name no set at all: then every ST of it is meant. verdict is empty where AK9 is missing.
    """

    group_number: str
    functional_id: str
    version: str
    verdict: str
    codes: tuple[str, ...]
    sets_included: int | None
    sets_received: int | None
    sets_accepted: int | None
    sets: tuple[SetAck, ...]


class StatusCode(NamedTuple):
    """One composite of STC01, STC10 or STC11: category (code list 507), code (508) and the entity it is about (98)."""

    category: str
    code: str
    entity: str


class ClaimStatus(NamedTuple):
    """One STC of a 277CA or a 277, with what identifies that it is about.

    level: "source", "receiver", "provider", "patient" (one claim) or "line" (a service of that claim: it rejects no
        claim by itself).
    statuses: STC01 first, then STC10 and STC11. The first one's category decides what becomes of the claim.
    action: STC03 ("WQ" accepted, "U" rejected) as sent: some payers write WQ under a rejection, so it decides nothing.
    stated_on: STC02. charge: STC04. paid: STC05. decided_on: STC06. paid_on: STC08. payment_number: STC09.
    trace: TRN02 of this level, at patient level our CLM01, which some payers cut at 17.
    batch_reference: TRN02 of the receiver level, our BHT03.
    payer_claim_number: REF*1K. clearinghouse_number: REF*D9. bill_type: REF*BLT. patient_account: REF*EJ, in the
        answer to a 276 our CLM01 (its trace is that of the question).
    service_from, service_to: DTP*472 of the claim, at line level of the line.
    line_control_number: REF*FJ. procedure: SVC01-2. line_charge: SVC02.
    member_id: NM109 of the patient. provider_id: NM109 of the provider level. source_id: NM109 of the source.
    message: STC12, free text that may name the patient: never into a log.
    position: place of the STC in its ST, ST being 1.
    """

    level: str
    statuses: tuple[StatusCode, ...]
    action: str
    stated_on: date | None
    charge: Decimal | None
    paid: Decimal | None
    decided_on: date | None
    paid_on: date | None
    payment_number: str
    trace: str
    batch_reference: str
    payer_claim_number: str
    clearinghouse_number: str
    bill_type: str
    patient_account: str
    service_from: date | None
    service_to: date | None
    line_control_number: str
    procedure: str
    line_charge: Decimal | None
    member_id: str
    provider_id: str
    source_id: str
    message: str
    position: int

    @property
    def category(self) -> str:
        """STC01-1, as "A2"."""
        return self.statuses[0].category

    def __repr__(self) -> str:
        return hidden(self)


class StatusReport(NamedTuple):
    """A 277CA ("277CA") or an answer to a 276 ("277"). reference: BHT03, in a 277CA the sender's own number.

    statuses: walked once, and only until the next transaction is asked for.
    """

    kind: str
    reference: str
    created_on: date | None
    statuses: Iterator[ClaimStatus]


class Reject(NamedTuple):
    """AAA: why no answer was given. level: "source", "receiver", "subscriber", "dependent" or "benefit".

    code: AAA03, as "72" member id not valid. follow_up: AAA04, as "C" correct and send again.
    """

    level: str
    code: str
    follow_up: str


class Benefit(NamedTuple):
    """EB. code: EB01 ("1" active, "6" inactive, "A" co-insurance, "B" co-pay, "C" deductible, "G" out of pocket...).

    coverage_level: "IND", "FAM"... service_types: "30" is the plan as a whole. period: EB06 ("23" a year, "29" what
    remains). percent: as sent, "0.2" is a fifth. authorization and in_network: "Y", "N", "U", "W" or empty.
    dates: DTP of this benefit as (qualifier, from, to). procedure: EB13 without its qualifier.
    """

    code: str
    coverage_level: str
    service_types: tuple[str, ...]
    insurance_type: str
    plan: str
    period: str
    amount: Decimal | None
    percent: Decimal | None
    quantity_qualifier: str
    quantity: str
    authorization: str
    in_network: str
    procedure: str
    dates: tuple[tuple[str, date | None, date | None], ...]
    messages: tuple[str, ...]

    def __repr__(self) -> str:
        return hidden(self)


class EligibilityAnswer(NamedTuple):
    """What a 271 says of one person, or why it says nothing of anybody (`level` is then "source" or "receiver").

    level: "subscriber" or "dependent". trace: TRN02 that echoes our question (TRN01 is 2). traces: all.
    reference: BHT03, ours echoed. relationship: INS02 of a dependent ("01" spouse, "19" child, "34" other).
    member_id: of the person, else of the subscriber. group_number: REF*6P, or REF*18 or 1L where that is absent.
    plan_begins, plan_ends: DTP*346/348/356/291/307 and 347/349/357/291/307 behind the EB of the plan as a whole, or of
        the person where there is none behind it.
    active: True or False as the EBs of service type 30 or none say; None where none speaks of the plan as a whole.
    """

    level: str
    trace: str
    traces: tuple[str, ...]
    reference: str
    payer_id: str
    payer_name: str
    last_name: str
    first_name: str
    birth_on: date | None
    sex: str
    relationship: str
    member_id: str
    group_number: str
    plan_begins: date | None
    plan_ends: date | None
    dates: tuple[tuple[str, date | None, date | None], ...]
    rejects: tuple[Reject, ...]
    benefits: tuple[Benefit, ...]
    active: bool | None

    def __repr__(self) -> str:
        return hidden(self)


def hidden(record: object) -> str:
    """Return a record's type: its fields are a patient's."""
    return f"{type(record).__name__}(...)"
