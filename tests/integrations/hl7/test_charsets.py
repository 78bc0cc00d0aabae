"""Holds that a message is read in the sets of characters it names, and written back to the very same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7.head import read_head
from integrations.hl7.reader import Message, NotHl7
from tests.integrations.hl7 import samples

MSH = b"MSH|^~\\&|LIS|LAB|CR|CLINIC|20260301||ORU^R01|1|P|2.5.1||||||"


def note(declared: bytes, text: bytes) -> tuple[str, Message]:
    message = Message(MSH + declared + b"\rNTE|1||" + text + b"|end\r")
    return message.segments[1].text(3), message


@pytest.mark.parametrize(
    ("declared", "sent", "read"),
    [
        (b"UNICODE UTF-8~ISO IR87", "é ".encode() + "検査".encode("iso2022_jp"), "é 検査"),
        (b"~ISO IR87", "検|査".encode("iso2022_jp").replace(b"|", b"x"), "検x査"),
        (b"~ISO IR87", b"\x1b$B8!:::\x1b(J", None),
        (b"8859/1~ISO IR87", "é".encode("latin-1") + b"\x1b$@8!\x1b(J", "é検"),
        (b"ISO IR14~ISO IR87", b"\xd4\xcf\xc0\xde \x1b$B;3ED\x1b(J", "ﾔﾏﾀﾞ 山田"),
        (b"ISO IR14", b"\x0eTO@^\x0f!", "ﾔﾏﾀﾞ!"),
        (b"~ISO IR159", "検".encode("iso2022_jp") + "丂".encode("iso2022_jp_1"), "検丂"),
        (b"KS X 1001", "김".encode("euc_kr"), "김"),
        (b"KS X 1001", b"\x1b$)C\x0e1h\x0f", "\x1b$)C김"),
        (b"GB 18030-2000", "检验€".encode("gb18030"), "检验€"),
        (b"BIG-5", "檢驗".encode("big5"), "檢驗"),
        (b"8859/5", "анализ".encode("iso8859-5"), "анализ"),
        (b"8859/01", "\u00e9".encode("latin-1"), "\u00e9"),
        (b"8859/9", "ğı".encode("iso8859-9"), "ğı"),
    ],
)
def test_declared_sets_and_their_escape_sequences_are_read_and_kept(
    declared: bytes, sent: bytes, read: str | None
) -> None:
    text, message = note(declared, sent)
    if read is not None:
        assert text == read
        assert message.findings == []
    assert message.segments[1].text(4) == "end"
    assert message.encode() == message.raw


@settings(max_examples=60)
@given(
    st.sampled_from([b"UNICODE UTF-8~ISO IR87", b"~ISO IR87", b"KS X 1001", b"ISO IR14~ISO IR87", b"8859/1~ISO IR159"]),
    st.lists(
        st.sampled_from(
            [b"\x1b$B", b"\x1b(B", b"\x1b(J", b"\x1b$@", b"\x1b(I", b"\x1b$(D", b"\x0e", b"\x0f", b"8!", b"a|\xe9"]
        ),
        max_size=12,
    ).map(b"".join),
)
def test_no_sequence_of_escapes_loses_a_byte(declared: bytes, sent: bytes) -> None:
    _, message = note(declared, sent)
    assert message.encode() == message.raw


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_two_and_four_bytes_a_character_are_known_with_a_mark_and_without(charset: str) -> None:
    raw = samples.raw("chemistry").decode().encode(charset)
    message = Message(raw)
    assert message.text == samples.raw("chemistry").decode()
    assert raw.endswith(message.encode())
    assert (read_head(raw).control_id, read_head(raw).charset) == ("NL-000101", "UNICODE UTF-8")


def test_damaged_wide_characters_are_refused_with_a_reason() -> None:
    with pytest.raises(NotHl7, match="not readable as utf-16-le"):
        Message("MSH|^~\\&|".encode("utf-16-le") + b"\x00\xd8x")


def test_hexadecimal_data_are_text_in_the_set_of_the_message() -> None:
    text, _ = note(b"8859/1", b"Caf\\XE9\\ \\Xe9\\ \\XE\\ \\X\\")
    assert text == "Café é \\XE\\ \\X\\"
