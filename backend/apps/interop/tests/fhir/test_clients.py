"""Proves that administrators register systems by public keys and end their tokens, in the admin and on a terminal."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from jwt.algorithms import ECAlgorithm

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.interop.models import SmartClient
from backend.apps.interop.tests.fhir.systems import bearer, ec_key, make_system, public
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
ADD, LIST = (reverse(f"admin:interop_smartclient_{page}") for page in ("add", "changelist"))


def staff(role: str = Role.ADMIN) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def given(jwks: Any = None, **over: Any) -> dict[str, Any]:
    keys = json.dumps(jwks or {"keys": [public(ec_key())]})
    return {"name": "Registry", "jwks": keys, "jwks_url": "", "scopes": "system/*.rs", "is_active": "on", **over}


def test_an_administrator_registers_a_system_and_is_shown_its_client_id() -> None:
    site = staff()
    assert site.post(ADD, given()).status_code == 302
    row = SmartClient.objects.get()
    page = site.get(reverse("admin:interop_smartclient_change", args=[row.pk]))
    assert str(row.pk) in page.content.decode()
    assert AuditLog.objects.filter(action="admin.create", resource_id=str(row.pk)).exists()


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (given({"keys": [{**json.loads(ECAlgorithm.to_jwk(ec_key())), "kid": "one"}]}), "holds a private key"),
        (given({"keys": [public(ec_key(), use="enc")]}), "None of these keys can be used"),
        (given(jwks_url="https://registry.example/jwks"), "either inline or by URL"),
        (given(jwks=None) | {"jwks": ""}, "either inline or by URL"),
        (given() | {"jwks": "", "jwks_url": "http://registry.example/jwks"}, "over https only"),
        (given() | {"jwks": "", "jwks_url": "https://me:secret@registry.example/jwks"}, "without a login"),
        (given(scopes="system/Patient.write"), "Scopes are system/*.rs"),
        (given(scopes="patient/*.read"), "Scopes are system/*.rs"),
        (given(scopes="system/Patient.rs system/Claim.rs?status=active"), "A scope with a condition"),
        (given(scopes="system/Patient.rs system/Immunization.rs"), "We have no Immunization"),
    ],
)
def test_what_cannot_be_registered_is_refused_beside_the_field(form: dict[str, Any], sentence: str) -> None:
    answer = staff().post(ADD, form)
    assert answer.status_code == 200
    assert sentence in str(answer.context["adminform"].form.errors)
    assert not SmartClient.objects.exists()


def test_the_name_of_a_system_that_was_deleted_is_refused_beside_the_field() -> None:
    make_system(name="Registry").row.delete()
    errors = staff().post(ADD, given()).context["adminform"].form.errors
    assert "give it another name" in str(errors["name"])


def test_changing_the_scopes_ends_the_tokens_and_changing_the_name_does_not() -> None:
    system, site = make_system(), staff()
    address = reverse("admin:interop_smartclient_change", args=[system.row.pk])
    token = system.token()
    assert site.post(address, given(system.row.jwks, name="Other")).status_code == 302
    assert bearer(token).status_code != 401
    assert site.post(address, given(system.row.jwks, scopes="system/Patient.rs")).status_code == 302
    assert bearer(token).status_code == 401


def test_tokens_are_revoked_from_the_list_and_it_is_audited() -> None:
    system = make_system()
    token = system.token()
    staff().post(LIST, {"action": "revoke_tokens", "_selected_action": [str(system.row.pk)]})
    assert bearer(token).status_code == 401
    assert AuditLog.objects.filter(action="admin.revoke_tokens", resource_id=str(system.row.pk)).exists()


@pytest.mark.parametrize("role", sorted({*Role.values} - {Role.ADMIN, Role.PATIENT}))
def test_no_other_role_sees_or_registers_systems(role: str) -> None:
    site = staff(role)
    assert [site.get(LIST).status_code, site.post(ADD, given()).status_code] == [403, 403]
    assert not SmartClient.objects.exists()


def told(*words: str) -> str:
    out = StringIO()
    call_command("smart_client", *words, stdout=out)
    return out.getvalue().strip()


def test_an_operator_registers_lists_and_revokes_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [public(ec_key())]}))
    client_id = told("add", "Registry", "--jwks", str(file), "--scopes", "system/Patient.rs")
    assert str(SmartClient.objects.get().pk) == client_id
    assert told("add", "Other", "--jwks-url", "https://registry.example/jwks")
    assert client_id in told("list")
    assert told("revoke", client_id)
    assert SmartClient.objects.get(pk=client_id).tokens_after is not None
    assert set(AuditLog.objects.values_list("action", flat=True)) == {"create", "revoke_tokens"}


def test_an_operator_is_told_in_a_sentence_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    for content in ("{}", "not json"):
        file.write_text(content)
        with pytest.raises(CommandError, match=r"is not JSON|not a JWK set"):
            told("add", "Registry", "--jwks", str(file))
    with pytest.raises(CommandError, match="over https only"):
        told("add", "Registry", "--jwks-url", "http://registry.example/jwks")
    make_system(name="Registry").row.delete()
    with pytest.raises(CommandError, match="give it another name"):
        told("add", "Registry", "--jwks-url", "https://registry.example/jwks")
    with pytest.raises(CommandError, match="no such system"):
        told("revoke", "00000000-0000-0000-0000-000000000000")
