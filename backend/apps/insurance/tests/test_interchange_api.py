"""Holds the resource of files for partners to the contract of every resource, and what a person decides there."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.models import AuditLog
from backend.apps.insurance.tests.inquiry_factories import make_interchange
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for


class TestInterchanges(ApiContract):
    url = "/api/v1/interchanges/"
    stranger = "nurse"

    def make(self) -> Any:
        return make_interchange()


@pytest.mark.django_db
def test_the_desk_decides_about_a_file_nobody_knows_the_end_of() -> None:
    desk = client_for(make_user(role="receptionist"))
    doubt = {"status": "in_doubt", "work_state": "held", "sent_at": None}
    ends = []
    for name in ("send_again", "mark_received", "mark_not_received"):
        file = make_interchange(**doubt)
        answer = desk.post(f"/api/v1/interchanges/{file.pk}/{name}/")
        ends.append((answer.status_code, answer.data.get("status")))
    assert ends == [(422, 422), (200, "sent"), (200, "rejected")]


@pytest.mark.django_db
def test_the_bytes_of_a_file_go_to_the_administrator_only_and_into_the_audit() -> None:
    file = make_interchange(content=b"ISA*00*~")
    path = f"/api/v1/interchanges/{file.pk}/download/"
    assert client_for(make_user(role="receptionist")).get(path).status_code == 403
    answer = client_for(make_user(role="admin")).get(path)
    assert (answer.content, answer["Content-Type"]) == (b"ISA*00*~", "application/edi-x12")
    assert AuditLog.objects.filter(action="download", resource_id=str(file.pk), outcome="allowed").count() == 1


@pytest.mark.django_db
def test_files_are_found_by_how_far_they_have_come() -> None:
    held = make_interchange(status="in_doubt", work_state="held")
    make_interchange()
    desk = client_for(make_user(role="receptionist"))
    for query in ("status=in_doubt", "work_state=held", f"partner={held.partner_id}"):
        rows = desk.get(f"/api/v1/interchanges/?{query}").data["results"]
        assert [row["id"] for row in rows] == [str(held.pk)]
