"""Proves for every resource, role and verb that the permission tables, and nothing else, say who may do what."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from tests.security import matrix
from tests.security.matrix import RESOURCES, Call, calls, contents, make, make_practice, model_of, undone
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db

# Rules about persons inside the services: the nurse of the matrix is reviewed and may not write the review.
ALSO_BY_PERSON = {
    ("employee-performance-reviews", "update", "nurse"),
    ("employee-performance-reviews", "partial_update", "nurse"),
}


def send(api: APIClient, call: Call, resource: str, row: Any) -> Any:
    api.raise_request_exception = False
    url = call.url(resource, row.pk)
    return api.get(url) if call.method == "get" else getattr(api, call.method)(url, {}, format="json")


def test_every_resource_is_in_the_matrix_and_nothing_else() -> None:
    assert set(matrix.MAKERS) == set(RESOURCES)


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_role_without_a_row_in_the_table_is_refused_and_changes_nothing(resource: str) -> None:
    practice = make_practice()
    row = make(resource, practice)
    stored = contents(model_of(resource)) if resource != "audit-logs" else None
    refused = 0
    for role in Role:
        api, login = client_for(practice.logins[role]), practice.logins[role]
        for call in calls(resource):
            if role in RESOURCES[resource].permissions.get(call.action, ()):
                continue
            answer = send(api, call, resource, row)
            assert answer.status_code == 403, (role, call.action, answer.status_code)
            assert answer["Content-Type"].startswith("application/problem+json")
            refused += 1
            noted = AuditLog.objects.filter(user_id=login.pk, action=call.action, outcome="refused")
            assert noted.count() == 1, (role, call.action)
    assert AuditLog.objects.filter(outcome="refused").count() == refused
    assert stored is None or contents(model_of(resource)) == stored


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_role_with_a_row_in_the_table_is_let_in(resource: str) -> None:
    practice = make_practice()
    row, clients = make(resource, practice), {role: client_for(login) for role, login in practice.logins.items()}
    for call in calls(resource):
        for role in sorted(RESOURCES[resource].permissions.get(call.action, ())):
            with undone():
                answer = send(clients[role], call, resource, row)
                assert answer.status_code < 500, (role, call.action, answer.status_code)
                if (resource, call.action, role) not in ALSO_BY_PERSON:
                    assert answer.status_code != 403, (role, call.action)
                if role == Role.ADMIN and call.action in {"list", "retrieve"}:
                    assert answer.status_code == 200, (call.action, answer.data)
                assert AuditLog.objects.filter(user_id=practice.logins[role].pk).count() == 1, (role, call.action)


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_nobody_does_anything_without_signing_in(resource: str) -> None:
    row = make(resource, make_practice())
    for call in calls(resource):
        assert send(APIClient(), call, resource, row).status_code == 401, call.action
