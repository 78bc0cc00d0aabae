"""Holds that any message can be read, that no byte is lost, and that only a missing MSH is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_segment
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7 import batch, head, oru, reader
from integrations.hl7.explain import explain
from integrations.hl7.reader import Finding, Message, NotHl7, Separators
from integrations.hl7.validate import validate
from tests.integrations.hl7 import samples

MSH = b"MSH|^~\\&|LIS|LAB|CR|CLINIC|20260301||ORU^R01|1|P|2.5.1"
SIGNS = Separators()
OTHER_SIGNS = Separators("$", "%", "*", "!", "@", "#")
PIECES = st.sampled_from(
    [b"MSH|", b"\r", b"\n", b"|", b"^", b"~", b"\\", b"&", b"OBX|1|NM|", b"\\X0", b"PID|", b"\xc3"]
)
MESSY = st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=40).map(b"".join)


def with_charset(declared: bytes, text: bytes) -> Message:
    return Message(MSH + b"||||||" + declared + b"\rNTE|1||" + text + b"\r")


@pytest.mark.parametrize("path", samples.MESSAGES, ids=lambda path: path.stem)
def test_a_sample_keeps_every_byte(path: Path) -> None:
    message = Message(path.read_bytes())
    assert message.raw == path.read_bytes()
    assert message.encode() == path.read_bytes()


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"PID|1", b"MSH", b"MSHAPE|", b"EHLO example.org", b" ORU MSH|^~\\&|"])
def test_without_msh_it_is_not_hl7(raw: bytes) -> None:
    with pytest.raises(NotHl7):
        Message(raw)
    assert not head.read_head(raw).is_hl7


@given(MESSY)
def test_nothing_but_a_missing_msh_is_ever_refused(raw: bytes) -> None:
    for candidate in (raw, MSH + b"\r" + raw, b"MSH" + raw):
        try:
            message = Message(candidate)
        except NotHl7:
            assert not head.read_head(candidate).is_hl7
            continue
        oru.read(message, default_tz=samples.ZONE)
        assert message.raw == candidate
        assert candidate.endswith(message.encode())


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.sampled_from([SIGNS, OTHER_SIGNS])
)
def test_what_is_escaped_reads_as_it_was(text: str, signs: Separators) -> None:
    escaped = reader.escape(text, signs)
    given_signs = "".join([signs.component, signs.repetition, signs.escape, signs.subcomponent, signs.truncation])
    line = f"MSH{signs.field}{given_signs}{signs.field}\rNTE{signs.field}{escaped}{signs.field}end\r"
    note = Message(line.encode()).segments[1]
    assert note.text(1) == text
    assert note.text(2) == "end"
    assert note.repetitions(1) == ([[text]] if text else [])


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"a\F\b\S\c\R\d\T\e\E\f", "a|b^c~d&e\\f"),
        (r"one\.br\two\.sp2\three\.sp\four", "one\ntwo\n\nthree\nfour"),
        (r"\X414243\ \XC3A9\ ", "ABC é "),
        (r"\E\F\E\ ", r"\F\ "),
        (r"C:\temp\x and 5\6", r"C:\temp\x and 5\6"),
        (r"\H\bold\N\ \.in4\ \Zvendor\ \C2842\ \XZZ\ \X0\ ", r"\H\bold\N\ \.in4\ \Zvendor\ \C2842\ \XZZ\ \X0\ "),
        ("\\.ce\\a\\.sk3\\b\\.fi\\c\\.nf\\d\\.ti-2\\e\\M242A\\", "\na   b\\.fi\\c\\.nf\\d\\.ti-2\\e\\M242A\\"),
        (r"\XFF\ ", r"\XFF\ "),
        (r"a\X00\b", "a\ufffdb"),
        ("a\\", "a\\"),
        (r"\P\ ", r"\P\ "),
    ],
)
def test_known_escapes_are_decoded_and_all_else_stays(sent: str, read: str) -> None:
    assert Message(MSH + b"\rNTE|1||" + sent.encode()).segments[1].text(3) == read


def test_an_escaped_separator_does_not_separate() -> None:
    obx = Message(MSH + rb"|" + b"\r" + rb"OBX|1|CE|a\S\b^c\T\d&e~f\R\g^h\F\i").segments[1]
    assert obx.repetitions(3) == [["a^b", "c&d&e"], ["f~g", "h|i"]]
    assert obx.subcomponents(3, 2) == ["c&d", "e"]
    assert obx.subcomponents(3, 2, 2) == ["h|i"]
    assert (obx.component(3, 2), obx.component(3, 9), obx.component(99)) == ("c&d&e", "", "")


@pytest.mark.parametrize(
    ("declared", "text", "charset", "notes"),
    [
        (b"", "Zoé".encode(), "utf-8", 0),
        (b"", "Zoé".encode("latin-1"), "cp1252", 1),
        (b"UNICODE UTF-8", "Zoé".encode(), "utf-8", 0),
        (b"UNICODE UTF-8", "Zoé".encode("latin-1"), "cp1252", 1),
        (b"8859/1", "Zoé".encode("latin-1"), "iso8859-1", 0),
        (b"8859/15", "5 €".encode("iso8859-15"), "iso8859-15", 0),
        (b"ASCII", b"Zoe", "ascii", 0),
        (b"ASCII", "Zoé".encode(), "utf-8", 1),
        (b"ISO IR87", "検査|".encode("iso2022_jp"), "iso2022_jp", 0),
        (b"UTF-8^ISO-8859-1", "Zoé".encode(), "utf-8", 0),
        (b"8859/12", "Zoé".encode(), "utf-8", 1),
        (b"EBCDIC", "Zoé".encode(), "utf-8", 1),
        (b"UNICODE UTF-8", b"\xff\x81", "latin-1", 1),
    ],
)
def test_the_declared_charset_is_used_if_it_fits(declared: bytes, text: bytes, charset: str, notes: int) -> None:
    message = with_charset(declared, text)
    assert (message.charset, len(message.findings)) == (charset, notes)
    assert message.text.encode(charset).endswith(text + b"\r")
    assert all((finding.segment, finding.field) == ("MSH", 18) for finding in message.findings)


def test_a_charset_that_hides_separators_is_decoded_before_the_split() -> None:
    text = "ア|イ".encode("iso2022_jp")
    note = with_charset(b"ISO IR87", text).segments[1]
    assert (note.text(3), note.text(4)) == ("ア", "イ")


def test_a_line_feed_inside_a_text_is_no_segment_end() -> None:
    message = Message(MSH + b"\nNTE|1||first line\nsecond line\nOBX|1|ST|1^A||x\n\n")
    assert [segment.name for segment in message.segments] == ["MSH", "NTE", "OBX"]
    assert message.segments[1].text(3) == "first line\nsecond line"


def test_a_byte_order_mark_and_blank_lines_before_it_are_passed_over() -> None:
    message = Message(b"\xef\xbb\xbf\r\n" + MSH)
    assert message.head.text(10) == "1"
    assert head.read_head(message.raw).control_id == "1"


def test_msh_counts_like_every_other_segment() -> None:
    assert [Message(MSH).head.raw(number) for number in (1, 2, 3, 12, 13)] == ["|", "^~\\&", "LIS", "2.5.1", ""]


def test_segment_names_in_small_letters_count() -> None:
    assert [segment.name for segment in Message(MSH + b"\robx|1|ST|1^A||x").segments] == ["MSH", "OBX"]


def test_a_line_that_is_no_segment_is_told_and_passed_over() -> None:
    message = Message(MSH + b"\rhello world\rOBX|1|ST|1^A||x")
    assert message.findings == [Finding("???", 1, 0, "lines that are no segments")]
    assert message.segments[-1].name == "OBX"


def test_a_batch_falls_apart_into_its_messages() -> None:
    parts = batch.messages(samples.raw("batch"))
    assert parts == [samples.raw("structured_numbers"), samples.raw("document")]
    assert batch.messages(b"\xef\xbb\xbf" + parts[0]) == [parts[0]]
    assert batch.messages(b"no message") == []


def test_a_second_message_in_the_same_bytes_is_told() -> None:
    message = Message(samples.raw("batch"))
    assert message.head.text(10) == "S-1"
    assert message.findings == [Finding("MSH", 2, 0, "more than one message; only the first is read")]


@pytest.mark.parametrize("flood", [b"\n", b"\rA", b"\\", b"\\X41", b"|", b"\rOBX", b"^~&"])
def test_a_hostile_message_costs_time_and_memory_in_proportion(flood: bytes) -> None:
    message = Message(MSH + flood * 300_000)
    oru.read(message, default_tz=samples.ZONE)
    assert len(message.segments) <= reader.MOST_SEGMENTS
    assert len(message.findings) <= 2


def test_text_with_blank_lines_in_it_stays_one_field() -> None:
    message = Message(MSH + b"\r\nNTE|1||one\n\ntwo\r\n\r\nOBX|1")
    assert [segment.name for segment in message.segments] == ["MSH", "NTE", "OBX"]
    assert message.segments[1].text(3) == "one\n\ntwo"


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(samples.MESSAGES), st.integers(0, 5_000), st.integers(0, 40), st.binary(max_size=6))
def test_a_sample_damaged_anywhere_is_still_read_checked_and_kept(path: Path, at: int, cut: int, put: bytes) -> None:
    raw = path.read_bytes()
    place = at % len(raw)
    damaged = raw[:place] + put + raw[place + cut :]
    try:
        message = Message(damaged)
    except NotHl7:
        assert not head.read_head(damaged).is_hl7
        return
    oru.read(message, default_tz=samples.ZONE)
    validate(message)
    explain(damaged, masked=True)
    assert damaged.endswith(message.encode())


@pytest.mark.parametrize(
    "name", ["chemistry", "several_orders", "microbiology", "structured_numbers", "older_specimen"]
)
def test_hl7apy_splits_a_message_into_the_same_fields(name: str) -> None:
    """A check of structure only: the library changes texts with escapes, so those are left out."""
    message = Message(samples.raw(name))
    lines = [line for _, _, line in message.parts]
    parsed = [parse_segment(line, "2.5.1", validation_level=VALIDATION_LEVEL.TOLERANT) for line in lines[1:]]
    for ours, theirs in zip(message.segments[1:], parsed, strict=True):
        assert ours.name == theirs.name
        told = {int(field.name.rpartition("_")[2]): field.to_er7() for field in theirs.children if field.name}
        for number, text in told.items():
            sent = ours.raw(number)
            if "\\" not in sent and "~" not in sent:
                assert text == sent


def test_the_head_tells_which_answers_and_which_characters() -> None:
    raw = b"MSH|^~\\&|A|B|C|D|20260301||ORU^R01|7|P|2.5.1|||AL|NE||8859/1~ISO IR87\rPID|1"
    found = head.read_head(raw)
    assert (found.accept_ack, found.application_ack, found.charset) == ("AL", "NE", "8859/1~ISO IR87")
    assert (found.raw(1), found.raw(2), found.raw(16), found.raw(30)) == (b"|", b"^~\\&", b"NE", b"")
    assert "7" not in repr(found)


@pytest.mark.parametrize("raw", [b"MSH|", b"MSH||||||", b"MSH|^", b"MSH|^~\\&|\xff|\xc3\xa9|", b"\r\nMSH|^~\\&|A"])
def test_a_short_head_is_read_as_far_as_it_goes(raw: bytes) -> None:
    found = head.read_head(raw)
    assert found.is_hl7
    assert found.control_id == ""


def test_a_field_of_too_many_parts_is_told_and_loses_nothing() -> None:
    message = Message(MSH + b"\rNTE|1||" + b"a^" * 20_000)
    assert message.findings == [Finding("NTE", 1, 0, "more than 10000 parts; what follows is kept together")]
    assert "^".join(message.segments[1].components(3)) == "a^" * 20_000
