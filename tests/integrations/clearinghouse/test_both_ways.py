"""Holds that what we write is understood there, and what comes back here: neither side knows the other."""

from __future__ import annotations

from pathlib import Path

import oxedi

from integrations.x12 import (
    ack_999,
    balance,
    eligibility_270,
    eligibility_271,
    remittance_835,
    segments,
    status_277,
    ta1,
)
from integrations.x12.claim_837p import Writer837P
from integrations.x12.claim_records import Claim, Envelope
from integrations.x12.fake import FakeClearinghouse
from integrations.x12.sniff import Kind
from tests.integrations.clearinghouse.test_sftp import opened
from tests.integrations.x12.answer_samples import kind_of
from tests.integrations.x12.test_inquiry_writing import COVERED
from tests.integrations.x12.test_inquiry_writing import PARTS as ASKED
from tests.support.claim_facts import ENVELOPE, PARTS, RECEIVER, SUBMITTER, random_claims

MANY = 48
FOREIGN = ENVELOPE._replace(element_separator="|", component_separator=">", interchange_number=8, group_number=8)
KINDS = [
    *(Kind.INTERCHANGE_ACKNOWLEDGEMENT, Kind.ACKNOWLEDGEMENT, Kind.CLAIM_ACKNOWLEDGEMENT, Kind.CLAIM_ACKNOWLEDGEMENT),
    Kind.REMITTANCE,
]


def written(claims: list[Claim], envelope: Envelope = ENVELOPE) -> bytes:
    writer = Writer837P(envelope, SUBMITTER, RECEIVER, PARTS, most_claims=20)
    return writer.write(claims).content + writer.close()


def sent(house: FakeClearinghouse, content: bytes) -> None:
    with opened(house) as transport:
        transport.put_part("file.x12", content)
        transport.rename("file.x12")


def read(path: Path) -> list[segments.Transaction]:
    return [found._replace(segments=iter(list(found.segments))) for found in segments.read(path.read_bytes())]


def test_claims_of_all_kinds_go_there_and_their_answers_come_back(house: FakeClearinghouse) -> None:
    claims = random_claims(MANY)
    numbers = sorted(claim.control_number for claim in claims)
    sent(house, written(claims))
    [entry] = house.ledger()
    assert sorted(entry.claims) == numbers
    paths = house.answer()
    assert [kind_of(path.read_bytes()) for path in paths] == KINDS

    [interchange] = read(paths[0])
    assert ta1.read(interchange)[0::3] == (f"{ENVELOPE.interchange_number:09}", "A")
    [acknowledged] = read(paths[1])
    answer = ack_999.read(acknowledged)
    assert (answer.verdict, {one.verdict for one in answer.sets}) == ("A", {"A"})
    for path, category in ((paths[2], "A1"), (paths[3], "A2")):
        statuses = [one for found in read(path) for one in status_277.read(found).statuses if one.level == "patient"]
        assert sorted(one.trace for one in statuses) == numbers
        assert {one.statuses[0].category for one in statuses} == {category}
    paid = [remittance_835.read(found) for found in segments.read(paths[4].read_bytes())]
    assert oxedi.parse(paths[4].read_bytes()).diagnostics == []
    assert paid


def test_a_remittance_balances_by_our_equations_too(house: FakeClearinghouse) -> None:
    house.order(checks=False)
    sent(house, written(random_claims(MANY, seed=2), FOREIGN))
    [path] = house.answer("835")
    seen = 0
    for found in segments.read(path.read_bytes()):
        remittance = remittance_835.read(found)
        assert balance.check(remittance) == []
        seen += 1
    assert seen


def test_a_question_is_answered_so_that_we_understand_it(house: FakeClearinghouse) -> None:
    questions = [COVERED._replace(id=f"{number}", trace=f"T{number}") for number in range(3)]
    house.order(inquiries={"T1": "inactive", "T2": "75"})
    sent(house, eligibility_270.write(ENVELOPE, ASKED, questions, originator="9CLINIC001").content)
    [path] = house.answer("271")
    assert kind_of(path.read_bytes()) is Kind.ELIGIBILITY
    told = [answer for found in segments.read(path.read_bytes()) for answer in eligibility_271.read(found)]
    assert [(one.trace, one.active) for one in told] == [("T0", True), ("T1", False), ("T2", None)]
