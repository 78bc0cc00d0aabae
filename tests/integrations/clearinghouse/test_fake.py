"""Holds that the clearinghouse of the tests answers as a real one does, as far as readers of others can tell."""

from __future__ import annotations

import io
import os
import zipfile
from decimal import Decimal
from pathlib import Path

import oxedi
import pytest
import pyx12.params
import pyx12.x12n_document
from x12sdk.io import X12ModelReader

from integrations.clearinghouse.sftp import SftpClearinghouse
from integrations.x12.fake import FakeClearinghouse
from tests.integrations.clearinghouse.submissions import Claim, eligibility, status_request, submission
from tests.integrations.clearinghouse.test_sftp import opened

THREE = (Claim("A1", lines=(("99213", "125.5"), ("85025", "33.33"))), Claim("B1", dependent="KID"), Claim("C1"))


@pytest.fixture
def quick(house: FakeClearinghouse) -> FakeClearinghouse:
    """A clearinghouse for tests of what it answers to good files: it does not look for faults."""
    house.order(checks=False)
    return house


def sent(house: FakeClearinghouse, *files: bytes) -> None:
    with opened(house) as transport:
        for file in files:
            name = f"{len(house.ledger()) + 1:09d}.x12"
            transport.put_part(name, file)
            transport.rename(name)


def only(paths: list[Path]) -> str:
    [path] = paths
    return path.read_text()


def segments(text: str, *names: str) -> list[str]:
    return [segment for segment in text.split("~") if segment.split("*")[0] in names]


def is_right(text: str) -> None:
    """Ask pyx12 about the structure; its codes of remarks and statuses are old, so none of those are in these files."""
    found = io.StringIO()
    good = pyx12.x12n_document.x12n_document(pyx12.params.params(), io.StringIO(text), None, None, None, found)
    assert good, found.getvalue()


def balances(text: str) -> oxedi.Tables:
    read = oxedi.parse(text.encode())
    assert read.diagnostics == []
    return read.tables


# What comes back.


def test_a_good_file_is_taken_and_answered_step_by_step(house: FakeClearinghouse) -> None:
    sent(house, submission(*THREE))
    [entry] = house.ledger()
    assert (entry.verdict, entry.isa13, entry.claims) == ("taken", "000000001", ("A1", "B1", "C1"))
    written = house.answer()
    assert [path.name.split("_")[1] for path in written] == [
        "TA1.x12",
        "999.x12",
        "277CA.x12",
        "277CA-payer.x12",
        "835.x12",
    ]
    assert house.answer() == [], "each answer once"
    texts = [path.read_text() for path in written]
    assert segments(texts[0], "TA1") == ["TA1*000000001*261105*1200*A*000"]
    assert segments(texts[1], "AK2", "IK5", "AK9") == ["AK2*837*0001*005010X222A1", "IK5*A", "AK9*A*1*1*1"]
    assert segments(texts[2], "TRN")[1:] == ["TRN*2*B0000000010001", "TRN*1*0", "TRN*2*A1", "TRN*2*B1", "TRN*2*C1"]
    assert [one.split("*")[1] for one in segments(texts[2], "STC")[2:]] == ["A1:19:AY"] * 3
    assert [one.split("*")[1] for one in segments(texts[3], "STC")[2:]] == ["A2:20:PR"] * 3
    assert len(segments(texts[3], "REF")) == 3
    for text in (texts[1], texts[4]):
        is_right(text)


def test_no_ta1_is_written_for_a_file_that_wants_none(quick: FakeClearinghouse) -> None:
    sent(quick, submission(Claim("A1"), ack="0"))
    assert quick.answer("TA1") == []


def test_one_claim_is_paid_by_shares_and_one_denied(house: FakeClearinghouse) -> None:
    house.order(denied={"B1": "CO-16", "C1": "CO-197"})
    sent(house, submission(*THREE))
    text = only(house.answer("835"))
    tables = balances(text)
    assert tables is not None
    claims = [one.split("*")[1:6] for one in segments(text, "CLP")]
    assert claims == [["A1", "1", "158.83", "91.85", "35.21"], ["B1", "1", "125", "0", ""], ["C1", "1", "125", "0", ""]]
    assert segments(text, "CAS") == [
        *("CAS*CO*45*25.1", "CAS*PR*1*5**3*20**2*7.54", "CAS*CO*45*6.67", "CAS*PR*2*2.67"),
        *("CAS*CO*16*125", "CAS*CO*197*125"),
    ]
    assert segments(text, "REF")[2:] == ["REF*6R*A11", "REF*6R*A12", "REF*6R*B11", "REF*6R*C11"]
    assert segments(text, "BPR")[0].startswith("BPR*I*91.85*C*ACH*")
    is_right(text)


def test_nothing_paid_is_a_payment_of_nothing(quick: FakeClearinghouse) -> None:
    quick.order(denied={"A1": "CO-16"})
    sent(quick, submission(Claim("A1")))
    text = only(quick.answer("835"))
    assert segments(text, "BPR")[0].startswith("BPR*H*0*C*NON*")
    balances(text)


def test_payers_pay_apart_and_two_files_may_be_paid_together(quick: FakeClearinghouse) -> None:
    other = Claim("B1", payer=("OTHER HEALTH", "60055"))
    sent(quick, submission(Claim("A1"), other), submission(Claim("C1"), number=2))
    text = only(quick.answer("835"))
    assert [one.split("*")[1] for one in segments(text, "CLP")] == ["B1", "A1", "C1"]
    assert [one.split("*")[2] for one in segments(text, "N1") if "*PR*" in one] == ["OTHER HEALTH", "SAMPLE HEALTH"]
    balances(text)


def test_a_payment_is_reversed_and_corrected_and_the_provider_adjusted(quick: FakeClearinghouse) -> None:
    sent(quick, submission(Claim("A1")))
    quick.answer("835")
    quick.order(next_reversals=["A1"], next_plb=[["WO", "OLD1", "2.5"]])
    text = only(quick.answer("835"))
    first, second = segments(text, "CLP")
    assert first.split("*")[1:6] == ["A1", "22", "-125", "-67.5", ""]
    assert second.split("*")[1:5] == ["A1", "1", "125", "78.75"]
    assert segments(text, "PLB")[0].endswith("*WO:OLD1*2.5")
    assert segments(text, "BPR")[0].split("*")[2] == "8.75"
    balances(text)
    assert quick.answer("835") == []


def test_what_would_be_paid_below_zero_is_carried_forward(quick: FakeClearinghouse) -> None:
    quick.order(next_plb=[["WO", "OLD1", "100"]])
    sent(quick, submission(Claim("A1")))
    text = only(quick.answer("835"))
    assert segments(text, "BPR")[0].split("*")[2] == "0"
    assert segments(text, "PLB")[0].split("*")[3:] == ["WO:OLD1", "100", "FB:00000000101", "-32.5"]
    balances(text)


@pytest.mark.parametrize(("frequency", "statuses"), [("7", ["22", "1"]), ("8", ["22"])])
def test_a_replacement_or_void_takes_the_payment_of_its_original_back(
    quick: FakeClearinghouse, frequency: str, statuses: list[str]
) -> None:
    sent(quick, submission(Claim("A1")))
    paid = only(quick.answer("835"))
    number = segments(paid, "CLP")[0].split("*")[7]
    sent(quick, submission(Claim("A2", frequency=frequency, original=number), number=2))
    text = only(quick.answer("835"))
    assert [one.split("*")[2] for one in segments(text, "CLP")] == statuses
    balances(text)


def test_a_claim_that_crossed_over_names_its_next_payer(quick: FakeClearinghouse) -> None:
    quick.order(crossed_over=["A1"])
    sent(quick, submission(Claim("A1")))
    text = only(quick.answer("835"))
    assert segments(text, "CLP")[0].split("*")[2] == "19"
    assert "NM1*TT*2*NEXT HEALTH*****PI*60099" in segments(text, "NM1")
    balances(text)


# What is refused.


def test_a_claim_that_pyx12_finds_wrong_is_named_in_the_999_and_its_neighbours_are_not_paid(
    house: FakeClearinghouse,
) -> None:
    bad = Claim("B1", total="12X")
    sent(house, submission(Claim("A1"), bad, Claim("C1"), Claim("D1"), per_set=3))
    text = only(house.answer("999"))
    assert segments(text, "IK3", "CTX", "IK4", "IK5", "AK9") == [
        *("IK3*CLM*32**8", "CTX*CLM01:B1", "IK4*2*782*6", "IK5*R*5"),
        *("IK5*A", "AK9*P*2*2*1"),
    ]
    is_right(
        text.replace("CTX*CLM01:B1~", "").replace("SE*11", "SE*10")
    )  # a segment of the standard that it does not know
    assert "12X" not in text


def test_a_claim_that_is_told_to_be_bad_is_rejected_in_the_999(quick: FakeClearinghouse) -> None:
    quick.order(rejected_999=["B1"])
    sent(quick, submission(*THREE))
    assert segments(only(quick.answer("999")), "CTX", "AK9") == ["CTX*CLM01:B1", "AK9*R*1*1*0"]
    assert quick.answer("277CA", "277CA-payer", "835") == [], "nobody took it in"


def test_claims_are_rejected_on_the_way_or_by_the_payer(quick: FakeClearinghouse) -> None:
    quick.order(rejected_277={"A1": "A7:562:85", "B1": "A3"})
    sent(quick, submission(*THREE))
    [forwarded, received, paid] = [path.read_text() for path in quick.answer("277CA", "277CA-payer", "835")]
    assert [one.split("*")[1] for one in segments(forwarded, "STC")[2:]] == ["A7:562:85", "A1:19:AY", "A1:19:AY"]
    assert segments(forwarded, "QTY") == ["QTY*90*2", "QTY*AA*1", "QTY*QA*2", "QTY*QC*1"]
    assert [one.split("*")[1] for one in segments(received, "STC")[2:]] == ["A3:562:85", "A2:20:PR"]
    assert [one.split("*")[1] for one in segments(paid, "CLP")] == ["C1"]


def test_a_control_number_is_taken_once_and_its_repeat_proves_the_receipt(quick: FakeClearinghouse) -> None:
    sent(quick, submission(Claim("A1")), submission(Claim("A1")))
    assert [entry.verdict for entry in quick.ledger()] == ["taken", "duplicate"]
    assert [segments(path.read_text(), "TA1") for path in quick.answer("TA1")] == [
        ["TA1*000000001*261105*1200*A*000"],
        ["TA1*000000001*261105*1200*R*025"],
    ]
    assert len(segments(only(quick.answer("835")), "CLP")) == 1
    quick.order(forgets=True)
    sent(quick, submission(Claim("A1")))
    assert quick.ledger()[-1].verdict == "taken"


def test_a_number_is_remembered_by_whoever_opens_the_folder_again(quick: FakeClearinghouse, tmp_path: Path) -> None:
    sent(quick, submission(Claim("A1")))
    with FakeClearinghouse(quick.root) as again:
        sent(again, submission(Claim("A1")))
        assert [entry.verdict for entry in again.ledger()] == ["taken", "duplicate"]


def test_a_whole_file_is_rejected_by_an_ordered_note(quick: FakeClearinghouse) -> None:
    quick.order(next_notes=["020"])
    sent(quick, submission(Claim("A1"), ack="0"))
    assert segments(only(quick.answer()), "TA1") == ["TA1*000000001*261105*1200*R*020"]


@pytest.mark.parametrize("content", [b"", b"<html>", submission(Claim("A1"))[:-40]])
def test_what_cannot_be_read_is_noted_and_not_answered(house: FakeClearinghouse, content: bytes) -> None:
    sent(house, content)
    assert [entry.verdict for entry in house.ledger()] == ["unreadable"]
    assert house.answer() == []


# How it comes back.


def test_answers_come_at_once_if_told_so_and_not_while_they_are_held(tmp_path: Path) -> None:
    with FakeClearinghouse(tmp_path, at_once=["999", "277CA"]) as house:
        house.order(checks=False)
        sent(house, submission(Claim("A1")))
        house.settle()
        assert len(os.listdir(house.outbound())) == 2
        house.order(holds=True)
        sent(house, submission(Claim("A1"), number=2))
        house.settle()
        assert len(os.listdir(house.outbound())) == 2


def test_separators_are_theirs_to_choose(house: FakeClearinghouse) -> None:
    house.order(separators="|>^\n")
    sent(house, submission(Claim("A1"), separators="|>^~"))
    [_, ack, *_, paid] = house.answer()
    assert "AK9|A|1|1|1\n" in ack.read_text()
    is_right(ack.read_text())
    assert "SVC|HC>99213|125|" in paid.read_text()
    balances(paid.read_text())


def test_an_answer_may_come_zipped_or_grow_or_have_garbage_beside_it(quick: FakeClearinghouse) -> None:
    sent(quick, submission(Claim("A1")))
    quick.order(zips=True, next_garbage=1)
    [zipped, garbage] = quick.answer("999")
    with zipfile.ZipFile(zipped) as archive:
        assert b"AK9*A" in archive.read(archive.namelist()[0])
    assert garbage.read_bytes().startswith(b"<html>")
    for path in (zipped, garbage):
        path.unlink()
    quick.order(zips=False, grows=True)
    quick.answer("835")
    with opened(quick) as transport:
        sizes = [_size(transport) for _ in range(30)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[-1] == sizes[-2]
    balances(only(list(quick.outbound().iterdir())))


def _size(transport: SftpClearinghouse) -> int:
    [file] = transport.listing()
    return file.size


def test_each_partner_sees_its_own_folder(tmp_path: Path) -> None:
    with FakeClearinghouse(tmp_path, partners=["clinic", "annex"]) as house:
        for partner in ("clinic", "annex"):
            with opened(house, username=partner) as transport:
                transport.put_part("one.x12", submission(Claim("A1")))
                transport.rename("one.x12")
        assert [(entry.partner, entry.verdict) for entry in house.ledger()] == [("clinic", "taken"), ("annex", "taken")]
        house.order(checks=False)
        house.answer("999")
        assert len(os.listdir(house.outbound("annex"))) == 1


# Questions.


@pytest.mark.parametrize("dependent", ["", "KID"])
def test_coverage_is_told_active_inactive_or_unknown(quick: FakeClearinghouse, dependent: str) -> None:
    quick.order(inquiries={"T2": "inactive", "T3": "75"})
    sent(quick, eligibility("T1", "T2", dependent=dependent))
    text = only(quick.answer("271"))
    with X12ModelReader(text) as reader:
        [model] = reader.models()
    assert [member.is_dependent for member in model.members()] == [bool(dependent)] * 2
    sent(quick, eligibility("T3", dependent=dependent, number=2))  # the reader knows too few reasons for a rejection
    text += only(quick.answer("271"))
    told = [one for one in segments(text, "TRN", "EB", "AAA") if "*98*" not in one]
    assert told == [
        *("TRN*2*T1*9123456789", "EB*1*IND*30*C1*SAMPLE PLAN"),
        *("TRN*2*T2*9123456789", "EB*6**30**SAMPLE PLAN"),
        *("TRN*2*T3*9123456789", "AAA*N**75*C"),
    ]


def test_the_status_of_a_claim_is_told(quick: FakeClearinghouse) -> None:
    sent(quick, status_request("T1", payer_number="P77"))
    text = only(quick.answer("277"))
    with X12ModelReader(text) as reader:
        [model] = reader.models()
    [claim] = model.claims()
    assert (claim.trace_number, claim.charge) == ("T1", Decimal("125"))
    assert segments(text, "REF") == ["REF*1K*P77"]
