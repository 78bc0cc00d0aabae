"""Holds TA1, 999, 277CA, 277 and 271 as read against golden records, the traps of real files, and other readers."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from x12sdk.io import X12ModelReader

from integrations.x12 import ack_999, eligibility_271, remittance_835, segments, sniff, status_277, ta1
from integrations.x12.answer_records import ClaimStatus
from integrations.x12.segments import NotX12
from integrations.x12.sniff import Kind
from tests.integrations.x12.answer_samples import FOLDER, SAMPLES, kind_of, only, raw, read, written
from tests.support.remittances import envelope

CA = "005010X214"


def statuses(content: bytes) -> list[ClaimStatus]:
    return list(status_277.read(only(content)).statuses)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_read_as_its_golden_record_says(path):
    assert written(path.read_bytes()) == json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_other_separators_change_nothing_that_is_read(path):
    content = path.read_bytes().replace(b"\r\n", b"\n")
    marks = bytes([content[3], content[82], content[104]])
    if content[105:107] == b"~\n":
        content = content.replace(b"~\n", b"\n")
    assert written(content.translate(bytes.maketrans(marks, b"\x1d\x1e\x1f"))) == written(path.read_bytes())


def test_every_sample_has_its_source_noted():
    noted = (FOLDER / "README.md").read_text()
    assert [path.name for path in SAMPLES if f"| {path.name} |" not in noted] == []


def test_records_that_hold_a_person_print_as_their_type_alone():
    shown = "".join(repr(record) for name in ("277ca_payer", "277_answer") for record in statuses(raw(name)))
    shown += "".join(repr(answer) for answer in next(read(raw("271_active"))))
    shown += "".join(repr(claim) for claim in next(read(raw("835_paid_denied"))).claims)
    assert "DOE" not in shown
    assert "M0000" not in shown
    assert "(...)" in shown


# ---- TA1


def test_a_repeated_number_is_told_as_seen_before():
    answer = ta1.read(only(raw("ta1_refused")))
    assert (answer.interchange_number, answer.verdict, answer.note_code) == ("000000017", "R", "025")


def test_a_short_ta1_is_read_as_far_as_it_goes():
    content = raw("ta1_refused").replace(b"TA1*000000017*261126*0500*R*025", b"TA1*000000017*261126*0500*A")
    assert ta1.read(only(content))[3:] == ("A", "")


# ---- 999


def test_a_cut_segment_id_is_kept_and_the_claim_of_the_context_before_ik4_is_found():
    [bad] = [each for each in ack_999.read(only(raw("999_partial"))).sets if each.verdict == "R"]
    first, second = bad.errors
    assert (first.segment_id, first.position, first.claim) == ("NM", 24, "S0000000000000004")
    assert [(element.element, element.code) for element in first.elements] == [(9, "1"), (8, "I12")]
    assert (second.claim, second.triggers) == ("S0000000000000009", (("CLM", 43),))


def test_a_context_behind_ik4_belongs_to_the_same_segment():
    last = ack_999.read(only(raw("999_partial"))).sets[-1]
    assert (last.verdict, last.errors[0].claim) == ("E", "S0000000000000012")


def test_our_data_copied_into_ik4_are_dropped():
    assert "NOT KEPT" not in repr(ack_999.read(only(raw("999_partial"))))


def test_a_refused_group_without_sets_is_told_by_its_verdict():
    answer = ack_999.read(only(raw("999_group_refused")))
    assert (answer.group_number, answer.verdict, answer.codes, answer.sets) == ("18", "R", ("2",), ())


def test_a_999_without_its_verdict_accepts_nothing():
    answer = ack_999.read(only(envelope(["AK1*HC*17", "AK2*837*0001"], kind="999", version="005010X231A1")))
    assert (answer.verdict, answer.sets[0].verdict) == ("", "")


def test_a_999_that_names_no_group_is_refused():
    with pytest.raises(NotX12, match="no group"):
        ack_999.read(only(envelope(["AK9*A*1*1*1"], kind="999", version="005010X231A1")))


# ---- 277CA and 277


def test_a_refusal_whose_action_says_accepted_is_a_refusal():
    refused = statuses(raw("277ca_clearinghouse"))[3]
    assert (refused.category, refused.action, refused.trace) == ("A7", "WQ", "S0000000000000003")
    assert [(status.category, status.code, status.entity) for status in refused.statuses] == [
        ("A7", "562", "85"),
        ("A7", "116", ""),
        ("A3", "21", "PR"),
    ]


def test_a_refused_line_under_an_accepted_claim_is_told_as_a_line():
    found = [(status.level, status.category, status.line_control_number) for status in statuses(raw("277ca_payer"))]
    assert found[1:4] == [
        ("patient", "A2", ""),
        ("line", "A8", "S0000000000000001A"),
        ("line", "A2", "S0000000000000001B"),
    ]


def test_a_number_cut_short_in_trn02_is_given_as_sent_beside_what_else_tells_the_claim():
    cut = statuses(raw("277ca_payer"))[-1]
    assert (cut.trace, cut.payer_claim_number, cut.member_id) == ("S00000000000000", "P2026112700002", "M00000002")


def test_what_one_claim_says_of_itself_does_not_reach_the_next():
    lines = [
        *("BHT*0085*08*1*20261126*0515*TH", "HL*1**20*1", "HL*2*1*21*1", "TRN*2*B1", "HL*3*2*19*1"),
        *("HL*4*3*PT", "NM1*QC*1*DOE*A****MI*M1", "TRN*2*C1", "STC*A2:20", "REF*1K*P1", "DTP*472*D8*20261101"),
        *("SVC*HC:99213*5", "STC*A2:20", "REF*FJ*L1"),
        *("HL*5*3*PT", "NM1*QC*1*DOE*B", "TRN*2*C2", "STC*A2:20"),
    ]
    last = statuses(envelope(lines, kind="277", version=CA))[-1]
    assert (last.level, last.trace, last.batch_reference) == ("patient", "C2", "B1")
    assert (last.payer_claim_number, last.line_control_number, last.member_id, last.service_from) == ("", "", "", None)


def test_a_batch_refused_as_a_whole_names_our_batch():
    [refused] = statuses(raw("277ca_batch_refused"))
    assert (refused.level, refused.category, refused.batch_reference) == ("receiver", "A8", "B000043")


def test_the_place_of_a_status_is_counted_from_st_as_the_raw_segments_stand():
    content = raw("277ca_payer")
    inside = content.decode().split("ST*277")[1].split("~")
    places = [place for place, segment in enumerate(inside, 1) if segment.strip().startswith("STC")]
    assert [status.position for status in statuses(content)] == places


def test_an_unreadable_amount_hides_no_status():
    lines = ["BHT*0085*08*1*20261126*0515*TH", "HL*4*3*PT", "TRN*2*C1", "STC*A7:20*20269999*U*1O0"]
    [status] = statuses(envelope(lines, kind="277", version=CA))
    assert (status.category, status.charge, status.stated_on) == ("A7", None, None)


def test_a_status_without_a_code_is_told_with_an_empty_one():
    [status] = statuses(envelope(["HL*4*3*PT", "TRN*2*C1", "STC"], kind="277", version=CA))
    assert (status.category, status.trace, status.position) == ("", "C1", 4)


@pytest.mark.parametrize(
    ("bht", "version", "kind"),
    [
        ("BHT*0085*08*1*20261126*0515*TH", "005010", "277CA"),
        ("BHT*0010*08*1*20261126*0515*DG", "005010X212", "277"),
        ("BHT*0010*08*1*20261126*0515*TH", "005010", "277CA"),
    ],
)
def test_an_acknowledgement_and_an_answer_are_told_apart(bht, version, kind):
    assert status_277.read(only(envelope([bht], kind="277", version=version))).kind == kind


# ---- 271


def test_a_271_says_who_is_covered_from_when_and_by_what():
    subscriber, dependent = eligibility_271.read(only(raw("271_active")))
    assert (subscriber.trace, subscriber.active, subscriber.group_number) == ("E0001A", True, "GROUP1")
    assert (dependent.level, dependent.relationship, dependent.active) == ("dependent", "19", False)
    assert (dependent.member_id, str(dependent.plan_ends)) == ("M00000009", "2025-12-31")
    assert [str(benefit.amount) for benefit in subscriber.benefits if benefit.code == "B"] == ["25"]
    assert [str(benefit.percent) for benefit in subscriber.benefits if benefit.code == "A"] == ["0.125"]


def test_the_name_of_another_payer_behind_a_benefit_is_nobodys_name():
    subscriber, _ = eligibility_271.read(only(raw("271_active")))
    assert (subscriber.last_name, subscriber.payer_name) == ("DOE", "SAMPLE PAYER")


def test_x12sdk_reads_the_same_benefits():
    theirs = [
        (eb["eligibility_benefit_information"], eb.get("service_type_code", []), eb.get("benefit_amount"))
        for eb in _by_x12sdk("271_active", "EB")
    ]
    ours = [
        (benefit.code, list(benefit.service_types), benefit.amount)
        for answer in eligibility_271.read(only(raw("271_active")))
        for benefit in answer.benefits
    ]
    assert ours == theirs


def test_x12sdk_reads_the_same_statuses():
    theirs = [
        (
            stc["health_care_claim_status_1"],
            stc.get("total_claim_charge_amount"),
            stc.get("remittance_trace_number", ""),
        )
        for stc in _by_x12sdk("277_answer", "STC")
    ]
    ours = [
        (f"{status.category}:{status.statuses[0].code}", status.charge, status.payment_number)
        for status in statuses(raw("277_answer"))
    ]
    assert ours == theirs


def _by_x12sdk(name: str, segment: str) -> list[dict[str, Any]]:
    """Return each segment of that name as x12sdk reads it, in the file's order."""
    logging.getLogger("x12sdk").setLevel(logging.CRITICAL)  # it logs whole segments
    with X12ModelReader(raw(name).decode()) as reader:
        return list(_segments(next(iter(reader.models())).model_dump(exclude_none=True), segment))


def _segments(value: Any, name: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and value.get("segment_name") == name:
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _segments(inner, name)


def test_a_person_not_found_and_a_source_that_is_down_are_told_apart():
    [unknown] = eligibility_271.read(only(raw("271_rejected")))
    [down] = eligibility_271.read(only(raw("271_source_down")))
    assert [reject[:2] for reject in unknown.rejects] == [("subscriber", "75"), ("subscriber", "71")]
    assert (unknown.trace, unknown.active) == ("E0002A", None)
    assert (down.level, down.rejects) == ("source", (("source", "42", "R"),))


@pytest.mark.parametrize(
    ("benefits", "active"),
    [
        (["EB*1**30"], True),
        (["EB*6**30", "EB*1**88"], False),
        (["EB*1**88"], None),
        (["EB*6**88"], None),
        (["EB*1**1^30^88"], True),
        (["EB*6**88", "EB*1**30"], True),
        (["EB*8"], False),
        (["EB*C**30***23*100"], None),
        (["EB*V**30"], None),
        ([], None),
    ],
)
def test_the_plan_as_a_whole_decides_whether_it_is_active(benefits, active):
    body = ["HL*1**20*1", "HL*2*1*21*1", "HL*3*2*22*0", "TRN*2*E1", "NM1*IL*1*DOE", *benefits]
    [answer] = eligibility_271.read(only(envelope(body, kind="271", version="005010X279A1")))
    assert answer.active is active


@pytest.mark.parametrize(
    ("body", "begins", "ends"),
    [
        (["EB*1**30", "DTP*349*D8*20251231"], None, "2025-12-31"),
        (["EB*1**30", "DTP*347*D8*20251231"], None, "2025-12-31"),
        (["EB*1**30", "DTP*291*RD8*20260101-20261231"], "2026-01-01", "2026-12-31"),
        (["EB*1**30", "DTP*291*D8*20260101"], "2026-01-01", None),
        (["DTP*346*D8*20200101", "DTP*347*D8*20301231", "EB*1**30", "DTP*347*D8*20251231"], "2020-01-01", "2025-12-31"),
        (["DTP*347*D8*20301231", "EB*1**88", "DTP*349*D8*20251231"], None, "2030-12-31"),
        (["EB*1**30", "DTP*349*D8*20251231", "EB*1**30", "DTP*348*D8*20260101"], None, None),
        (["EB*6**30", "DTP*349*D8*20241231", "EB*1**30", "DTP*349*D8*20251231"], None, "2025-12-31"),
        (["EB*6**30", "DTP*349*D8*20241231"], None, "2024-12-31"),
    ],
)
def test_days_behind_a_benefit_count_for_that_benefit(body, begins, ends):
    body = ["HL*1**20*1", "HL*2*1*21*1", "HL*3*2*22*0", "TRN*2*E1", "NM1*IL*1*DOE", *body]
    [answer] = eligibility_271.read(only(envelope(body, kind="271", version="005010X279A1")))
    shown = [day and day.isoformat() for day in (answer.plan_begins, answer.plan_ends)]
    assert shown == [begins, ends]


def test_the_number_of_our_question_is_not_the_payers_own():
    content = (
        raw("271_active")
        .replace(b"TRN*2*E0001A*9SAMPLE001~\n", b"")
        .replace(b"TRN*1*PAYERTRACE*9PAYER0001~", b"TRN*1*PAYERTRACE*9PAYER0001~TRN*2*E0001A*9SAMPLE001~")
    )
    subscriber, _ = eligibility_271.read(only(content))
    assert (subscriber.trace, subscriber.traces) == ("E0001A", ("PAYERTRACE", "E0001A"))


# ---- what a transaction is


def test_a_file_is_told_by_its_content():
    told = {path.stem: kind_of(path.read_bytes()) for path in SAMPLES}
    begins = {"ta1_refused": "TA1", "ta1_with_999": "999", "997_older": "999"}
    assert told == {path.stem: begins.get(path.stem, path.stem.split("_")[0].upper()) for path in SAMPLES}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (envelope([]).replace(b"X221A1", b"X222A1").replace(b"ST*835", b"ST*837"), Kind.CLAIMS),
        (envelope([]).replace(b"X221A1", b"X223A3").replace(b"ST*835", b"ST*837"), Kind.INSTITUTIONAL),
        (envelope([]).replace(b"ST*835", b"ST*270"), Kind.ELIGIBILITY_QUESTION),
        (envelope([]).replace(b"ST*835", b"ST*820"), Kind.OTHER),
        (raw("277ca_payer").replace(b"X214", b""), Kind.CLAIM_STATUS),
        (raw("277ca_payer").replace(b"X214", b"X228"), Kind.OTHER),
    ],
    ids=["837P", "837I", "270", "820", "277 of no guide", "277 of another guide"],
)
def test_other_transactions_are_told_too(content, kind):
    assert sniff.of_transaction(only(content)) == kind


def test_an_acknowledgement_that_names_no_guide_is_known_by_its_bht():
    found = only(raw("277ca_payer").replace(b"X214", b""))
    assert status_277.read(found).kind == "277CA"


# ---- hostile files


@pytest.mark.parametrize("reader", [ta1.read, ack_999.read, status_277.read, remittance_835.read, eligibility_271.read])
def test_a_reader_refuses_a_transaction_of_another_kind(reader):
    with pytest.raises(NotX12):
        reader(only(envelope([], kind="835").replace(b"ST*835", b"ST*820")))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_damaged_file_is_read_or_refused_but_never_breaks_the_reader(path):
    rng, whole = random.Random(7), path.read_bytes()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(106, len(damaged))
            damaged[at : at + rng.randrange(3)] = rng.choice([b"*", b"~", b":", b"", b"~~", b"9", b"\xff", b"-", b"^"])
        with suppress(NotX12):
            written(bytes(damaged))


def test_the_reading_of_a_transaction_leaves_its_envelope_checked():
    content = raw("277ca_payer").replace(b"IEA*1*000000911", b"IEA*1*000000912")
    found = [transaction for transaction in segments.read(content) if status_277.read(transaction)]
    assert [flaw.code for flaw in found[0].interchange.flaws] == ["interchange_number"]
