"""Holds each of Twilio's codes and words to what it means here: it decides between a retry, a mark and a person."""

from __future__ import annotations

import pytest

from integrations.errors import (
    BadAddress,
    Blocked,
    Expired,
    IntegrationError,
    Misconfigured,
    OptedOut,
    Permanent,
    Transient,
)
from integrations.sms import twilio_codes

SORTS = [
    (BadAddress, "bad_address", (21211, 21214, 21614, 30005, 30006)),
    (OptedOut, "opted_out", (21610,)),
    (Blocked, "blocked", (21408, 21608, 21612, 30004, 30007, 30034, 30032, 30022, 30023)),
    (Transient, "transient", (30001, 30003, 30008, 21611, 20429)),
    (Misconfigured, "misconfigured", (20003, 21212, 21603, 21606, 21701, 21703, 21704, 21705, 30002)),
    (Expired, "expired", (30036,)),
    (Permanent, "permanent", (21602, 21617, 99999)),
]


@pytest.mark.parametrize(("sort", "name", "code"), [(sort, name, code) for sort, name, some in SORTS for code in some])
def test_each_code_has_its_sort_and_the_name_of_it(sort: type[IntegrationError], name: str, code: int) -> None:
    error = twilio_codes.error_for(code)
    assert (type(error), error.sort, error.code) == (sort, name, f"twilio:{code}")
    assert twilio_codes.sort_name(code) == name


def test_no_code_has_no_sort() -> None:
    assert twilio_codes.sort_name(None) == ""


def test_a_wait_travels_with_what_may_be_tried_again() -> None:
    waits = [twilio_codes.error_for(code, retry_after_s=7.0) for code in (20429, 20003, 21610)]
    assert [getattr(error, "retry_after_s", None) for error in waits] == [7.0, 7.0, None]
    later = [twilio_codes.error_for(code) for code in (20429, 20003)]
    assert [getattr(error, "retry_after_s", None) for error in later] == [None, 300.0]


@pytest.mark.parametrize(
    ("word", "code", "ours", "flag"),
    [
        ("queued", None, "sent", ""),
        ("accepted", None, "sent", ""),
        ("scheduled", None, "sent", ""),
        ("sending", None, "sent", ""),
        ("sent", None, "sent", ""),
        ("partially_delivered", None, "sent", "partial"),
        ("delivered", None, "delivered", ""),
        ("read", None, "delivered", "read"),
        ("undelivered", 30005, "bounced", ""),
        ("undelivered", 30007, "bounced", ""),
        ("undelivered", 30003, "failed", ""),
        ("undelivered", 30036, "failed", ""),
        ("undelivered", None, "failed", ""),
        ("failed", 30008, "failed", ""),
        ("canceled", None, "failed", "cancelled_by_us"),
        ("received", None, None, "inbound"),
        ("receiving", None, None, "inbound"),
        ("teleported", None, None, "unknown"),
    ],
)
def test_each_word_is_one_of_ours(word: str, code: int | None, ours: str | None, flag: str) -> None:
    assert (twilio_codes.status_of(word, code), twilio_codes.flag_of(word)) == (ours, flag)
