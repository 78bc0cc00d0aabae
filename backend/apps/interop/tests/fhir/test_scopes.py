"""Proves that a system reads what it asked for, is registered for and we have, and never more."""

from __future__ import annotations

import pytest

from backend.apps.interop.fhir.smart import scopes
from backend.apps.interop.fhir.smart.authentication import SystemClient
from backend.apps.interop.models import SmartClient
from backend.apps.users.models import User

ALL = "system/*.rs"


def granted(asked: str, registered: str = ALL) -> str:
    return " ".join(scopes.narrowed(asked.split(), scopes.read(registered.split())))


@pytest.mark.parametrize(
    ("asked", "registered", "given"),
    [
        ("system/Patient.read", ALL, "system/Patient.read"),
        ("system/Patient.rs", ALL, "system/Patient.rs"),
        ("system/Patient.r", ALL, "system/Patient.r"),
        ("system/Patient.s", ALL, "system/Patient.s"),
        ("system/Patient.read system/Binary.rs", ALL, "system/Patient.read system/Binary.rs"),
        ("system/*.read", ALL, "system/*.read"),
        ("system/*.rs", ALL, "system/*.rs"),
        ("system/*.*", ALL, "system/*.read"),
        ("system/*.cruds", ALL, "system/*.rs"),
        ("system/Patient.*", ALL, "system/Patient.read"),
        ("system/Patient.cruds", ALL, "system/Patient.rs"),
        ("system/Patient.cr", ALL, "system/Patient.r"),
        ("system/Patient.read system/Patient.read", ALL, "system/Patient.read"),
        ("system/Patient.read", "system/Patient.r", "system/Patient.r"),
        ("system/*.rs", "system/Patient.rs", "system/Patient.rs"),
        ("system/*.read", "system/Patient.rs", "system/Patient.read"),
        ("system/*.rs", "system/*.r system/Patient.s", "system/*.r system/Patient.rs"),
        ("system/Binary.read", "system/Patient.rs", ""),
        ("system/Patient.read system/Immunization.read system/Goal.read", ALL, "system/Patient.read"),
        ("system/Immunization.rs", ALL, ""),
        ("system/AuditEvent.rs", ALL, ""),
        ("system/AuditEvent.rs", f"{ALL} system/AuditEvent.rs", "system/AuditEvent.rs"),
        ("system/*.rs", f"{ALL} system/AuditEvent.rs", "system/*.rs"),
        ("system/*.rs", "system/Patient.rs system/AuditEvent.rs", "system/Patient.rs"),
        ("system/Patient.rs?birthdate=1970-01-01", ALL, ""),
        ("system/Patient.rs?a=b system/Binary.r", ALL, "system/Binary.r"),
        ("system/Patient.rs", "system/Patient.rs?a=b", ""),
    ],
)
def test_what_is_granted_is_what_was_asked_and_registered_and_is_ours(asked: str, registered: str, given: str) -> None:
    assert granted(asked, registered) == given


@pytest.mark.parametrize(
    "word",
    [
        *("system/UnknownResource.read", "system/UnknownResource.r", "system/patient.rs", "system/ClaimItem.rs"),
        *("system/Patient.write", "system/Patient.c", "system/Patient.cud", "system/Patient.u", "system/*.write"),
        *("system/Patient.unknownAction", "system/Patient.xyz", "system/Patient.sr", "system/Patient."),
        *("patient/Patient.rs", "user/Patient.read", "openid", "launch", "fhirUser", "offline_access", "*", "system/*"),
        "system/Patient",
    ],
)  # fmt: skip
def test_a_scope_that_writes_or_is_none_of_ours_refuses_the_whole_request(word: str) -> None:
    with pytest.raises(scopes.BadScope):
        granted(f"system/Patient.rs {word}")


def system(words: str) -> SystemClient:
    return SystemClient(SmartClient(), scopes.read(words.split()))


def test_a_system_reads_and_searches_what_its_token_names_and_writes_nothing() -> None:
    client = system("system/Patient.r system/Binary.read")
    asked = [("Patient", "r"), ("Patient", "s"), ("Binary", "s"), ("Coverage", "r"), ("Patient", "c"), ("Patient", "u")]
    assert [scopes.allowed(client, *one) for one in asked] == [True, False, True, False, False, False]
    assert scopes.granted_types(client) == {"Binary"}
    assert scopes.granted_types(client, frozenset({"r"})) == {"Binary", "Patient"}
    assert scopes.granted_types(system(f"{ALL} system/AuditEvent.rs")) == scopes.OURS


def test_who_reads_the_audit_log_is_registered_and_asks_for_it_by_name() -> None:
    assert scopes.granted_types(system(ALL)) == scopes.OURS - {"AuditEvent"}
    assert not scopes.allowed(system(ALL), "AuditEvent", "r")


def test_scopes_do_not_limit_people() -> None:
    assert scopes.allowed(User(), "Patient", "r")
    assert scopes.granted_types(User()) is None
