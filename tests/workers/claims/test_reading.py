"""Files from partners are read transaction by transaction, once, and what cannot be read is kept and told."""

from __future__ import annotations

import pytest

from backend.apps.core.models import Alert
from backend.apps.insurance.models import AckEvent, InboundFile, Remittance, Submission, TradingPartner
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.inquiry_factories import make_eligibility_inquiry, make_status_inquiry
from backend.apps.insurance.tests.sent_claims import inbound_file
from tests.workers.claims.answers import (
    NAMED,
    ack,
    content,
    errors,
    paid_835,
    paid_claim,
    receive,
    remittance,
    sent,
    sent_one,
    stands,
    status,
    ta1,
)
from workers.claims import reading

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.fixture
def partner() -> TradingPartner:
    return make_partner()


def test_an_answer_that_names_no_claim_of_ours_is_kept_for_a_person(partner: TradingPartner) -> None:
    file = receive(partner, content(status("A7:507", trace="NOBODY00000000000")))
    assert (file.status, file.status_reason) == ("partly", "1 answers name no claim of ours.")
    assert AckEvent.objects.get(file=file).claim is None


def test_the_place_of_a_word_is_its_segments_in_the_file(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    answered = [
        content(ack(file), status("A2:20", trace=claim.control_number), head=[ta1(file)]),
        content(paid_835(claim), ack(file)),
    ]
    receive(partner, b"".join(answered))
    written = b"".join(answered).decode().split("~")
    places = AckEvent.objects.filter(claim=claim).order_by("segment_index").values_list("kind", "segment_index")
    found = [(kind, written[place - 1].split("*")[0]) for kind, place in places]
    assert found == [("TA1", "TA1"), ("999", "AK2"), ("277CA", "STC"), ("835", "CLP"), ("999", "AK2")]


def test_the_same_file_under_another_name_counts_once(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    given = content(ack(file), head=[ta1(file)])
    receive(partner, given)
    again = receive(partner, given)
    assert (again.status, AckEvent.objects.filter(claim=claim).count()) == ("duplicate", 2)


def test_a_file_that_is_read_again_changes_nothing(partner: TradingPartner) -> None:
    claims, file = sent(partner, 2)
    named = errors(NAMED, place=1, number=claims[0].control_number)
    first = receive(partner, content(ack(file, "R", *named)))
    before = [stands(claim) for claim in claims], Submission.objects.count(), AckEvent.objects.count()
    InboundFile.objects.filter(pk=first.pk).update(work_state="waiting", status="received")
    receive(partner, content(head=[]))
    assert ([stands(claim) for claim in claims], Submission.objects.count(), AckEvent.objects.count()) == before


def test_one_transaction_that_cannot_be_read_holds_up_none_beside_it(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    bad = ("835", ["BPR*I*1.2.3*C", "TRN*1*X*1"])
    received = receive(partner, content(("999", ["AK2*837*0001"]), bad, ack(file)))
    assert stands(claim)[0] == "pending"
    assert received.status == "partly"
    assert len(received.findings) == 2


@pytest.mark.parametrize("given", [b"", b"Dear clinic, your files are late", b"ISA*00*short~", b"\x00\x01\xff" * 90])
def test_what_is_not_x12_is_kept_and_told(partner: TradingPartner, given: bytes) -> None:
    file = receive(partner, given)
    assert (file.status, file.work_state) == ("quarantined", "done")
    assert Alert.objects.get(kind="claims_file_quarantined").subject_id == str(file.pk)


def test_a_test_file_does_not_count_for_real_claims() -> None:
    partner = make_partner(usage="P")
    claim, file = sent_one(partner)
    assert receive(partner, content(ack(file))).status == "quarantined"
    assert stands(claim)[0] == "submitted"
    assert receive(partner, content(ack(file), usage="P")).status == "applied"


def test_a_payers_word_on_our_question_is_noted_and_moves_nothing(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    asked = make_status_inquiry(claim=claim, partner=partner, status="sent")
    told = ["BHT*0010*08*R1*20261126*0515*DG", "HL*1**20*1", "NM1*PR*2*PAYER*****PI*1", "HL*2*1*21*1",
            "NM1*41*2*OURS*****46*S1", "HL*3*2*19*1", "NM1*1P*2*CLINIC*****XX*1234567893", "HL*4*3*22*0",
            "NM1*IL*1*DOE*SAMPLE****MI*M1", f"TRN*2*{asked.trace}", "STC*F2:585*20261126**150*0", "REF*1K*ICN9",
            f"REF*EJ*{claim.control_number}"]  # fmt: skip
    file = receive(partner, content(("277", told)))
    asked.refresh_from_db()
    assert (file.status, file.kinds) == ("applied", "277")
    assert (asked.status, asked.codes, asked.answer_file) == ("answered", ["F2:585"], file)
    assert stands(claim) == ("submitted", "sent")
    assert AckEvent.objects.get(claim=claim).stage == 55


def test_a_271_verifies_the_coverage_it_answers_about(partner: TradingPartner) -> None:
    asked = make_eligibility_inquiry(partner=partner)
    told = ["BHT*0022*11*1*20261126*0515", "HL*1**20*1", "NM1*PR*2*PAYER*****PI*1", "HL*2*1*21*1",
            "NM1*1P*2*CLINIC*****XX*1234567893", "HL*3*2*22*0", f"TRN*2*{asked.trace}*9OURS",
            "NM1*IL*1*DOE*SAMPLE****MI*M1",
            "EB*1*IND*30"]  # fmt: skip
    file = receive(partner, content(("271", told)))
    asked.refresh_from_db()
    assert (file.status, file.kinds, asked.status) == ("applied", "271", "answered")
    assert asked.coverage.verification_status == "verified"


def test_a_zip_is_read_by_its_members(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    zipped = inbound_file(partner, content=b"PK\x03\x04", status="received")
    receive(partner, content(ack(file)), container=zipped)
    assert reading.read(zipped)["status"] == "applied"
    assert stands(claim)[0] == "pending"


def test_no_patients_name_leaves_a_file_that_cannot_be_read(
    partner: TradingPartner, caplog: pytest.LogCaptureFixture
) -> None:
    claim, _ = sent_one(partner)
    bad = status("A7:507", trace="CANARYTRACE000000", more=["REF*1K*CANARY"])
    broken = ("835", ["BPR*I*CANARY*C", "TRN*1*CANARY*1", "CLP*CANARY*1*CANARY*1", "NM1*QC*1*CANARY*CANARY"])
    off = remittance(paid_claim(claim, "SVC*HC:99213*125*80**1", more=["NM1*QC*1*CANARY*CANARY"]), paid="1")
    file = receive(partner, content(bad, broken, off))
    assert file.status == "partly"
    said = [caplog.text, *file.findings, file.status_reason, *Alert.objects.values_list("sentence", flat=True)]
    said += [*Alert.objects.values_list("cause", flat=True), *Remittance.objects.values_list("problem", flat=True)]
    assert "CANARY" not in " ".join(said)
