"""Proves that the demo plays on a demo clinic only, writes to nobody, and tells in a sentence why it cannot go on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from integrations.doubles.server import Answer, HttpDouble, Request
from integrations.sms import twilio_webhooks
from workers.cli import demo, demo_day, demo_ground, demo_reminders, playing, state
from workers.cli.backend_service import BackendService
from workers.cli.demo_bulk import Bulk, Size
from workers.cli.demo_partners import Partners
from workers.cli.desk import Desk
from workers.cli.errors import Refused
from workers.cli.state import ROOT, Lock, Ports, Running

REAL = {"TWILIO_ACCOUNT_SID": "AC1", "SENDGRID_API_KEY_FILE": "/run/secrets/sendgrid"}
HERE = {"TWILIO_BASE_URL": "http://127.0.0.1:9", "SENDGRID_BASE_URL": "http://localhost:9"}


class Clinic(HttpDouble):
    """Answers whatever is asked of it with one answer."""

    usual = Answer(200, {"access": "token"})

    def take(self, request: Request) -> Answer:
        return self.usual


@pytest.fixture
def clinic() -> Iterator[Clinic]:
    with Clinic() as clinic:
        yield clinic


def at(clinic: HttpDouble | None, **env: str) -> Running:
    port = int(clinic.url.rpartition(":")[2]) if clinic else state.free_port()
    return Running(Ports(web=port), env, {}, ready=True)


def test_a_stack_in_production_is_not_even_spoken_to(clinic: Clinic) -> None:
    with pytest.raises(Refused, match="in production"):
        demo.run(at(clinic, CARERELAY_ENV="production"), ["fhir"])
    assert clinic.requests == []


def test_a_clinic_that_is_not_the_demo_clinic_is_refused_before_a_scene_begins(clinic: Clinic) -> None:
    clinic.usual = Answer(401, {"detail": "No."})
    with pytest.raises(Refused, match="is this the demo clinic"):
        demo.run(at(clinic), ["fhir"])
    assert [one.path for one in clinic.requests] == ["/api/v1/auth/token/"]


@pytest.mark.parametrize(
    ("env", "by"),
    [
        ({"TWILIO_ACCOUNT_SID": "AC1"}, "twilio"),
        ({"CARERELAY_SMS": "twilio", "TWILIO_BASE_URL": "https://api.example.org"}, "twilio"),
        ({"SENDGRID_API_KEY": "SG"}, "sendgrid"),
        ({**REAL, "TWILIO_BASE_URL": "http://127.0.0.1:9"}, "sendgrid"),
        ({"SMTP_HOST": "127.0.0.1"}, "smtp"),
    ],
)
def test_a_scene_that_sends_is_refused_where_a_provider_would_carry_it_off(env: dict[str, str], by: str) -> None:
    with pytest.raises(Refused, match=f"sends by {by}, so reminders would write to real people"):
        demo_ground.require_nobody_written_to(at(None, **env), ["fhir", "reminders"])
    demo_ground.require_nobody_written_to(at(None, **env), ["claims", "fhir"])


@pytest.mark.parametrize(
    "env", [{}, {**REAL, **HERE}, {**REAL, "CARERELAY_SMS": "sandbox", "CARERELAY_EMAIL": "sandbox"}]
)
def test_a_scene_that_sends_is_played_where_nothing_leaves_the_machine(env: dict[str, str]) -> None:
    demo_ground.require_nobody_written_to(at(None, **env), list(demo.SCENES))


def test_a_text_of_the_patient_is_signed_with_the_token_from_a_file(clinic: Clinic, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("from-the-file\n")
    stack = at(clinic, TWILIO_ACCOUNT_SID="AC1", TWILIO_AUTH_TOKEN_FILE=str(path), CARERELAY_SANDBOX_TOKEN="x")
    signed = at(clinic, TWILIO_ACCOUNT_SID="AC1", TWILIO_AUTH_TOKEN="from-the-file")
    for one in (stack, signed):
        demo_reminders.text_from_patient(demo_reminders.Scene(one, Desk("", ""), {"phone": "+12025550123"}), "1")
    first, second = clinic.requests
    assert verified(first, stack)
    assert verified(second, signed)


def verified(request: Request, stack: Running) -> bool:
    url = f"{stack.web_url}{request.path}"
    pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
    return twilio_webhooks.verify(url, pairs, request.headers["X-Twilio-Signature"], ["from-the-file"])


def nobody() -> str:
    return f"http://127.0.0.1:{state.free_port()}"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: Desk(nobody(), "t").get("patients/"), r"GET patients/ was not answered \(ConnectionError\)"),
        (lambda: Desk.of(at(None), "admin"), r"POST auth/token/ was not answered \(ConnectionError\)"),
        (lambda: BackendService(nobody()).sign_in("x"), r"smart-configuration was not answered \(ConnectionError\)"),
    ],
)
def test_a_server_that_does_not_answer_is_told_in_a_sentence(ask: Any, said: str) -> None:
    with pytest.raises(Refused, match=said):
        ask()


def test_an_answer_that_is_not_understood_is_told_in_a_sentence(clinic: Clinic) -> None:
    clinic.usual = Answer(200, b"<html>")
    with pytest.raises(Refused, match="GET /patients/ answered 200 with what is no JSON"):
        Desk(clinic.url, "t").get("patients/")
    clinic.usual = Answer(200, {})
    with pytest.raises(Refused, match="smart-configuration answered 200 without 'token_endpoint'"):
        BackendService(clinic.url).sign_in("x")


def test_a_scene_that_breaks_off_is_told_and_the_next_one_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    stack = at(None)
    assert demo.played(stack, ["labs", "credentials"]) is False
    told = capsys.readouterr().out
    for name in ("labs", "credentials"):
        assert f"broken off      {name}  POST auth/token/ was not answered" in told


def test_what_is_no_refusal_breaks_a_scene_off_with_its_kind_and_place(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.played(at(clinic), ["labs"]) is False
    assert "broken off      labs  KeyError: 'results' (demo_labs.py:" in capsys.readouterr().out


def test_a_bulk_that_breaks_off_is_told_and_its_day_is_not_good(capsys: pytest.CaptureFixture[str]) -> None:
    bulk = Bulk(at(None), Partners(1), Size(), False, datetime.now(UTC))
    demo_day.ask(bulk)
    assert not bulk.good
    assert "broken off      bulk  POST auth/token/ was not answered" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["labs", "--seed", "3"], ["labs", "--claims", "3"], ["labs", "--json"]])
def test_options_of_a_day_are_refused_with_names_of_scenes(words: list[str]) -> None:
    with pytest.raises(Refused, match=f"{words[1]} belongs to the whole day"):
        playing.run(words)


def test_options_of_a_day_are_refused_where_a_stack_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARERELAY_STATE", str(tmp_path))
    state.write_running(tmp_path, at(None))
    with Lock(tmp_path), pytest.raises(Refused, match="--seed belongs to a day on a stack of its own, and one runs"):
        playing.run(["--seed", "3"])


WITHOUT_A_NUMBER = """
import sys, types
from workers.cli import __main__ as command
def run(words): raise TimeoutError("the disk is slow")
sys.modules["slow"] = types.SimpleNamespace(run=run)
command.COMMANDS["slow"] = ("slow", "")
sys.exit(command.main(["slow"]))"""


def test_an_error_that_the_system_has_no_number_for_is_told_by_its_own_words() -> None:
    words = [sys.executable, "-c", WITHOUT_A_NUMBER]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "carerelay: the disk is slow\n")
