"""Proves who may read what registries say of the staff, and how a person settles what is unclear."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.credentials import registries
from backend.apps.credentials.models import RegistryCheck, RegistryOutcome
from backend.apps.credentials.registries import Answer
from backend.apps.credentials.tests.registry_factories import make_registry_check
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

URL = "/api/v1/registry-checks/"
OTHER = {"settled_as": "clear", "note": "Born in another year; the board confirms it."}

pytestmark = pytest.mark.django_db


class TestRegistryChecks(ApiContract):
    url = URL
    stranger = "doctor"

    def make(self) -> RegistryCheck:
        return make_registry_check()


def settle(check: RegistryCheck, form: dict[str, str], by: Any = None) -> Any:
    return client_for(by or make_user(role="admin")).post(f"{URL}{check.pk}/settle/", form, format="json")


def alerts() -> set[tuple[str, str]]:
    return set(Alert.objects.filter(resolved_at=None).values_list("kind", "severity"))


def test_a_person_settles_that_it_is_somebody_else_and_the_alert_goes() -> None:
    check, admin = make_registry_check(), make_user(role="admin")
    registries.tell("leie", [check.user_id])
    assert alerts() == {("credential_registry", "warning")}
    answer = settle(check, OTHER, admin)
    assert answer.status_code == 200, answer.data
    assert (answer.data["settled_as"], answer.data["settled_by"]) == ("clear", admin.pk)
    assert alerts() == set()
    assert set(registries.excluded_since([check.user_id])) == set()


def test_a_person_settles_that_it_is_them_and_they_are_excluded() -> None:
    check = make_registry_check()
    assert set(registries.excluded_since([check.user_id])) == set()
    settle(check, {"settled_as": "excluded", "note": "She says so herself."})
    assert registries.excluded_since([check.user_id]) == {check.user_id: date(2024, 9, 19)}
    assert alerts() == {("credential_excluded", "critical")}
    assert str(check.user_id) in Alert.objects.get().sentence


def test_a_certain_exclusion_holds_until_a_person_says_that_the_list_is_wrong() -> None:
    check = make_registry_check(outcome="excluded", finding={"by": "npi", "entries": ["00ff"]})
    assert registries.excluded_since([check.user_id]) == {check.user_id: date.min}
    settle(check, OTHER)
    assert set(registries.excluded_since([check.user_id])) == set()


def test_nobody_settles_what_is_said_of_themselves() -> None:
    admin = make_user(role="admin")
    assert settle(make_registry_check(admin), OTHER, admin).status_code == 422


def test_how_one_knows_has_to_be_written_down() -> None:
    check = make_registry_check()
    for form in ({"settled_as": "clear"}, {"settled_as": "clear", "note": ""}, {"settled_as": "fine", "note": "x"}):
        assert settle(check, form).status_code == 400


def test_only_the_newest_edition_counts_and_is_settled() -> None:
    old = make_registry_check(outcome="excluded")
    make_registry_check(old.user, edition="2026-11-20", outcome="clear", finding={})
    assert set(registries.excluded_since([old.user_id])) == set()
    assert settle(old, OTHER).status_code == 422


@pytest.mark.parametrize(
    ("finding", "outcome", "settled"),
    [
        ({"by": "name", "lines": [9], "entries": ["00ff"]}, "perhaps_excluded", "clear"),
        ({"by": "name", "lines": [9, 11], "entries": ["00ff", "11ee"]}, "perhaps_excluded", ""),
        ({"by": "npi", "lines": [9], "entries": ["00ff"]}, "excluded", ""),
    ],
    ids=["the same entry in another line", "one entry more", "certain now"],
)
def test_what_was_settled_stays_settled_while_the_list_says_the_same(
    finding: dict[str, Any], outcome: str, settled: str
) -> None:
    old = make_registry_check()
    settle(old, OTHER)
    registries.note("leie", "2026-11-20", [Answer(old.user_id, outcome, finding)], loaded_at=timezone.now())
    new = RegistryCheck.objects.get(user=old.user, edition="2026-11-20")
    assert (new.settled_as, new.note) == (settled, OTHER["note"] if settled else "")
    registries.tell("leie", [old.user_id])
    assert bool(alerts()) is not bool(settled)


def says(check: RegistryCheck, edition: str, outcome: str, **finding: Any) -> set[Any]:
    """Let an edition that was loaded this moment say so; return who is excluded then."""
    answers = [Answer(check.user_id, outcome, finding)]
    registries.note(check.source, edition, answers, loaded_at=timezone.now())
    registries.tell(check.source, [check.user_id])
    return set(registries.excluded_since([check.user_id]))


def test_an_exclusion_that_was_settled_holds_while_another_entry_waits_to_be_settled() -> None:
    check = make_registry_check()
    settle(check, {"settled_as": "excluded", "note": "She says so herself."})
    for edition in ("2026-11-20", "2026-12-20"):
        assert says(check, edition, "perhaps_excluded", by="name", entries=["11ee"]) == {check.user_id}
        assert alerts() == {("credential_excluded", "critical"), ("credential_registry", "warning")}
    waiting = RegistryCheck.objects.get(edition="2026-12-20")
    assert (waiting.settled_as, waiting.settled_at) == ("excluded", None)
    settle(waiting, {"settled_as": "excluded", "note": "The same, under a corrected name."})
    assert alerts() == {("credential_excluded", "critical")}
    assert says(check, "2027-01-20", "clear") == set()
    assert alerts() == set()


def test_the_edition_that_was_loaded_last_counts_and_not_that_of_the_latest_day() -> None:
    check = make_registry_check(outcome="clear", finding={}, edition="2026-10-20")
    assert says(check, "2026-12-20", "excluded", by="npi", entries=["00ff"]) == {check.user_id}
    assert says(check, "2026-11-20", "clear") == set()
    assert says(check, "2026-12-20", "excluded", by="npi", entries=["00ff"]) == {check.user_id}
    assert says(check, "2026-10-20", "clear") == set()
    assert RegistryCheck.objects.count() == 3
    assert alerts() == set()


@pytest.mark.parametrize(
    ("source", "outcome", "can_be"),
    [
        ("leie", "perhaps_excluded", {"clear", "excluded"}),
        ("leie", "excluded", {"clear", "excluded"}),
        ("nppes", "deactivated", {"clear", "deactivated"}),
        ("nppes", "clear", {"clear"}),
    ],
)
def test_a_check_is_settled_as_what_its_registry_can_say_of_it(source: str, outcome: str, can_be: set[str]) -> None:
    check, admin = make_registry_check(source=source, outcome=outcome, finding={}), make_user(role="admin")
    taken = {
        name for name in RegistryOutcome.values if settle(check, {**OTHER, "settled_as": name}, admin).data.get("id")
    }
    assert taken == can_be


def test_only_the_list_of_exclusions_excludes() -> None:
    check = make_registry_check(source="nppes", outcome="excluded")
    assert registries.excluded_since([check.user_id]) == {}
    registries.tell("nppes", [check.user_id])
    assert alerts() == set()


@pytest.mark.parametrize(("query", "found"), [("outcome=clear", 0), ("source=leie", 1), ("settled=true", 0)])
def test_lists_are_cut_by_what_was_found(query: str, found: int) -> None:
    make_registry_check()
    assert len(client_for(make_user(role="admin")).get(f"{URL}?{query}").data["results"]) == found
