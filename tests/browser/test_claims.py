"""Proves with a real browser that claims, files and payments are read and acted on by keyboard on a narrow screen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pytest_django.live_server_helper import LiveServer

from backend.apps.insurance.models import InsuranceClaim, Posting, Stage
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, partner
from backend.apps.insurance.tests.sent_claims import (
    answered,
    inbound_file,
    moved,
    paid,
    queued,
    remittance,
    sent_file,
    told_claim,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.browser.test_lab_inbox import enter, picture, sign_in, text_of, write
from tests.support.browser import Browser, too_wide

pytestmark = pytest.mark.django_db(transaction=True)
UNBROKEN = "Wolfeschlegelsteinhausenbergerdorff" * 2


def a_week() -> dict[str, InsuranceClaim]:
    """Save claims, files and payments with texts as long as they get."""
    north = partner(name="N" * 60, paused_at=None)
    coverage = make_patient_insurance(patient=make_patient(last_name=UNBROKEN))
    claims = {
        key: make_claim(patient_insurance=coverage)
        for key in ("draft", "queued", "doubt", "denied", "paid", "paper", "turned")
    }
    queued(north, claims["queued"])
    sent_file(north, claims["doubt"], state="batched", status="in_doubt", work_state="held", last_error="x" * 200)
    sent_file(north, claims["denied"], claims["paid"], state="adjudicated")
    paid(claims["paid"], remittance(north))
    moved(claims["paper"], "submitted")
    moved(claims["turned"], "rejected", denial_reason="V" * 300)
    answered(claims["paid"], Stage.PAYER, "A2", details=["A2:20:PR"] * 8)
    moved(claims["denied"], "denied", denial_reason="W" * 300)
    refused = told_claim(remittance(north, amount="0.00"), claims["denied"])
    amount = {"kind": "contractual", "group": "CO", "reason": "97", "amount": Decimal("150.00")}
    Posting.objects.create(claim=claims["denied"], remittance_claim=refused, **amount)
    remittance(north, status="quarantined", problem="p" * 200, trace="T" * 50, payer_name="Q" * 60)
    told_claim(remittance(north, status="partly"), None, member_id="M" * 80, reason="r" * 200)
    inbound_file(north, name="f" * 200, status="quarantined", status_reason="s" * 200, findings=["z" * 200])
    return claims


def test_claims_are_read_and_acted_on_by_keyboard_at_360_px(chromium: Browser, live_server: LiveServer) -> None:
    browser, claims = chromium, a_week()
    sign_in(browser, live_server, make_user("receptionist"))
    browser.size(360)
    browser.open(f"{live_server.url}/console/claims/?state=draft")
    assert too_wide(browser) == []
    picture(browser, "claims")
    browser.focus_by_tab("[name=claim]")
    browser.press(" ")
    enter(browser, "button[value=submit]")
    assert claims["draft"].claim_number in text_of(browser)
    picture(browser, "claims-bulk")
    browser.open(f"{live_server.url}/console/claims/work/denied/")
    write(browser, "[name=reason]", "Written off")
    browser.loaded(lambda: browser.press("Enter"))
    assert "Closed." in text_of(browser)
    browser.open(f"{live_server.url}/console/claims/{claims['paper'].pk}/")
    browser.focus_by_tab("details:has([action$='/accept/']) summary")
    browser.press("Enter")
    write(browser, "#accept-reference", "ICN*1")
    browser.loaded(lambda: browser.press("Enter"))
    assert "holds a sign that no file can carry" in text_of(browser)
    browser.focus_by_tab("details:has([action$='/deny/']) summary")
    browser.press("Enter")
    write(browser, "#deny-reason", "Not covered")
    browser.loaded(lambda: browser.press("Enter"))
    enter(browser, "main form button")
    assert "It stands on the list of denied claims." in text_of(browser)
    browser.open(f"{live_server.url}/console/claims/files/")
    assert "Perhaps it arrived" in text_of(browser)
    enter(browser, "form[action$='/mark_received/'] button")
    assert "nothing is sent again" in text_of(browser)
    picture(browser, "claims-doubt")
    enter(browser, "main form button")
    assert "The file counts as sent" in text_of(browser)
    assert browser.errors == []
