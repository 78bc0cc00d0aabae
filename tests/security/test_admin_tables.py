"""Proves of the list of tables beside each page of the admin what tests of single pages leave out."""

from __future__ import annotations

import pytest
from django.contrib import admin

from backend.apps.core.permissions import may
from backend.apps.core.roles import STAFF
from tests.security.matrix import make_practice
from tests.security.test_admin_pages import PAGES, cost, page, signed_in


@pytest.mark.django_db
def test_beside_a_page_stand_the_tables_that_the_role_may_list_for_the_price_of_no_query(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    practice = make_practice()
    for role in sorted(STAFF):
        login = practice.logins[role]
        listed = {model for model in PAGES if may(login, "list", admin.site._registry[model].permissions)}
        client, url = signed_in(login), page(min(listed, key=lambda model: model.__name__), "changelist")
        queries, answer = cost(client, url)
        shown = {model for model in PAGES if f'href="{page(model, "changelist")}"' in answer.content.decode()}
        assert shown == listed, role
        with monkeypatch.context() as without:
            without.setattr(admin.site, "get_app_list", lambda *_, **__: [])
            assert cost(client, url)[0] == queries
