"""The tests every resource must pass; subclass once per viewset, or a new resource goes unproved."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user


def client_for(user: User | None) -> APIClient:
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


@pytest.mark.django_db
class ApiContract:
    """Login, roles, object rules, constant queries, bounded pages, audit and hostile input of one resource."""

    url: ClassVar[str]  # "/api/v1/patients/"
    reader: ClassVar[str] = "admin"  # a role that may list and sees every row
    stranger: ClassVar[str | None] = None  # a role that may not list; None when every role may
    few, many = 3, 12  # a query for each row shows as nine more

    def make(self) -> Any:
        """Create and return one row."""
        raise NotImplementedError

    @pytest.fixture
    def api(self) -> APIClient:
        return client_for(make_user(role=self.reader))

    def test_login_is_required(self) -> None:
        answer = APIClient().get(self.url)
        assert answer.status_code == 401
        assert answer["Content-Type"].startswith("application/problem+json")

    def test_a_role_that_is_not_listed_is_refused(self) -> None:
        if self.stranger is None:
            assert client_for(make_user(role="patient")).get(self.url).status_code == 200
            return
        user = make_user(role=self.stranger)
        row = self.make()
        assert client_for(user).get(self.url).status_code == 403
        assert client_for(user).get(f"{self.url}{row.pk}/").status_code == 403
        assert AuditLog.objects.filter(user_id=user.pk, outcome="refused").count() == 2

    def test_an_inactive_user_is_refused(self) -> None:
        user = make_user(role=self.reader, is_active=False)
        assert client_for(user).get(self.url).status_code in {401, 403}

    def test_reading_answers_the_row_and_writes_one_audit_row(self, api: APIClient) -> None:
        row = self.make()
        before = AuditLog.objects.count()
        answer = api.get(f"{self.url}{row.pk}/")
        assert answer.status_code == 200, answer.data
        assert answer.data["id"] == str(row.pk)
        assert answer["ETag"]
        assert AuditLog.objects.count() == before + 1
        assert AuditLog.objects.filter(resource_id=str(row.pk), action="retrieve", outcome="allowed").exists()

    def test_a_row_that_is_not_there_is_404(self, api: APIClient) -> None:
        answer = api.get(f"{self.url}{uuid.uuid4()}/")
        assert answer.status_code == 404
        assert answer.data["status"] == 404

    def test_listing_costs_the_same_for_five_rows_and_for_fifty(self, api: APIClient) -> None:
        for _ in range(self.few):
            self.make()
        api.get(self.url)  # warm caches of content types and settings
        with CaptureQueriesContext(connection) as five:
            assert len(api.get(self.url, {"limit": 200}).data["results"]) >= self.few
        for _ in range(self.many - self.few):
            self.make()
        with CaptureQueriesContext(connection) as fifty:
            assert len(api.get(self.url, {"limit": 200}).data["results"]) >= self.many
        assert len(fifty) == len(five), [query["sql"][:200] for query in fifty.captured_queries]

    def test_pages_are_bounded_and_follow_each_other(self, api: APIClient) -> None:
        made = {str(self.make().pk) for _ in range(3)}
        seen, url, pages = set(), f"{self.url}?limit=2", 0
        while url and pages < 100:
            page = api.get(url).data
            assert len(page["results"]) <= 2
            seen |= {row["id"] for row in page["results"]}
            url, pages = page["next"], pages + 1
        assert made <= seen

    @pytest.mark.parametrize(
        "query", ["limit=1000000000", "limit=0", "limit=x", "ordering=password", "no_such_filter=1", "search=%00"]
    )
    def test_a_hostile_query_is_400(self, api: APIClient, query: str) -> None:
        answer = api.get(f"{self.url}?{query}")
        assert answer.status_code == 400, answer.data
        assert answer["Content-Type"].startswith("application/problem+json")
