"""Holds addresses of partners to what may stand in pages and logs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from backend.apps.insurance.models import TradingPartner
from backend.apps.insurance.tests.factories import partner
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
PARTNERS = "/api/v1/trading-partners/"
SFTP = {"host": "sftp.example.com", "username": "clinic", "host_key": "SHA256:" + "A" * 43}


@pytest.mark.parametrize(
    "url",
    [
        "https://clinic:s3cret@api.example.com/v1", "https://clinic@api.example.com",
        "https://api.example.com/?key=s3cret", "https://api.example.com/#s3cret", "http://api.example.com/v1", "ftp://s3cret.example.com",
        "https://", "s3cret", "https://[s3cret", "https://api.example.com:s3cret/",
    ],
)  # fmt: skip
def test_an_address_that_holds_a_secret_or_sends_one_in_the_clear_is_refused_and_not_told(url: str) -> None:
    row = partner()
    answer = client_for(make_user("admin")).patch(f"{PARTNERS}{row.pk}/", {"base_url": url}, format="json")
    assert answer.status_code == 400
    assert "base_url" in json.dumps(answer.data)
    assert "s3cret" not in json.dumps(answer.data)
    row.refresh_from_db()
    assert row.base_url == ""


def test_an_address_over_https_or_on_this_machine_is_taken() -> None:
    api, row = client_for(make_user("admin")), partner()
    for url in ("https://api.example.com/v1", "http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:9/", ""):
        assert api.patch(f"{PARTNERS}{row.pk}/", {"base_url": url}, format="json").status_code == 200


@pytest.mark.parametrize("transport", ["folder", "sftp"])
@pytest.mark.parametrize(("ours", "answers"), [("a/to", "a/to"), ("to", "./to/"), ("a", "a/from"), ("a/b/to", "a/b")])
def test_our_files_and_the_answers_never_share_a_folder(transport: str, ours: str, answers: str) -> None:
    row = partner(transport=transport, **SFTP, outbound_folder=ours, inbound_folder=answers)
    with pytest.raises(ValidationError, match="two folders"):
        row.full_clean()


def test_where_the_login_leads_is_one_of_the_two_folders_at_most() -> None:
    for ours, answers in (("to", ""), ("", "from"), ("to", "from"), (".", "from"), ("to", "./")):
        over_sftp(f"{ours}-{answers}", ours, answers).full_clean()
    for ours, answers in (("", ""), (".", ""), ("", "./")):
        with pytest.raises(ValidationError):
            over_sftp(f"{ours}-{answers}", ours, answers).full_clean()


def over_sftp(username: str, ours: str, answers: str, **over: Any) -> TradingPartner:
    other = {**SFTP, "username": username, "outbound_folder": ours, "inbound_folder": answers}
    return partner(transport="sftp", **{**other, **over})


@pytest.mark.parametrize("missing", ["outbound_folder", "inbound_folder"])
def test_a_partner_in_folders_has_both_of_them(missing: str) -> None:
    row = partner(**{missing: ""})
    with pytest.raises(ValidationError) as raised:
        row.full_clean()
    assert list(raised.value.message_dict) == [missing]


API = {"transport": "https", "base_url": "https://api.example.com/v1", "secret_name": "one"}
FOLDERS = {"outbound_folder": "a/to", "inbound_folder": "a/from"}


@pytest.mark.parametrize(
    ("usual", "other", "field"),
    [
        (FOLDERS, {"outbound_folder": "b/to", "inbound_folder": "./a/from/"}, "inbound_folder"),
        (FOLDERS, {"outbound_folder": "a/from", "inbound_folder": "b/from"}, "outbound_folder"),
        (FOLDERS, {"outbound_folder": "b/to", "inbound_folder": "a/to"}, "inbound_folder"),
        (FOLDERS, {"outbound_folder": "b/to", "inbound_folder": "b/from"}, None),
        ({**SFTP, **FOLDERS}, {"inbound_folder": "/a/from", "host": "SFTP.example.com"}, "inbound_folder"),
        ({**SFTP, **FOLDERS}, {"inbound_folder": "a/to", "outbound_folder": "b/to"}, "inbound_folder"),
        ({**SFTP, **FOLDERS}, {"username": "another"}, None),
        ({**SFTP, **FOLDERS}, {"port": 2222}, None),
        (API, {"base_url": "https://api.example.com/v1/"}, "base_url"),
        (API, {"secret_name": "two"}, None),
    ],
)
def test_no_partner_has_its_answers_where_another_ones_answers_or_our_files_lie(
    usual: dict[str, str], other: dict[str, Any], field: str | None
) -> None:
    transport = {"transport": "sftp"} if "host" in usual else {}
    first = partner(**{**transport, **usual})
    row = partner(**{**transport, **usual, **other})
    if field is None:
        row.full_clean()
        return
    with pytest.raises(ValidationError, match=first.name) as raised:
        row.full_clean()
    assert list(raised.value.message_dict) == [field]
    for one, is_active in ((first, False), (row, True)):
        one.is_active = is_active
        one.full_clean()
        one.save()


PRINT = "SHA256:" + "A" * 43
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
PINS = {
    f"ssh-ed25519 {KEY}": True, f"ssh-ed25519 {KEY} a comment": True, KEY: True, f"# old\nssh-ed25519 {KEY}\n": True,
    f"[sftp.example.com]:2222 ssh-ed25519 {KEY}": True, f"ssh-rsa {PRINT}": True, f"{PRINT}=": True,
    PRINT[:-1]: False, "MD5:16:27:ac:a5": False, "ssh-ed25519": False, f"ssh-rsa {KEY}": False, "# none": False,
    f"ssh-ed25519 {KEY[:-4]}": False, f"ssh-ed25519 {KEY}AAAA": False, f"ssh-ed25519 {KEY[:40]}!": False,
}  # fmt: skip


@pytest.mark.parametrize(("text", "is_one"), PINS.items())
def test_a_host_key_that_nobody_could_know_a_server_by_is_refused_when_it_is_saved(text: str, is_one: bool) -> None:
    row = over_sftp("clinic", "to", "from", host_key=text)
    if is_one:
        row.full_clean()
        return
    with pytest.raises(ValidationError) as raised:
        row.full_clean()
    assert list(raised.value.message_dict) == ["host_key"]
