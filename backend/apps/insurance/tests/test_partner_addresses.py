"""Holds addresses of partners to what may stand in pages and logs."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import ValidationError

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
    for ours, answers in (("to", ""), ("", "from"), ("to", "from")):
        partner(transport="sftp", **SFTP, outbound_folder=ours, inbound_folder=answers).full_clean()
    for ours, answers in (("", ""), (".", ""), ("", "./")):
        with pytest.raises(ValidationError):
            partner(transport="sftp", **SFTP, outbound_folder=ours, inbound_folder=answers).full_clean()
