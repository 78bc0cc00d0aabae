"""Reads and fills in the pages of billing for tests; without it three files of tests would each do it their own way."""

from __future__ import annotations

from typing import Any

from django.test import Client

from backend.apps.insurance.models import (
    InsuranceClaim,
)
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, partner
from backend.apps.insurance.tests.sent_claims import (
    moved,
    paid,
    queued,
    remittance,
    sent_file,
)
from backend.apps.patients.tests.factories import make_patient

CLAIMS = "/console/claims/"
FILES, INBOUND = f"{CLAIMS}files/", f"{CLAIMS}files/inbound/"
PAYMENTS, UNPLACED, DEPOSITS = f"{CLAIMS}payments/", f"{CLAIMS}payments/unplaced/", f"{CLAIMS}payments/deposits/"
WORK = f"{CLAIMS}work/"
DESK = {"admin", "receptionist"}


def page(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200, (url, answer.status_code)
    return " ".join(answer.content.decode().split())


def said(client: Client, url: str, **form: Any) -> str:
    """Post a form and return the text of the page it leads to."""
    answer = client.post(url, form, follow=True)
    assert answer.status_code == 200, (url, answer.status_code)
    return " ".join(answer.content.decode().split())


def rows(told: str) -> str:
    return told.split('class="list"', 1)[1] if 'class="list"' in told else ""


def one_in_each_state() -> dict[str, InsuranceClaim]:
    """Save one claim in each state of the board, all at one partner but for the draft."""
    north, coverage = partner(name="North"), make_patient_insurance(patient=make_patient(last_name="Zqfamily"))
    keys = ("draft", "queued", "batched", "submitted", "pending", "accepted", "rejected", "denied", "appealed", "paid")
    claims = {key: make_claim(patient_insurance=coverage) for key in keys}
    queued(north, claims["queued"])
    sent_file(north, claims["batched"], state="batched")
    states = {"submitted": "sent", "pending": "pending", "accepted": "accepted", "rejected": "rejected"}
    for key in keys[3:]:
        sent_file(north, claims[key], state=states.get(key, "adjudicated"))
        if key != "paid":
            moved(claims[key], key)
    paid(claims["paid"], remittance(north))
    return claims
