"""Proves the resources and the page of retention: who may, what a rule needs before it removes, and the way back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert, AuditLog, RetentionRule, RetentionRun
from backend.apps.core.roles import Role
from backend.apps.interop.retention_classes import CLASSES
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
RULES, PAGE = "/api/v1/retention-rules/", "/console/retention/"


class TestRetentionRules(ApiContract):
    url = RULES
    stranger = "nurse"

    def make(self) -> RetentionRule:
        return RetentionRule.objects.create(data_class=f"class {RetentionRule.objects.count()}", keep_days=30)


class TestRetentionRuns(ApiContract):
    url = "/api/v1/retention-runs/"
    stranger = "receptionist"

    def make(self) -> RetentionRun:
        return RetentionRun.objects.create(data_class="alerts", cutoff=timezone.now())


def old_alert() -> None:
    row = alerts.open_once("test", kind="lab_test", sentence="Something is wrong.")
    Alert.objects.filter(pk=row.pk).update(resolved_at=timezone.now() - timedelta(days=3000))


def test_a_rule_is_made_looked_at_activated_and_stopped_over_the_api() -> None:
    old_alert()
    api = client_for(make_user("admin"))
    made = api.post(RULES, {"data_class": "alerts", "keep_days": 2900})
    assert (made.status_code, made.data["is_active"]) == (201, False)
    url = f"{RULES}{made.data['id']}/"
    assert api.post(f"{url}activate/", {"reason": "x"}).status_code == 422
    assert api.post(f"{url}look/").data["looked_at"]
    assert api.get("/api/v1/retention-runs/", {"data_class": "alerts"}).data["results"][0]["found_in"] == {
        "core.Alert": 1
    }
    assert api.post(f"{url}activate/", {"reason": "The board."}).data["is_active"] is True
    assert api.patch(url, {"is_active": False}).data["is_active"] is True, "only by its own verb"
    stopped = api.post(f"{url}deactivate/", {"reason": "A legal hold."}).data
    assert (stopped["is_active"], stopped["reason"]) == (False, "A legal hold.")
    assert api.post(f"{url}release/").data["reason"] == ""
    assert api.post(f"{url}release/").data["detail"] == "The rule is not held."
    assert api.post(f"{url}deactivate/", {"reason": "Another one."}).data["reason"] == "Another one."
    assert Alert.objects.count() == 1


def test_a_rule_below_the_law_twice_or_of_what_no_machine_removes_is_refused_in_words() -> None:
    api = client_for(make_user("admin"))
    refused = api.post(RULES, {"data_class": "messages", "keep_days": 100})
    assert (refused.status_code, refused.data["detail"]) == (422, "This is shorter than the law asks for: 1461 days.")
    assert api.post(RULES, {"data_class": "sessions", "keep_days": 800_000}).status_code == 400
    assert api.post(RULES, {"data_class": "claims", "keep_days": 9000}).status_code == 422
    assert api.post(RULES, {"data_class": "alerts"}).data["keep_days"] == 2192
    assert "already" in api.post(RULES, {"data_class": "alerts"}).data["detail"]


def test_the_page_shows_every_class_with_its_law_and_changes_nothing() -> None:
    text = signed_in("admin").get(PAGE).content.decode()
    assert all(of.title in text for of in CLASSES)
    for said in ("Never looked at.", "never under 1461", "28 USC 1658(a)", "42 CFR 422.504(d)", "removes nothing"):
        assert said in text
    assert not RetentionRule.objects.exists()


def test_on_the_page_a_person_looks_lets_and_stops() -> None:
    old_alert()
    client = signed_in("admin")

    def does(verb: str, **form: str) -> str:
        answer = client.post(f"{PAGE}alerts/{verb}/", form, follow=True)
        assert answer.redirect_chain[-1][0].endswith("#alerts")
        return " ".join(answer.content.decode().split())

    assert "Kept for 2,940 days." in does("keep", keep_days="2940")
    assert "Too old: 1. Nothing was removed." in does("look")
    assert "dry run, 1 too old, nothing removed" in does("activate", reason="The board agreed.")
    assert RetentionRule.objects.get().is_active
    assert "removes after a dry run" in does("keep", keep_days="2950")
    assert "Why: A legal hold." in does("deactivate", reason="A legal hold.")
    assert not RetentionRule.objects.get().is_active
    assert AuditLog.objects.filter(action="console.activate", resource_type="retentionrule").count() == 1
    assert Alert.objects.count() == 1


def test_on_the_page_a_class_that_nobody_let_is_held_and_the_hold_ends() -> None:
    client = signed_in("admin")
    held, over = f"{PAGE}sessions/deactivate/", f"{PAGE}sessions/release/"
    text = client.get(PAGE).content.decode()
    assert (f'formaction="{held}"' in text, over in text) == (True, False)
    text = client.post(held, {"reason": "The court asked."}, follow=True).content.decode()
    assert '<span class="tag wait">held</span>' in text
    assert ("Why: The court asked." in text, f'formaction="{held}"' in text, over in text) == (True, False, True)
    assert "Held with sessions: nothing is removed." in text
    text = client.post(over, follow=True).content.decode()
    assert "The hold is over." in text
    assert ("Held with sessions" in text, f'formaction="{held}"' in text) == (False, True)
    assert AuditLog.objects.filter(action="console.release", resource_type="retentionrule").count() == 1


@pytest.mark.parametrize(
    ("path", "form", "said"),
    [
        ("messages/keep/", {"keep_days": "9"}, "shorter than the law asks for"),
        ("alerts/keep/", {"keep_days": "1e3"}, "Give the days as a whole number"),
        ("sessions/keep/", {"keep_days": "99999"}, "36,525 days at most"),
        ("alerts/activate/", {"reason": "x"}, "Make a dry run first"),
        ("audit_log/look/", {}, "There is no class of data of this name"),
    ],
    ids=["below the law", "no number", "too many", "not looked at", "not removed by a machine"],
)
def test_the_page_refuses_in_words_and_leaves_nothing_behind(path: str, form: dict[str, Any], said: str) -> None:
    answer = signed_in("admin").post(f"{PAGE}{path}", form, follow=True)
    assert said in answer.content.decode()
    assert not RetentionRule.objects.exists()
    assert AuditLog.objects.filter(resource_type="retentionrule", outcome="refused").exists()


@pytest.mark.parametrize("role", sorted({Role.DOCTOR, Role.RECEPTIONIST}))
def test_others_may_not_see_or_change_the_rules(role: str) -> None:
    client = signed_in(role)
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}alerts/activate/", {"reason": "x"}).status_code == 403
    assert client.get(f"{PAGE}alerts/activate/").status_code == 405


def test_the_page_tells_a_purge_at_work_from_one_that_broke_off_and_what_is_held() -> None:
    run = RetentionRun.objects.create(data_class="alerts", is_dry=False, cutoff=timezone.now(), found=9)
    client = signed_in("admin")

    def shown() -> str:
        return " ".join(client.get(PAGE).content.decode().split())

    assert "0 of 9 removed, at work." in shown()
    RetentionRun.objects.filter(pk=run.pk).update(updated_at=timezone.now() - timedelta(minutes=11))
    assert "0 of 9 removed, broken off." in shown()
    assert "Held with sessions" not in shown()
    RetentionRule.objects.create(data_class="sessions", keep_days=30, reason="A legal hold.")
    assert shown().count("Held with sessions: nothing is removed.") == 1
