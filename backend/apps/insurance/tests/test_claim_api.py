"""Proves the way of a claim over HTTP: scrubbed, submitted, withdrawn, corrected, and whom it goes to and from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.apps.core import dispatch
from backend.apps.core.models import Alert, AuditLog
from backend.apps.insurance import partner_checks, pauses
from backend.apps.insurance.models import (
    BillingEntity,
    InsuranceClaim,
    PartnerPayer,
    PriorAdjudication,
    ReferringProvider,
    ServiceFacility,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests.factories import (
    billing_entity,
    line,
    make_claim,
    make_patient_insurance,
    make_plan,
    make_prior_adjudication,
    make_provider,
    make_submission,
    partner,
    ready_claim,
    referring_provider,
    route,
    service_facility,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
CLAIMS, PARTNERS, PRIORS = "/api/v1/insurance-claims/", "/api/v1/trading-partners/", "/api/v1/prior-adjudications/"
BILLING = "/api/v1/billing-entities/"


class TestBillingEntities(ApiContract):
    url, reader, stranger = BILLING, "receptionist", "doctor"

    def make(self) -> BillingEntity:
        return billing_entity()


class TestServiceFacilities(ApiContract):
    url, reader, stranger = "/api/v1/service-facilities/", "receptionist", "doctor"

    def make(self) -> ServiceFacility:
        return service_facility()


class TestReferringProviders(ApiContract):
    url, reader, stranger = "/api/v1/referring-providers/", "receptionist", "doctor"

    def make(self) -> ReferringProvider:
        return referring_provider()


class TestTradingPartners(ApiContract):
    url, reader, stranger = PARTNERS, "receptionist", "doctor"

    def make(self) -> TradingPartner:
        return partner()


class TestPartnerPayers(ApiContract):
    url, reader, stranger = "/api/v1/partner-payers/", "receptionist", "doctor"

    def make(self) -> PartnerPayer:
        return route()


class TestSubmissions(ApiContract):
    url, reader, stranger = "/api/v1/submissions/", "receptionist", "doctor"

    def make(self) -> Submission:
        return make_submission(make_patient())


class TestPriorAdjudications(ApiContract):
    url, reader, stranger = PRIORS, "receptionist", "doctor"

    def make(self) -> PriorAdjudication:
        return make_prior_adjudication(make_patient())


def desk() -> Any:
    return client_for(make_user("receptionist"))


def test_scrubbing_answers_what_is_wrong_and_changes_nothing() -> None:
    claim = ready_claim(place_of_service="98", prior_authorization="A-1")
    answer = desk().post(f"{CLAIMS}{claim.pk}/scrub/")
    assert (answer.status_code, answer.data["errors"], answer.data["warnings"]) == (200, 1, 0)
    assert [(one["rule"], one["severity"], one["path"]) for one in answer.data["findings"]] == [
        ("place-unknown", "error", "place_of_service")
    ]
    assert not Submission.objects.exists()
    assert AuditLog.objects.filter(action="scrub", resource_id=str(claim.pk), outcome="allowed").count() == 1


def test_no_answer_of_the_edits_holds_a_value_of_the_patient() -> None:
    patient = make_patient(last_name="Canaryson", state="ZZ", postal_code="0000")
    coverage = make_patient_insurance(patient=patient, member_id="Q")
    claim = ready_claim(patient_insurance=coverage, procedure_codes=[line(place_of_service="98")])
    api = desk()
    answers = [api.post(f"{CLAIMS}{claim.pk}/{verb}/") for verb in ("scrub", "submit")]
    assert [answer.status_code for answer in answers] == [200, 422]
    for answer in answers:
        text = json.dumps(answer.data, default=str)
        assert len(answer.data["findings"]) == 4
        assert not [
            value
            for value in ("Canaryson", "1980", "0000", "ZZ", "Elm", "98")
            if value in text.replace(str(claim.pk), "")
        ]


def test_a_refused_submission_names_its_findings_as_problem_details() -> None:
    answer = desk().post(f"{CLAIMS}{ready_claim(place_of_service='98').pk}/submit/")
    assert (answer.status_code, answer.data["type"]) == (422, "urn:carerelay:problem:claim_has_errors")
    assert answer.data["findings"][0]["rule"] == "place-unknown"
    assert "place of service" in answer.data["detail"]


def test_a_clean_claim_is_queued_and_can_be_withdrawn() -> None:
    api, claim = desk(), ready_claim()
    answers = [api.post(f"{CLAIMS}{claim.pk}/{verb}/") for verb in ("submit", "withdraw", "withdraw")]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert [answer.data["submission_state"] for answer in answers[:2]] == ["queued", ""]
    assert answers[0].data["status"] == "draft"


def test_a_claim_in_line_is_not_changed_over_http() -> None:
    api, claim = desk(), ready_claim()
    api.post(f"{CLAIMS}{claim.pk}/submit/")
    answer = api.patch(f"{CLAIMS}{claim.pk}/", {"note": "later"})
    assert (answer.status_code, "Withdraw it first" in answer.data["detail"]) == (422, True)
    assert api.delete(f"{CLAIMS}{claim.pk}/").status_code == 422


def test_many_are_scrubbed_and_submitted_in_one_call() -> None:
    api, clean, bad = desk(), ready_claim(), ready_claim(place_of_service="98")
    asked = {"ids": [str(bad.pk), str(clean.pk)]}
    found = api.post(f"{CLAIMS}scrub/", asked, format="json")
    assert [(one["id"], one["errors"]) for one in found.data] == [(str(bad.pk), 1), (str(clean.pk), 0)]
    told = api.post(f"{CLAIMS}submit/", asked, format="json")
    assert [(one["outcome"], bool(one["findings"])) for one in told.data] == [("refused", True), ("queued", False)]
    drafts = api.post(f"{CLAIMS}scrub/", {"all_drafts": True}, format="json")
    assert {one["id"] for one in drafts.data} == {str(bad.pk)}


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": ["x"]}, {"ids": ["0199c0de-0000-7000-8000-000000000001"]}, {"all_drafts": False},
     {"ids": ["0199c0de-0000-7000-8000-000000000001"] * 501}],
)  # fmt: skip
def test_a_list_of_claims_that_is_none_is_400(body: dict[str, Any]) -> None:
    for verb in ("scrub", "submit"):
        assert desk().post(f"{CLAIMS}{verb}/", body, format="json").status_code == 400


@pytest.mark.parametrize(("verb", "frequency"), [("correct", "7"), ("void", "8")])
def test_a_judged_claim_is_followed_by_another_one(verb: str, frequency: str) -> None:
    claim = ready_claim()
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        status="accepted", submission_date=claim.service_date, insurance_reference_number="ICN1"
    )
    answer = desk().post(f"{CLAIMS}{claim.pk}/{verb}/")
    assert (answer.status_code, answer.data["frequency"], str(answer.data["original"])) == (
        200,
        frequency,
        str(claim.pk),
    )
    assert answer.data["id"] != str(claim.pk)


def test_a_claim_takes_all_that_its_file_says() -> None:
    coverage = make_patient_insurance(insurance_plan=make_plan(timely_filing_days=90))
    own = {
        "billing_entity": str(billing_entity().pk),
        "referring_provider": str(referring_provider().pk),
        "service_facility": str(service_facility().pk),
        "place_of_service": "22",
        "referral_number": "R1",
        "accident": "AA",
        "accident_on": "2026-01-02",
        "accident_state": "NY",
        "delay_reason": "7",
        "patient_paid": "20.00",
        "note": "n",
    }
    body = {
        "patient_insurance": str(coverage.pk),
        "service_date": "2026-01-31",
        "diagnosis_codes": ["E11.9"],
        "procedure_codes": [line()],
        **own,
    }
    answer = desk().post(CLAIMS, body, format="json")
    assert answer.status_code == 201, answer.data
    assert {name: str(answer.data[name]) for name in own} == own
    assert (str(answer.data["filing_deadline"]), answer.data["frequency"]) == ("2026-05-01", "1")


def test_a_car_accident_needs_its_state() -> None:
    answer = desk().patch(f"{CLAIMS}{make_claim().pk}/", {"accident": "AA", "accident_on": "2026-01-02"})
    assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, "accident_state")


def test_a_number_for_taxes_goes_in_and_only_an_employers_last_digits_come_out_to_the_administrator() -> None:
    api = client_for(make_user("admin"))
    body = {
        "name": "Clinic", "npi": billing_entity().npi, "tax_id": "123456789", "address_line1": "1 Main St",
        "city": "Albany", "state": "NY", "postal_code": "12207-1234", "contact_name": "Desk",
        "contact_phone": "+15182345678",
    }  # fmt: skip
    made = api.post(BILLING, body)
    assert (made.status_code, made.data["tax_id_ends"]) == (201, "6789")
    assert desk().get(f"{BILLING}{made.data['id']}/").data["tax_id_ends"] == ""
    person = api.post(BILLING, {**body, "first_name": "Tess", "tax_id_type": "SY", "tax_id": "078051120"})
    assert person.data["tax_id_ends"] == ""
    assert "tax_id" not in person.data
    assert BillingEntity.objects.get(pk=person.data["id"]).tax_id == "078051120"
    assert api.post(BILLING, {**body, "tax_id": "12-3456789"}).status_code == 400
    assert desk().post(BILLING, body).status_code == 403


def test_one_entity_bills_by_default() -> None:
    billing_entity(is_default=True)
    other = billing_entity()
    answer = client_for(make_user("admin")).patch(f"{BILLING}{other.pk}/", {"is_default": True})
    assert answer.status_code == 400


def test_a_partner_is_paused_and_resumed_by_the_administrator(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(dispatch, "send", lambda name: bool(rung.append(name)) or True)
    api, one = client_for(make_user("admin")), partner()
    url = f"{PARTNERS}{one.pk}/"
    paused = api.post(f"{url}pause/", {"reason": "They move."})
    assert (paused.status_code, paused.data["pause_reason"]) == (200, "They move.")
    assert [
        api.post(f"{url}{verb}/", {"reason": "x"} if verb == "pause" else {}).status_code
        for verb in ("pause", "build_now", "collect_now")
    ] == [422, 422, 422]
    with django_capture_on_commit_callbacks(execute=True):
        assert api.post(f"{url}resume/").data["paused_at"] is None
        assert api.post(f"{url}build_now/").status_code == 200
        assert api.post(f"{url}collect_now/").status_code == 200
    assert rung == ["claims.transmit", "claims.build", "claims.collect"]
    assert api.post(f"{url}resume/").status_code == 422
    assert [desk().post(f"{url}{verb}/").status_code for verb in ("pause", "resume", "build_now")] == [403, 403, 200]


def test_an_administrator_has_the_connection_to_a_partner_tried(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(dispatch, "send", lambda name: bool(rung.append(name)) or True)
    one, gone, api = partner(), partner(is_active=False), client_for(make_user("admin"))
    with django_capture_on_commit_callbacks(execute=True):
        assert api.post(f"{PARTNERS}{one.pk}/check/").status_code == 200
    assert rung == ["claims.probe"]
    assert partner_checks.asked() == [one]
    assert api.post(f"{PARTNERS}{gone.pk}/check/").status_code == 422
    assert desk().post(f"{PARTNERS}{one.pk}/check/").status_code == 403


def test_resuming_takes_back_what_was_told_of_the_pause() -> None:
    one = partner()
    pauses.stop(one, reason="It turns our files back.")
    assert Alert.objects.filter(resolved_at=None).count() == 1
    client_for(make_user("admin")).post(f"{PARTNERS}{one.pk}/resume/")
    assert not Alert.objects.filter(resolved_at=None).exists()


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"secondary_ids": [["2U"]]}, "secondary_ids"),
        ({"secondary_ids": "2U"}, "secondary_ids"),
        ({"secondary_ids": [["2U", 5]]}, "secondary_ids"),
        ({"member_id_pattern": "("}, "member_id_pattern"),
        ({"member_id_pattern": "([A-Z]+)+[0-9]"}, "member_id_pattern"),
    ],
)
def test_a_way_to_a_payer_is_written_right(over: dict[str, Any], field: str) -> None:
    body = {"partner": str(partner().pk), "provider": str(make_provider().pk), "payer_id": "60054", **over}
    answer = client_for(make_user("admin")).post("/api/v1/partner-payers/", body, format="json")
    assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, field)


def test_what_an_earlier_payer_decided_is_entered_with_its_lines_and_corrected() -> None:
    made = make_prior_adjudication(make_patient())
    body = {
        "claim": str(made.claim_id),
        "coverage": str(made.coverage_id),
        "paid": "100.00",
        "adjudicated_on": str(made.adjudicated_on),
        "lines": [
            {"number": 1, "paid": "80.00", "code": "99213", "units": "1", "adjustments": [["CO", "45", "45.00", None]]},
            {"number": 2, "paid": "20.00", "code": "36415", "units": "1", "adjustments": [["PR", "3", "5.00", None]]},
        ],
    }
    made.delete()
    api = desk()
    answer = api.post(PRIORS, body, format="json")
    assert answer.status_code == 201, answer.data
    assert [one["number"] for one in answer.data["lines"]] == [1, 2]
    assert api.post(f"{CLAIMS}{made.claim_id}/scrub/").data["findings"] == []
    url = f"{PRIORS}{answer.data['id']}/"
    changed = api.patch(url, {"lines": body["lines"][:1]}, format="json")
    assert [one["number"] for one in changed.data["lines"]] == [1]
    assert {one["rule"] for one in api.post(f"{CLAIMS}{made.claim_id}/scrub/").data["findings"]} == {
        "earlier-claim-balance",
        "earlier-paid-not-sum",
    }
    assert api.patch(url, {"lines": [{**body["lines"][0], "number": 9}]}, format="json").status_code == 422
    api.post(f"{CLAIMS}{made.claim_id}/scrub/")
    assert api.delete(url).status_code == 204


@pytest.mark.parametrize(
    "adjustments",
    [
        "CO",
        [["CO", "45"]],
        [["XX", "45", "1.00", None]],
        [["CO", "45", 1, None]],
        [["CO", "4 5", "1.00", None]],
        [["CO", "45", "1e3", None]],
        [["CO", "45", "1.005", None]],
        [["CO", "45", "NaN", None]],
        [["CO"] * 4],
        [None] * 31,
    ],
)
def test_adjustments_in_another_form_are_400(adjustments: Any) -> None:
    made = make_prior_adjudication(make_patient())
    answer = desk().patch(f"{PRIORS}{made.pk}/", {"adjustments": adjustments}, format="json")
    assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, "adjustments")


def test_a_decision_about_a_submitted_claim_and_of_the_payer_itself_is_refused() -> None:
    made, api = make_prior_adjudication(make_patient()), desk()
    own = {
        "claim": str(made.claim_id),
        "coverage": str(made.claim.patient_insurance_id),
        "paid": "1.00",
        "adjudicated_on": "2026-01-01",
    }
    assert api.post(PRIORS, own, format="json").status_code == 422
    assert api.post(PRIORS, {**own, "coverage": str(make_patient_insurance().pk)}, format="json").status_code == 422
    InsuranceClaim.objects.filter(pk=made.claim_id).update(status="submitted", submission_date=made.claim.service_date)
    assert api.patch(f"{PRIORS}{made.pk}/", {"paid": "1.00"}, format="json").status_code == 422
    assert api.delete(f"{PRIORS}{made.pk}/").status_code == 422


def test_submissions_are_filtered_by_state_and_claim() -> None:
    sent, api = make_submission(make_patient()), desk()
    for query, count in (("status=queued", 1), ("status=sent", 0), (f"claim={sent.claim_id}", 1)):
        assert len(api.get(f"/api/v1/submissions/?{query}").data["results"]) == count, query


@pytest.mark.parametrize(
    "model",
    ["billingentity", "servicefacility", "referringprovider", "tradingpartner", "partnerpayer", "prioradjudication"],
)
def test_the_admin_lists_and_opens_every_model(client: Any, model: str) -> None:
    makers = {
        "billingentity": billing_entity,
        "servicefacility": service_facility,
        "referringprovider": referring_provider,
        "tradingpartner": partner,
        "partnerpayer": route,
        "prioradjudication": lambda: make_prior_adjudication(make_patient()),
    }
    row = makers[model]()
    client.force_login(make_user("admin"))
    assert client.get(f"/admin/insurance/{model}/").status_code == 200
    page = client.get(f"/admin/insurance/{model}/{row.pk}/change/")
    assert page.status_code == 200
    assert b"123456789" not in page.content
