"""The desk reads beside the codes of payers what the clinic's own lists say they mean; nothing is shipped."""

from __future__ import annotations

from datetime import date

import pytest

from backend.apps.core.models import Clinic
from backend.apps.insurance import code_sets
from backend.apps.insurance.models import Code, CodeSet
from backend.apps.insurance.tests.factories import make_claim
from backend.apps.insurance.tests.inquiry_factories import make_event, make_posting
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def listed(kind: str, texts: dict[str, str], first: date = date(2026, 1, 1)) -> None:
    edition = CodeSet.objects.create(kind=kind, version=f"{kind} {first}", valid_from=first, sha256="0" * 64)
    Code.objects.bulk_create(Code(code_set=edition, code=code, text=text) for code, text in texts.items())


def test_the_latest_list_tells_what_a_code_means_and_of_none_there_is_no_text() -> None:
    assert code_sets.text("carc", "45") == ""
    listed("carc", {"45": "Old"}, date(2025, 1, 1))
    listed("carc", {"45": "Above the fee schedule"})
    assert (code_sets.text("carc", "45"), code_sets.text("carc", "46")) == ("Above the fee schedule", "")


def test_entries_refusals_and_steps_carry_the_clinics_own_texts() -> None:
    listed("carc", {"16": "Something is missing"})
    listed("rarc", {"N382": "No number of the patient"})
    listed("cscc", {"A7": "Not valid."})
    listed("csc", {"507": "Code of the service."})
    claim = make_claim(status="denied", denial_reason="x", response_date=Clinic.today())
    make_posting(claim, "CO", "16", "150.00", remarks="N382,M1")
    make_event(claim, "277CA", "A7", details=["A7:507:IL", "A3:21"])
    desk = client_for(make_user(role="receptionist"))
    (entry,) = desk.get("/api/v1/postings/").data["results"]
    assert (entry["reason_text"], entry["remark_texts"]) == ("Something is missing", ["No number of the patient", ""])
    (row,) = desk.get("/api/v1/insurance-claims/denials/").data["results"]
    assert row["refusals"][0]["reason_text"] == "Something is missing"
    assert row["refusals"][0]["remark_texts"] == ["No number of the patient", ""]
    (step,) = desk.get(f"/api/v1/insurance-claims/{claim.pk}/timeline/").data["events"]
    assert step["detail_texts"] == ["Not valid. Code of the service.", ""]
