"""Proves of the list of tables beside each page of the admin what tests of single pages leave out."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import RequestFactory
from django.urls import get_script_prefix, set_script_prefix

from backend.apps.core import site
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


@pytest.mark.django_db
def test_the_list_is_the_one_that_django_makes_and_looks_up_no_address_twice() -> None:
    practice, request = make_practice(), RequestFactory().get("/admin/")
    for role in sorted(STAFF):
        request.user = practice.logins[role]
        made = admin.site.get_app_list(request)
        assert made == super(site.ClinicAdminSite, admin.site).get_app_list(request), role
        looked_up = site._address.cache_info().misses
        assert made == admin.site.get_app_list(request)
        assert site._address.cache_info().misses == looked_up, role
        for app in made:
            assert admin.site.get_app_list(request, app["app_label"]) == [app]
    prefix = get_script_prefix()
    try:
        set_script_prefix("/below/")
        assert admin.site.get_app_list(request, "insurance")[0]["app_url"] == "/below/admin/insurance/"
    finally:
        set_script_prefix(prefix)
