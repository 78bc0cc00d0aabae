"""Holds which feed a sender's messages belong to, and who may send them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from workers.feeds import Book, Feed


def feed(name: str, **over: object) -> Feed:
    return Feed(name.encode().ljust(16), **over)  # type: ignore[arg-type]  # fields by name


BOTH = feed("both", application="LIS", facility="LAB")
APPLICATION = feed("application", application="LIS")
FACILITY = feed("facility", facility="LAB")
WHOLE = feed("whole", application="LIS^1.2.3^ISO", facility="LAB")
ANY = feed("any")


@pytest.mark.parametrize(
    ("feeds", "sender", "found"),
    [
        ([ANY, FACILITY, APPLICATION, BOTH], ("LIS", "LAB"), BOTH),
        ([ANY, FACILITY, APPLICATION], ("LIS", "LAB"), APPLICATION),
        ([ANY, FACILITY], ("LIS", "LAB"), FACILITY),
        ([ANY, FACILITY], ("LIS", "OTHER"), ANY),
        ([BOTH, WHOLE], ("LIS^1.2.3^ISO", "LAB"), WHOLE),
        ([BOTH, WHOLE], ("LIS^9^ISO", "LAB^4^ISO"), BOTH),
        ([BOTH, APPLICATION, FACILITY], ("LISA", "LABEL"), None),
        ([BOTH], ("LIS", ""), None),
        ([], ("LIS", "LAB"), None),
        ([ANY], ("", ""), ANY),
    ],
)
def test_the_feed_that_fits_most_closely_counts(feeds: list[Feed], sender: tuple[str, str], found: Feed | None) -> None:
    assert Book(feeds).of(*sender) is found
    assert Book(feeds[::-1]).of(*sender) is found


def test_the_senders_own_component_sign_is_used() -> None:
    assert Book([BOTH]).of("LIS%1", "LAB", "%") is BOTH
    assert Book([BOTH]).of("LIS%1", "LAB", "^") is None


def test_invented_names_do_not_fill_the_memory() -> None:
    book = Book([BOTH])
    for number in range(25_000):
        book.of(f"X{number}", "Y")
    assert len(book._known) <= 10_000
    assert book.of("LIS", "LAB") is BOTH


def test_no_name_that_is_too_long_for_a_feed_is_remembered() -> None:
    book = Book([BOTH])
    for name in ("X" * 251, "X" * 1_000_000):
        assert book.of(name, "LAB") is None
        assert book.of("LIS", name) is None
    assert book.of("LIS^" + "1" * 300, "LAB") is BOTH
    assert book._known == {}


@pytest.mark.parametrize(
    ("peer", "is_let_in"),
    [
        ("10.1.2.3", True), ("10.2.0.1", False), ("::ffff:10.1.2.3", True), ("2001:db8::7", True),
        ("2001:db9::7", False), ("fe80::1%eth0", False), ("", False), ("file", False),
    ],
)  # fmt: skip
def test_an_address_outside_the_allowed_networks_is_not_let_in(peer: str, is_let_in: bool) -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))
    assert feed("x", networks=allowed).lets_in(peer, "") is is_let_in


def test_only_the_allowed_certificates_are_let_in_and_none_is_asked_for_where_none_is_named() -> None:
    strict = feed("x", certificates=frozenset({"ab" * 32}))
    assert strict.lets_in("10.0.0.1", "ab" * 32)
    assert not strict.lets_in("10.0.0.1", "cd" * 32)
    assert not strict.lets_in("10.0.0.1", "")
    assert ANY.lets_in("10.0.0.1", "")
