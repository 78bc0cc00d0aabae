"""Holds the reader of segments against other separators, broken envelopes and large files, and against pyx12."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from pyx12.x12file import X12Reader

from integrations.x12 import segments
from integrations.x12.segments import Limits, NotX12
from tests.integrations.x12.answer_samples import SAMPLES, raw
from tests.support.remittances import envelope, random_835

BODY = ["BPR*H*0*C*NON************20261130", "TRN*1*EFT1*1512345678", "LX*1"]


def walked(content: bytes, limits: Limits = Limits()) -> list[tuple[segments.Transaction, list[list[str]]]]:  # noqa: B008 - frozen
    return [(transaction, list(transaction.segments)) for transaction in segments.read(content, limits)]


def codes(content: bytes) -> list[str]:
    """Return the codes of all flaws, of transactions first."""
    found = walked(content)
    inner = [flaw.code for transaction, _ in found for flaw in transaction.flaws]
    return inner + [flaw.code for flaw in found[-1][0].interchange.flaws]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_pyx12_finds_the_same_segments(path):
    theirs = [
        [segment.get_seg_id(), *(str(element.format()) for element in segment.elements)]
        for segment in X12Reader(io.StringIO(path.read_bytes().decode()))
        if segment.get_seg_id() not in {"ISA", "GS", "ST", "SE", "GE", "IEA"}
    ]
    ours = [segment for _, inner in walked(path.read_bytes()) for segment in inner]
    assert [_bare(segment) for segment in ours] == [_bare(segment) for segment in theirs]


def _bare(segment: list[str]) -> list[str]:
    """Return a segment without empty elements at its end, which pyx12 drops."""
    last = max(place for place, text in enumerate(segment) if text)
    return segment[: last + 1]


def test_the_envelope_is_told_with_each_transaction():
    [(transaction, inner)] = walked(envelope(BODY, 7))
    assert (transaction.kind, transaction.control_number, transaction.version) == ("835", "0001", "005010X221A1")
    assert transaction.interchange.control_number == "000000007"
    assert (transaction.interchange.sender, transaction.interchange.usage) == ("SAMPLEPAYER", "T")
    assert transaction.interchange.sent_on.isoformat() == "2026-11-26"
    assert (transaction.group.control_number, transaction.group.functional_id) == ("7", "HP")
    assert [segment[0] for segment in inner] == ["BPR", "TRN", "LX"]
    assert codes(envelope(BODY, 7)) == []


@pytest.mark.parametrize("end", ["~", "~\n", "~\r\n", "\n", "\r\n", "\r", "'", "\x1c", "~ \n  "])
@pytest.mark.parametrize(("element", "component"), [("*", ":"), ("|", ">"), ("\x1d", "\x1f"), ("*", "|")])
def test_any_separators_and_line_ends_say_the_same(end, element, component):
    body = [*BODY, "CLP*A*1*1*1", "SVC*HC:99213*1*1"]
    text = envelope(body).decode().replace(":", component).replace("*", element).replace("~", end)
    [(transaction, inner)] = walked(text.encode())
    assert inner == [segment.replace(":", component).split("*") for segment in body]
    assert not transaction.flaws
    assert not transaction.interchange.flaws


def test_a_byte_order_mark_blank_lines_and_a_last_segment_without_its_end_are_no_matter():
    content = b"\xef\xbb\xbf\r\n\r\n" + envelope(BODY).replace(b"~", b"~\r\n\r\n").rstrip(b"~\r\n")
    assert codes(content) == []
    assert len(walked(content)[0][1]) == 3


def test_lines_broken_at_eighty_characters_are_put_together_again():
    whole = envelope(BODY)
    content = whole[:106] + b"\r\n".join(whole[106:][at : at + 20] for at in range(0, len(whole), 20))
    assert [segment for _, segment in walked(content)] == [segment for _, segment in walked(whole)]


def test_several_interchanges_in_a_file_keep_their_own_separators():
    other = envelope(BODY, 2).decode().replace("*", "|").replace("~", "\n").encode()
    found = walked(envelope(BODY, 1) + b"\n\n" + other + envelope(BODY, 3))
    assert [transaction.interchange.control_number for transaction, _ in found] == [
        "000000001",
        "000000002",
        "000000003",
    ]
    assert [transaction.interchange.position for transaction, _ in found] == [1, 2, 3]
    assert [transaction.position for transaction, _ in found] == [1, 2, 3]
    assert len({tuple(map(tuple, inner)) for _, inner in found}) == 1


def test_a_transaction_left_half_read_does_not_disturb_the_next():
    found = []
    for transaction in segments.read(random_835(3, 1) + random_835(3, 2, number=2)):
        next(transaction.segments)
        found.append(transaction)
    assert [transaction.interchange.control_number for transaction in found] == ["000000001", "000000002"]
    assert [transaction.flaws for transaction in found] == [[], []]


def test_a_ta1_is_read_with_and_without_a_group_behind_it():
    [(alone, inner)] = walked(raw("ta1_refused"))
    assert (alone.kind, alone.group, inner[0][:2]) == ("TA1", None, ["TA1", "000000017"])
    first, second = [transaction for transaction, _ in walked(raw("ta1_with_999"))]
    assert (first.kind, second.kind, second.group.functional_id) == ("TA1", "999", "FA")


def test_a_ta1_behind_the_group_is_read_too():
    found = walked(raw("ta1_with_999").replace(b"IEA*", b"TA1*000000018*261126*0500*E*024~\nIEA*"))
    assert [(transaction.kind, inner[0][1]) for transaction, inner in found] == [
        ("TA1", "000000017"),
        ("999", "HC"),
        ("TA1", "000000018"),
    ]


def test_a_277ca_before_the_999_of_the_same_file_is_read_in_the_files_order():
    found = walked(raw("277ca_payer") + raw("999_partial"))
    assert [(transaction.kind, transaction.position) for transaction, _ in found] == [("277", 1), ("999", 2)]


def test_the_same_flaw_many_times_is_told_once():
    assert codes(envelope(BODY, 9).replace(b"GE*1*9~", b"NTE*ADD~" * 5000 + b"GE*1*9~")) == ["outside"]


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (b"SE*5*", b"SE*6*", "set_count"),
        (b"SE*5*0001", b"SE*5*0002", "set_number"),
        (b"GE*1*", b"GE*2*", "group_count"),
        (b"GE*1*9", b"GE*1*8", "group_number"),
        (b"IEA*1*", b"IEA*x*", "interchange_count"),
        (b"IEA*1*000000009", b"IEA*1*000000008", "interchange_number"),
        (b"IEA*1*000000009~", b"", "no_interchange_trailer"),
        (b"GE*1*9~", b"", "no_group_trailer"),
        (b"GE*1*9~IEA*1*000000009~", b"", "no_interchange_trailer"),
        (b"GE*1*9~", b"NTE*ADD~GE*1*9~", "outside"),
        (b"GS*HP*SAMPLEPAYER*SAMPLECLINIC*20261126*0515*9*X*005010X221A1~", b"", "outside"),
        (b"IEA*1*000000009~", b"IEA*1*000000009~NOT X12", "rubbish"),
    ],
)
def test_an_envelope_that_disagrees_is_read_and_flagged(before, after, code):
    content = envelope(BODY, 9)
    assert before in content
    assert code in codes(content.replace(before, after))
    assert len(walked(content.replace(before, after))[0][1]) == 3


@pytest.mark.parametrize("usages", ["TP", "PT"])
@pytest.mark.parametrize("between", [b"", b"\r\n"])
@pytest.mark.parametrize("marks", [b"*:~", b"|>\n", b"~*|"])
def test_an_interchange_without_a_trailer_ends_where_the_next_one_begins(usages, between, marks):
    first, second = (
        envelope(BODY, number).replace(b"*T*:", f"*{usage}*:".encode()) for number, usage in enumerate(usages, 1)
    )
    other = second.translate(bytes.maketrans(b"*:~", marks))
    for cut in (b"IEA*1*000000001~", b"GE*1*1~IEA*1*000000001~"):
        content = first.replace(cut, between) + other
        assert len(content) < len(first + between + other)
        found = walked(content)
        assert [(each.interchange.usage, each.interchange.control_number) for each, _ in found] == [
            (usages[0], "000000001"),
            (usages[1], "000000002"),
        ]
        assert [[flaw.code for flaw in each.interchange.flaws] for each, _ in found] == [["no_interchange_trailer"], []]
        assert found[0][1] == found[1][1] == [segment.split("*") for segment in BODY]


def test_the_next_interchange_is_found_wherever_a_block_of_the_file_ends():
    second = envelope(BODY, 2).translate(bytes.maketrans(b"*:~", b"~*|"))
    for padding in range(0, 240, 3):
        body = [*BODY, *["N3*" + "A" * 93] * 670, "N3*" + "B" * padding]
        found = walked(envelope(body, 1).replace(b"IEA*1*000000001~", b"") + second)
        assert [each.interchange.control_number for each, _ in found] == ["000000001", "000000002"]
        assert found[0][1][-1] == ["N3", "B" * padding] if padding else ["N3", ""]


def test_a_set_without_a_trailer_before_the_next_interchange_is_refused():
    with pytest.raises(NotX12, match="no trailer"):
        walked(envelope(BODY, 1).split(b"SE*")[0] + envelope(BODY, 2))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("width", [40, 72, 80])
def test_an_isa_wrapped_in_lines_is_put_together_again(end, width):
    whole = envelope(BODY)
    content = end.join(whole[at : at + width] for at in range(0, len(whole), width))
    assert [segment for _, segment in walked(content)] == [segment for _, segment in walked(whole)]
    assert codes(content) == []


def test_rubbish_between_interchanges_is_passed_over_and_flagged():
    found = walked(envelope(BODY, 1) + b"\x00\x00-- end of file 1 --\n" + envelope(BODY, 2))
    assert [[flaw.code for flaw in transaction.interchange.flaws] for transaction, _ in found] == [["rubbish"], []]


def test_padding_behind_the_last_interchange_is_no_matter():
    assert codes(envelope(BODY) + b"\x00" * 900 + b"\x1a\r\n   ") == []


@pytest.mark.parametrize(
    "content",
    [b"", b"   ", b"hello", b"PK\x03\x04", envelope(BODY)[1:], envelope(BODY)[:60], envelope(BODY).replace(b" ", b"")],
    ids=["nothing", "blank", "text", "zip", "cut front", "cut back", "short ISA"],
)
def test_what_is_not_x12_is_refused_without_its_content(content):
    with pytest.raises(NotX12) as refusal:
        walked(content)
    assert "SAMPLE" not in str(refusal.value)


@pytest.mark.parametrize("mark", [b"A", b"7", b" ", b"*"])
def test_an_isa_whose_segment_end_could_be_text_is_refused(mark):
    whole = envelope(BODY)
    with pytest.raises(NotX12):
        walked(whole[:105] + mark + whole[106:])


def test_an_isa_of_older_kind_names_no_repetition_separator():
    older = envelope([*BODY, "REF*EV*SUPU"]).replace(b"*^*00501*", b"*U*00401*")
    [(transaction, inner)] = walked(older)
    assert (transaction.interchange.marks.repetition, inner[-1]) == ("", ["REF", "EV", "SUPU"])


@pytest.mark.parametrize("lost", [1, 30, 60, 85])
def test_a_file_cut_off_inside_a_transaction_is_refused(lost):
    whole = random_835(2)
    start = whole.index(b"CLP*")
    with pytest.raises(NotX12, match="no trailer"):
        walked(whole[: start + lost])


def test_a_set_that_begins_inside_another_is_refused():
    with pytest.raises(NotX12, match="no trailer"):
        walked(envelope(BODY).replace(b"SE*5*0001~", b""))


def test_limits_refuse_before_memory_is_used():
    whole = envelope([*BODY, "NTE*" + "A" * 5000])
    with pytest.raises(NotX12, match="segment"):
        walked(whole, Limits(segment=4000))
    with pytest.raises(NotX12, match="elements"):
        walked(envelope([*BODY, "NTE" + "*A" * 200]))
    with pytest.raises(NotX12, match="bytes"):
        walked(whole, Limits(file=3000))
    with pytest.raises(NotX12, match="segment"):
        walked(whole[:106] + b"A" * 5_000_000)


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_names_beyond_ascii_are_read_in_either_charset(charset):
    content = envelope([*BODY, "N1*PR*SAMPLE MUÑOZ"]).decode().encode(charset)
    assert walked(content)[0][1][-1] == ["N1", "PR", "SAMPLE MUÑOZ"]


def test_control_characters_in_data_are_dropped():
    assert walked(envelope([*BODY, "N1*PR*SAM\x00PLE\x07"]))[0][1][-1] == ["N1", "PR", "SAMPLE"]


def test_a_segment_across_the_edge_of_a_block_is_one_segment():
    for padding in range(40):
        body = [*BODY, *["N3*" + "A" * 93] * 670, "N3*" + "B" * padding, *["N4*C"] * 30]
        assert walked(envelope(body))[0][1] == [segment.split("*") for segment in body]


def test_a_file_is_read_in_blocks_and_its_memory_stays_flat():
    whole = random_835(4000)

    class Slowly(io.RawIOBase):
        def __init__(self) -> None:
            self.at = 0

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            block = whole[self.at : self.at + min(size, 5000)]
            self.at += len(block)
            return block

    tracemalloc.start()
    counted = sum(1 for transaction in segments.read(Slowly()) for _ in transaction.segments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counted == whole.count(b"~") - 6
    assert peak < 1_000_000
