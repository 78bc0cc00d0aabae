"""Holds that questions of cover and of claims are written as the standard says, alone or many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integrations.x12 import eligibility_270, status_276
from integrations.x12.inquiry_records import (
    Asked,
    EligibilityQuestion,
    Inquiries,
    InquiryParts,
    InquiryPayer,
    InquiryProvider,
    StatusQuestion,
)
from integrations.x12.text import NotWritable
from tests.support.claim_facts import ENVELOPE, SUBMITTER, npi
from tests.support.x12valid import x12valid

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "x12"
LINES = ENVELOPE._replace(segment_terminator="~\n")
OTHERS = ENVELOPE._replace(element_separator="|", component_separator=">", repetition_separator="{")
PARTS = InquiryParts(
    {"p1": InquiryPayer("p1", "Sample Health", "60051"), "p2": InquiryPayer("p2", "SAMPLE OTHER", "60052")},
    {
        "clinic": InquiryProvider("clinic", name="Sample Clinic LLC", npi=npi(123456789)),
        "tess": InquiryProvider("tess", is_person=True, last_name="Tester", first_name="Tess", npi=npi(198765400)),
    },
)
COVERED = EligibilityQuestion(
    "q1", "p1", "clinic", "E0001", member_id="W000000001", group_number="GRP 01", holder_last="Doe",
    holder_first="Jane", holder_birth="19800101", holder_sex="F", service_on="20261105", service_types="30,98",
)  # fmt: skip
KID = COVERED._replace(
    id="q2", trace="E0002", relationship="19", patient_last="DOE", patient_first="KID", patient_birth="20150102",
    patient_sex="M", group_number="", service_types="30",
)  # fmt: skip
STATUS = StatusQuestion(
    "q1", "p1", "clinic", "S0001", member_id="W000000001", holder_last="DOE", holder_first="JANE",
    holder_birth="19800101", holder_sex="F", control_number="K7Q2M9X4T1B8W5Z3A", payer_claim_number="ICN0001",
    total="145.50", from_on="20261005", to_on="20261006",
)  # fmt: skip
STATUS_OF_KID = STATUS._replace(
    id="q2", trace="S0002", relationship="19", patient_last="DOE", patient_first="KID", patient_birth="20150102",
    patient_sex="M", payer_claim_number="", to_on="",
)  # fmt: skip


def cover(*questions: Any, envelope: Any = ENVELOPE, **options: Any) -> Inquiries:
    return eligibility_270.write(envelope, PARTS, questions, originator="9CLINIC001", **options)


def status(*questions: Any, envelope: Any = ENVELOPE, **options: Any) -> Inquiries:
    return status_276.write(envelope, SUBMITTER, PARTS, questions, **options)


@pytest.mark.parametrize(
    ("name", "write", "questions"),
    [
        ("270_holder", cover, [COVERED]),
        ("270_batch", cover, [COVERED, KID, COVERED._replace(id="q3", trace="E0003", provider="tess")]),
        ("276_holder_and_dependent", status, [STATUS, STATUS_OF_KID]),
    ],
)
def test_a_golden_file_is_written_to_the_byte(name: str, write: Any, questions: list[Any]) -> None:
    content = write(*questions, envelope=LINES).content
    assert content == (FOLDER / f"{name}.x12").read_bytes()
    assert x12valid(content) == []


@pytest.mark.parametrize(("write", "kinds"), [(cover, [COVERED, KID]), (status, [STATUS, STATUS_OF_KID])])
def test_many_questions_keep_their_levels_and_counts(write: Any, kinds: list[Any]) -> None:
    questions = [kinds[at % 2]._replace(id=f"q{at}", trace=f"T{at:04}", payer=f"p{1 + at // 20}") for at in range(40)]
    found = write(*questions, most=7)
    assert x12valid(found.content) == []
    assert [asked.id for asked in found.asked] == [question.id for question in questions]
    assert [asked.transaction for asked in found.asked[:8]] == ["0001"] * 7 + ["0002"]
    for transaction in found.content.decode().split("~ST*")[1:]:
        segments = f"ST*{transaction.partition('~GE*')[0]}".removesuffix("~").split("~")
        levels = [segment.split("*")[1] for segment in segments if segment.startswith("HL*")]
        assert levels == [str(at) for at in range(1, len(levels) + 1)]
        assert segments[-1].split("*")[1] == str(len(segments))


@pytest.mark.parametrize(("write", "kinds"), [(cover, [COVERED, KID]), (status, [STATUS, STATUS_OF_KID])])
def test_other_separators_change_nothing_else(write: Any, kinds: list[Any]) -> None:
    theirs = write(*kinds, envelope=OTHERS).content
    assert theirs.translate(bytes.maketrans(b"|{>", b"*^:")) == write(*kinds).content
    assert x12valid(theirs) == []


def test_an_answer_finds_its_question_by_what_was_asked() -> None:
    assert cover(COVERED, KID).asked == [
        Asked("q1", "0001", "0000000070001", "E0001"),
        Asked("q2", "0001", "0000000070001", "E0002"),
    ]


def test_a_transaction_asks_for_99_patients_at_most() -> None:
    many = [COVERED._replace(id=f"q{at}", trace=f"T{at:04}") for at in range(100)]
    assert cover(*many, most=1000).asked[-1].transaction == "0002"


def test_who_is_insured_oneself_may_be_given_as_the_patient_only() -> None:
    moved = COVERED._replace(
        holder_last="", holder_first="", holder_birth="", holder_sex="",
        patient_last="DOE", patient_first="JANE", patient_birth="19800101", patient_sex="F",
    )  # fmt: skip
    assert cover(moved).content == cover(COVERED).content


@pytest.mark.parametrize(("write", "one"), [(cover, COVERED), (status, STATUS)])
@pytest.mark.parametrize("last", ["DOE", "Döe"])
def test_a_name_is_never_put_together_from_two(write: Any, one: Any, last: str) -> None:
    both = one._replace(holder_last=last, patient_last="SAMPLE", patient_first="ANA", patient_birth="19700101")
    assert b"~NM1*IL*1*DOE*****MI*" in write(both._replace(holder_first="")).content
    found = write(both._replace(holder_last="", holder_birth="")).content
    assert b"~NM1*IL*1*SAMPLE*ANA****MI*" in found
    assert b"~DMG*D8*19700101*F~" in found


@pytest.mark.parametrize(("write", "one", "kid"), [(cover, COVERED, KID), (status, STATUS, STATUS_OF_KID)])
def test_a_sex_that_is_not_known_is_left_out(write: Any, one: Any, kid: Any) -> None:
    found = write(one._replace(holder_sex="U"), kid._replace(patient_sex="U", holder_sex="U")).content
    assert b"~DMG*D8*19800101~" in found
    assert b"~DMG*D8*20150102~" in found
    assert x12valid(found) == []


@pytest.mark.parametrize(
    ("write", "question", "changes", "rule"),
    [
        (cover, COVERED, {"member_id": "W1*"}, "NM1*IL NM109: not as the element wants it, 3 characters"),
        (cover, COVERED, {"trace": ""}, "TRN02: missing"),
        (cover, COVERED, {"service_on": "2026"}, "DTP*291: not as the element wants it, 4 characters"),
        (cover, KID, {"patient_birth": ""}, "2100D DMG02: missing"),
        (status, STATUS, {"total": "1.005"}, "2200 AMT*T3: a part of a cent"),
        (status, STATUS, {"control_number": "A" * 21}, "2200 REF*EJ: 21 characters, 20 at most"),
        (status, STATUS, {"payer": "nobody"}, "NM1*PR: a part is named that was not given"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_rule(write: Any, question: Any, changes: dict, rule: str) -> None:
    with pytest.raises(NotWritable) as refused:
        write(question._replace(**changes))
    assert str(refused.value) == f"{rule} (row {question.id})"


def test_an_interchange_without_questions_is_not_written() -> None:
    with pytest.raises(NotWritable):
        cover()


def test_an_originator_has_ten_characters() -> None:
    with pytest.raises(NotWritable):
        eligibility_270.write(ENVELOPE, PARTS, [COVERED], originator="CLINIC")


def test_a_question_prints_as_its_type_only() -> None:
    assert repr((COVERED, STATUS)) == "(EligibilityQuestion(), StatusQuestion())"
