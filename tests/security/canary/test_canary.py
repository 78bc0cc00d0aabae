"""A patient whose every fact is a mark goes through every pipeline; then every place that listens is searched."""

from __future__ import annotations

import gzip
import json
import pickle
import re
import zlib
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable, Iterator
from functools import partial
from random import randbytes
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from backend.apps.patients.models import Patient
from integrations.doubles.laboratory import LabDouble, ack
from tests.security.canary import leaks, pipelines
from tests.security.canary.person import BORN, NUMBERS, OF_NO_PERSON, PERSON, WORDS, facts_in
from tests.security.canary.places import Places, Visitor, messages
from tests.security.canary.stack import POSTGRES_LOG, CanaryStack, postgres_settings
from tests.support.planted import told
from tests.support.stage import until
from tests.support.stated_minimum import STATED, table
from workers.cli.state import ROOT

CHANGES = re.compile(
    r"https?://\S+|\b(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|[A-Z][a-z]{2,8} \d+(?:, \d+)?)\b|\d+"
)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def refusing_lab() -> Iterator[LabDouble]:
    """A laboratory that repeats what it was sent in its refusal, where only fixed words belong."""
    said = "ERR||PID^1^5^Zqxjklast|101^Zqxjklast Zqxjkfirst^HL70357|E||||Zqxjklast 19310723"
    with LabDouble(ack("AR", err=said)) as double:
        yield double


def test_a_patient_who_went_through_every_pipeline_stands_nowhere_but_where_it_is_stated(
    running: CanaryStack, refusing_lab: LabDouble
) -> None:
    story = pipelines.Story(running, refusing_lab, Visitor(running))
    for step in (
        pipelines.asked_to_come, pipelines.reminded, pipelines.answered, pipelines.examined, pipelines.treated,
        pipelines.billed,
    ):  # fmt: skip
        step(story)
    fetched = pipelines.exported(story)
    for step in (pipelines.looked_around, pipelines.broken, pipelines.tended):
        step(story)
    places = Places(running, story.visitor).read()
    assert {name: facts for name, text in places.items() if (facts := facts_in(text))} == {}
    assert [name for name, text in places.items() if not text and name not in EMPTY] == []
    assert postgres_settings() == POSTGRES_LOG
    assert all(said in places["log of PostgreSQL"] for said in ('constraint "trap"', "a bug")), "of a row, not the row"
    assert len(json.loads(running.flower_says("/api/tasks?limit=10000"))) > 50
    left = messages(running)
    sent = [one for kind in left.values() for one in kind]
    found = {
        "message": facts_in(*(one["text"] for one in sent), story.opened),
        "staff": facts_in(*(one["text"] for one in sent if one["to"] not in {PERSON["email"], PERSON["phone"]})),
        "envelope": facts_in(*(one["to"] for one in sent)),
        "laboratory": facts_in(*refusing_lab.taken),
        "payer": facts_in(*(path.read_text() for path in running.house.inbound().iterdir())),
        "export": facts_in(fetched),
        "person": facts_in(*story.visitor.shown),
    }
    stated = {name: set(way.fields) for name, way in STATED.items()}
    wrong = {name: fields for name in stated | found if (fields := found[name] ^ stated[name])}
    assert wrong == {}, "what leaves is what tests/support/stated_minimum.py states, neither more nor less"
    for kind, mark in (("email", PERSON["email"]), ("sms", PERSON["phone"])):
        hers = [words(one) for one in left[kind] if one["to"] == mark]
        others = [words(one) for one in left[kind] if one["to"] != mark]
        assert hers, kind
        assert set(hers) <= set(others), "but for time and link it says the same to whoever it is sent"


EMPTY = {"log of the admin", "temporary files"}  # nothing is written there, or what was is gone


def words(message: dict[str, Any]) -> str:
    """Return what a message says without its days, times, numbers and links."""
    return " ".join(CHANGES.sub("*", message["plain"]).split())


def test_the_canary_has_a_mark_in_each_field_of_a_patient() -> None:
    assert {one.name for one in told(Patient)} - PERSON.keys() <= OF_NO_PERSON
    texts = {name for name, value in PERSON.items() if name not in {"gender", "state"}}
    assert texts <= WORDS.keys() | NUMBERS.keys()


def test_the_document_states_what_the_search_goes_by() -> None:
    assert table() in (ROOT / "docs" / "phi.md").read_text()


WRITTEN: dict[str, tuple[str, ...]] = {
    "date_of_birth": (
        "1931-07-23", "193107231200", "7/23/1931", "23.07.1931", "1931/07/23", "07%2F23%2F1931",
        "1931\\u002D07\\u002D23", "July 23, 1931", "23rd jul 1931", repr(BORN), repr(pickle.dumps(BORN)),
        pickle.dumps(BORN).decode("latin-1"),
    ),
    "phone": ("+14155557391", "(415) 555-7391", "415.555.7391", "%28415%29+555-7391", "+1 415 555\u00a07391"),
    "postal_code": ("73917-3917", "739173917", "Zz, TX 73917"),
    "diagnosis": ("HI*ABK:Z6379", "z63.79"),
}  # fmt: skip
PACKED_BY: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 of an address": lambda text: urlsafe_b64encode(f"?{text}>".encode()).decode(),
    "base64 of a mail": lambda text: encodebytes(f"{'x' * 52}{text}{'x' * 52}".encode()).decode(),
    "hexadecimal digits, as of bytes in a row": lambda text: f"\\x{text.encode().hex()}",
    "an address in an address": lambda text: "".join(f"%25{ord(one):x}" for one in text),
    "JSON": lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
    "HTML": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "UTF-16": lambda text: text.encode("utf-16").decode("latin-1"),
    "UTF-16, as Python shows it": lambda text: repr(text.encode("utf-16")),
    "gzip": lambda text: gzip.compress(text.encode()).decode("latin-1"),
    "gzip in base64": lambda text: b64encode(gzip.compress(text.encode())).decode(),
    "a session of Django": lambda text: f".{urlsafe_b64encode(zlib.compress(text.encode())).decode()}",
    "lines of a calendar": "\r\n ".join,
    "lines of a mail": "=\r\n".join,
    "lines of a log": "\n  | ".join,
}


def test_a_fact_is_found_however_it_is_written() -> None:
    for fact, texts in WRITTEN.items():
        assert [text for text in texts if facts_in(f"of {text}.") != {fact}] == []
    assert (
        facts_in("1931-07-24 07/24/1931 19310724 415-555-7393 73917 Z63.8", uuid4(), b64encode(randbytes(3000)))
        == set()
    )


def test_a_mark_of_no_fact_is_found_beside_those_of_facts() -> None:
    assert facts_in("Zqxjkfirst Zqxjkother") == {"first_name", "something"}


@pytest.mark.parametrize("pack", PACKED_BY.values(), ids=PACKED_BY)
def test_a_fact_is_found_however_it_is_packed(pack: Callable[[str], str]) -> None:
    texts = [f"the patient {text} is late" for text in ("Zqxjklast", "1931-07-23", "+14155557391")]
    assert [text for text in texts if not facts_in(f"told: {pack(text)} ")] == []


def stands(mark: str, read: Callable[[], str]) -> bool:
    return mark.lower() in read().lower()


def test_a_leak_is_found_in_each_place_it_is_planted_in(running: CanaryStack) -> None:
    visitor = Visitor(running)
    places, plant = Places(running, visitor), leaks.planters(running)
    over_http = ("refusals and errors", "headers", "addresses")
    assert plant.keys() | set(over_http) == places.readers().keys()
    marks = {name: f"Zqxjklast{number:02}" for number, name in enumerate(places.readers(), start=10)}
    for name, put in plant.items():
        put(marks[name])
    with leaks.Leaky(*(marks[name] for name in over_http)) as double:
        visitor.stack = SimpleNamespace(url=double.url)  # type: ignore[assignment]  # all that is asked of it here
        visitor.ask("get", "/")
    for name, read in places.readers().items():
        until(partial(stands, marks[name], read), within_s=20)
        assert "last_name" in facts_in(read()), name
    for kind, put_into, found in (
        ("email", leaks.mailed, "first_name"),
        ("email", leaks.attached, "something"),
        ("sms", leaks.texted, "first_name"),
    ):
        put_into(running, "Zqxjkfirst")
        assert facts_in(*(one["text"] for one in messages(running)[kind])) == {found}
