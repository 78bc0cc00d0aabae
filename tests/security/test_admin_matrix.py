"""Proves of every page of the admin and every role who sees it: of own patients, of strangers and of removed rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.core.permissions import may
from backend.apps.core.roles import STAFF, Role
from tests.security.matrix import make, make_practice, other_people, undone
from tests.security.test_admin_pages import PAGES, make_row, page
from tests.security.test_url_matrix import CANARY, clients, tells_nothing
from tests.support.pages import search

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("without_tables")]
KEPT = {"labresult", "contactconsent"}  # the database refuses to remove them


def test_each_page_is_for_the_roles_of_its_table_and_a_refusal_is_written_down() -> None:
    practice = make_practice()
    browsers = clients(practice)
    for model in PAGES:
        site = admin.site._registry[model]
        with undone():
            row = make_row(model, practice)
            stored = model._base_manager.filter(pk=row.pk).values_list().get()
            for who, browser in browsers.items():
                lists = who in STAFF and may(practice.logins[who], "list", site.permissions)
                pages = ["changelist"] if lists else ["changelist", "change"]
                for name in pages:
                    answer = asked(browser, model, name, row)
                    wanted = 200 if lists else 403 if who in STAFF else 302
                    assert answer.status_code == wanted, (model, name, who, answer.status_code)
                if not lists:
                    told = browser.post(page(model, "change", row.pk), {})
                    assert told.status_code == (403 if who in STAFF else 302), (model, who)
                if who in STAFF and not lists:
                    noted = AuditLog.objects.filter(user_id=practice.logins[who].pk, outcome="refused")
                    assert noted.filter(action="admin.view").count() == len(pages) + 1, (model, who)
            assert model._base_manager.filter(pk=row.pk).values_list().get() == stored


def asked(browser: Client, model: Any, name: str, row: Any) -> Any:
    return browser.get(page(model, name, *([] if name in {"changelist", "add"} else [row.pk])))


def test_a_doctor_finds_in_the_admin_no_row_of_a_stranger_and_changes_none() -> None:
    practice = make_practice()
    strangers, looked = other_people(practice), 0
    for name, value in CANARY.items():
        setattr(strangers.patient, name, value)
    strangers.patient.save()
    make("appointments", practice)
    browser, login = clients(practice)[Role.DOCTOR], practice.logins[Role.DOCTOR]
    for model in PAGES:
        site, access = admin.site._registry[model], getattr(model, "access", None)
        if not may(login, "list", site.permissions) or access is None or not access.patient:
            continue
        with undone():
            row = make_row(model, strangers)
            stored = model._base_manager.filter(pk=row.pk).values_list().get()
            answers = [asked(browser, model, name, row) for name in ("change", "delete", "history")]
            answers.append(browser.post(page(model, "change", row.pk), {"_save": "x"}))
            assert {answer.status_code for answer in answers} <= {302, 403, 404}, model
            browser.cookies.pop("messages", None)  # what the last page had to tell, which repeats the address
            listed = [asked(browser, model, "changelist", row), search(browser, page(model, "changelist"), row.pk)]
            assert str(row.pk) not in listed[0].content.decode(), model
            for answer in (*answers, *listed):
                assert tells_nothing(answer), model
            assert model._base_manager.filter(pk=row.pk).values_list().get() == stored
            looked += 1
    assert looked >= 12


def test_a_removed_row_and_a_merged_patient_have_no_page_even_for_the_administrator() -> None:
    practice = make_practice()
    browser, removed = clients(practice)[Role.ADMIN], 0
    for model in PAGES:
        if not hasattr(model, "is_deleted") or model._meta.model_name in KEPT:
            continue
        with undone():
            row = make_row(model, other_people(practice))
            try:
                row.delete()
            except DomainError:  # what was signed or sent stays
                continue
            removed += 1
            for name in ("change", "history"):
                assert asked(browser, model, name, row).status_code in {302, 404}, (model, name)
    assert removed >= 40
    merged = other_people(practice).patient
    type(merged).objects.filter(pk=merged.pk).update(user=None)
    merged.refresh_from_db()
    merged.merged_into, merged.is_deleted, merged.deleted_at = practice.patient, True, merged.created_at
    merged.save()
    assert asked(browser, type(merged), "change", merged).status_code == 302
