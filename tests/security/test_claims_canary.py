"""Sends people whose every field is a mark as claims and questions to payers, and looks where no mark may be."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as clinic_settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert, Clinic
from backend.apps.core.sealed import written
from backend.apps.insurance.models import (
    EligibilityInquiry,
    InboundFile,
    InsuranceClaim,
    Interchange,
    PatientInsurance,
    Remittance,
    RemittanceClaim,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests import factories
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.x12.fake import FakeClearinghouse
from integrations.x12.sniff import Kind
from tests.support.api_contract import client_for
from tests.support.disguises import packed, uncovered
from tests.support.pages import signed_in
from tests.support.stores import about_rows, everything_in, stored
from tests.workers.claims import answers
from workers import claims_watch, eligibility
from workers.claims import building, collecting, reading, transmitting

NAME = "Zqcanary"  # as long as it is, it stands in no number that is drawn from letters
HOME = {"address_line1": f"1 {NAME} Street", "city": f"{NAME}town", "state": "TX", "postal_code": "73917-3917"}
PERSON: dict[str, Any] = {
    "first_name": f"{NAME}first", "last_name": f"{NAME}last", "phone": "+14155557391",
    "email": "zqcanary@example.org", **HOME,
}  # fmt: skip
HOLDER: dict[str, Any] = {
    "policy_holder_relationship": "child", "policy_holder_dob": date(1929, 6, 21), "policy_holder_sex": "F",
    "policy_holder_first_name": f"{NAME}parent", "policy_holder_last_name": f"{NAME}holder",
    "policy_holder_name": f"{NAME}parent {NAME}holder", **{f"policy_holder_{name}": HOME[name] for name in HOME},
}  # fmt: skip
MEMBER, TAX_ID, DIAGNOSIS, SAID = "ZQCANARY4417", "219098374", "Z63.79", f"{NAME.upper()}FIRST {NAME.upper()}LAST"
PAYEE = "1234567893"  # who is paid in the answers that are written here
SENT = {"zqcanary", "19310723", "19570819", "19290621", "219098374", "739173917", "z6379"}
MARKS = (
    "zqcanary", "1931-07-23", "19310723", "1957-08-19", "19570819", "1929-06-21", "19290621", "4155557391",
    "219098374", "739173917", "73917-3917", "z63.79", "z6379",
)  # fmt: skip
PACKED = packed(*MARKS)
WORDS = {
    "last_error", "status_reason", "dedupe_key", "findings", "problem", "reason", "codes", "details", "pause_reason",
    "remarks", "file_name", "batch_reference", "claim_control_number", "control_number", "claim_number", "kinds",
    "transaction_number", "trace", "staged_where",
}  # fmt: skip
LINK = re.compile(r"""(?:href|action|src)=["']([^"']*)["']""")


def marks_in(*texts: object) -> list[str]:
    whole = uncovered(" ".join(map(str, texts)))
    small = whole.lower()
    return [mark for mark in MARKS if mark in small] + sorted(part for part in PACKED if part in whole)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FakeClearinghouse]:
    with FakeClearinghouse(tmp_path / "house") as running:
        yield running


@pytest.fixture
def partner(house: FakeClearinghouse, settings: Any, tmp_path: Path, transactional_db: None) -> TradingPartner:
    settings.CLAIMS_LOOK_AGAIN_S, settings.PARTNER_SECRETS = 0.0, tmp_path / "secrets"
    settings.PARTNER_SECRETS.mkdir()
    (settings.PARTNER_SECRETS / "house").write_text(house.client_key)
    biller = {"first_name": "Alex", "name": "Biller", "tax_id": TAX_ID, "tax_id_type": "SY", "npi": PAYEE}
    factories.billing_entity(is_default=True, **biller)
    return factories.partner(
        transport="sftp", host=house.host, port=house.port, host_key=house.host_key, username=house.username,
        secret_name="house", outbound_folder="inbound", inbound_folder="outbound", ack_requested=True,
    )  # fmt: skip


class Play:
    """The desk, who is covered, and everything that was said to the desk in between."""

    def __init__(self, partner: TradingPartner, house: FakeClearinghouse) -> None:
        self.partner, self.house = partner, house
        self.api = client_for(make_user("receptionist"))
        self.pages: Client = signed_in("admin")
        self.refusals: list[str] = []
        self.doctor = factories.rendering_doctor()
        self.plan = factories.make_plan()
        way = {"answers_eligibility": True, "answers_status": True}
        self.way = factories.route(partner=partner, provider=self.plan.provider, **way)
        adult = make_patient(**PERSON, date_of_birth=date(1931, 7, 23), medical_record_number="ZQCANARYMRN1")
        child = make_patient(**PERSON, date_of_birth=date(1957, 8, 19), medical_record_number="ZQCANARYMRN2")
        self.own, self.childs = self.cover(adult), self.cover(child, **HOLDER)

    def cover(self, patient: Patient, **more: Any) -> PatientInsurance:
        numbers = {"member_id": MEMBER, "policy_number": f"{NAME}POL", "group_number": f"{NAME}GRP"}
        return factories.make_patient_insurance(patient=patient, insurance_plan=self.plan, **numbers, **more)

    def draft(self, coverage: PatientInsurance, day: int, **over: Any) -> str:
        """Draft a claim for a visit `day` days ago; return its id."""
        lines = [factories.line(description=f"{NAME} drug", note=f"{NAME} note")]
        body = {
            "patient_insurance": str(coverage.pk), "service_date": str(Clinic.today() - timedelta(days=day)),
            "rendering_doctor": str(self.doctor.pk), "diagnosis_codes": [DIAGNOSIS], "procedure_codes": lines, **over,
        }  # fmt: skip
        answer = self.api.post("/api/v1/insurance-claims/", body)
        assert answer.status_code == 201, answer.data
        return str(answer.data["id"])

    def submitted(self, coverage: PatientInsurance, day: int) -> InsuranceClaim:
        pk = self.draft(coverage, day)
        answer = self.api.post(f"/api/v1/insurance-claims/{pk}/submit/", {})
        assert (answer.status_code, answer.data.get("submission_state")) == (200, "queued"), answer.data
        return InsuranceClaim.objects.get(pk=pk)

    def refused(self, url: str, body: dict[str, Any] | None = None) -> None:
        answer = self.api.post(f"/api/v1/{url}", body or {})
        assert 400 <= answer.status_code < 500, (url, answer.data)
        self.refusals.append(f"{url} {answer.content.decode()}")

    def send(self) -> None:
        self.api.post(f"/api/v1/trading-partners/{self.partner.pk}/build_now/")
        for task in (building.build_due, eligibility.build, transmitting.transmit_due):
            run(task)
        assert not Interchange.objects.exclude(status__in=("sent", "acknowledged")).exists()

    def take_in(self, *kinds: str) -> None:
        self.house.settle()
        assert self.house.answer(*kinds)
        self.api.post(f"/api/v1/trading-partners/{self.partner.pk}/collect_now/")
        run(collecting.collect_due)
        run(reading.read_due)

    def leave(self, name: str, content: bytes) -> InboundFile:
        """Let the partner leave a file that was there for a while, and let it be read."""
        path = self.house.outbound() / name
        path.write_bytes(content)
        os.utime(path, (time.time() - 3600,) * 2)
        run(collecting.collect_due)
        run(reading.read_due)
        return InboundFile.objects.get(name=name)


def run(task: Any) -> str:
    """Run a task as a worker does, with Celery's own log of how it ended."""
    return str(task.apply().result)


@pytest.mark.django_db(transaction=True)
def test_who_is_billed_is_told_to_the_partner_and_to_nobody_who_listens(
    partner: TradingPartner, house: FakeClearinghouse, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG, logger="")
    play = Play(partner, house)
    scrubbed(play)
    claims = sent(play)
    answered(play, claims)
    odd_answers(play, claims["paid"])
    poisoned(play, monkeypatch)
    silent(play)
    seen = walked(play, claims)
    assert set(marks_in(*(file.read_text() for file in house.inbound().iterdir()))) == SENT
    assert marks_in(caplog.text, *capfd.readouterr()) == []
    assert not any(logging.getLogger(name).propagate for name in ("pyx12", "x12sdk")), "they quote whole segments"
    assert not logging.getLogger("paramiko").isEnabledFor(logging.CRITICAL), "it quotes names and servers"
    assert "in its handler" in caplog.text, "the poison was taken for a bug, and told"
    assert marks_in(*map(bells, {clinic_settings.REDIS_URL, clinic_settings.CELERY_BROKER_URL})) == []
    for table, columns in (about_rows() | insurance_places()).items():
        assert marks_in(stored(table, columns)) == [], table
    assert len(play.refusals) == 9
    assert marks_in(*play.refusals) == []
    assert marks_in(*seen) == []
    assert marks_in(*house.ledger(), *(file.name for file in house.inbound().iterdir())) == []
    assert marks_in(*(Client().get(page).content.decode() for page in ("/readyz", "/metrics"))) == []
    assert marks_in([session.get_decoded() for session in Session.objects.all()]) == []


def scrubbed(play: Play) -> None:
    """Draft what must not leave, and mistype about the covered."""
    late = play.cover(play.own.patient, priority=2, effective_date=Clinic.today())
    bad = play.draft(late, 40, diagnosis_codes=["W19.XXXA", DIAGNOSIS])
    assert play.api.post(f"/api/v1/insurance-claims/{bad}/scrub/", {}).data["findings"]
    play.refused(f"insurance-claims/{bad}/submit/")
    again = {"patient": str(play.own.patient_id), "insurance_plan": str(play.plan.pk), "member_id": MEMBER}
    play.refused("patient-insurances/", {**again, "policy_number": f"{NAME}POL", "effective_date": f"{NAME}day"})


def sent(play: Play) -> dict[str, InsuranceClaim]:
    """Submit claims and ask about a coverage; one claim can no longer be written when its file is made."""
    marred = play.cover(make_patient(**PERSON, date_of_birth=date(1931, 7, 23)))
    claims = {
        "paid": play.submitted(play.own, 8),
        "denied": play.submitted(play.childs, 9),
        "rejected": play.submitted(play.childs, 10),
        "marred": play.submitted(marred, 11),
    }
    unwritable = written(PatientInsurance, marred.pk, member_id=f"{MEMBER}\u4e2d")
    PatientInsurance.objects.filter(pk=marred.pk).update(**unwritable)
    play.refused(f"insurance-claims/{claims['paid'].pk}/submit/")
    for coverage in (play.own, play.childs):
        answer = play.api.post("/api/v1/eligibility-inquiries/", {"coverage": str(coverage.pk)})
        assert answer.status_code == 201, answer.data
    play.refused(f"insurance-claims/{claims['paid'].pk}/deny/", {"reason": f"{NAME} has no cover"})
    play.send()
    assert Submission.objects.get(claim=claims["marred"]).status_reason
    for verb in ("withdraw", "correct", "void"):
        play.refused(f"insurance-claims/{claims['paid'].pk}/{verb}/")
    return claims


def answered(play: Play, claims: dict[str, InsuranceClaim]) -> None:
    """Let the clearinghouse answer every question and decide every claim."""
    numbers = {name: claim.control_number for name, claim in claims.items()}
    unknown = EligibilityInquiry.objects.get(coverage=play.childs).trace
    play.house.order(
        rejected_277={numbers["rejected"]: "A3:33"}, denied={numbers["denied"]: "CO-197"}, inquiries={unknown: "75"}
    )
    file = Interchange.objects.get(kind="837P")
    wrong = ("IK3*NM1*12*2010BA*8", f"CTX*CLM01:{numbers['paid']}", f"IK4*9:1*67*7*{MEMBER}")
    play.leave("errors.x12", answers.content(answers.ack(file, "E", *wrong)))
    play.take_in("TA1", "999", "277CA", "277CA-payer", "271")
    play.take_in("835")
    assert {name: answers.stands(claim)[0] for name, claim in claims.items()} == {
        "paid": "paid", "denied": "denied", "rejected": "rejected", "marred": "draft",
    }  # fmt: skip
    assert set(EligibilityInquiry.objects.values_list("status", flat=True)) == {"answered", "rejected"}
    play.refused(f"interchanges/{file.pk}/mark_not_received/")


def payment(number: str, paid: str = "100") -> answers.Set:
    """Return an 835 over 100 about a claim, which says who it is about."""
    claim = [
        f"CLP*{number}*1*150*100*20*12*PAYER1*11*1", f"NM1*QC*1*{NAME}LAST*{NAME}FIRST****MI*{MEMBER}",
        "SVC*HC:99213*150*100**1", "CAS*CO*45*30", "CAS*PR*2*20",
    ]  # fmt: skip
    return answers.remittance(claim, paid=paid)


def odd_answers(play: Play, claim: InsuranceClaim) -> None:
    """Let the partner leave what fits nothing, cannot be read or repeats free text of payers; none of it is ours."""
    told = answers.status(f"A3:33*{answers.DAY}*U*150{'*' * 8}{SAID} {MEMBER}", trace="NOBODY00000000000")
    stray = ["BHT*0022*11*REF1*20261126*1200", "HL*1**20*1", "NM1*PR*2*PAYER*****PI*P1", "HL*2*1*21*1",
             "NM1*1P*2*CLINIC*****XX*1234567893", "HL*3*2*22*0", "TRN*2*NOTOURS*1123456789",
             f"NM1*IL*1*{SAID.replace(' ', '*')}****MI*{MEMBER}", "AAA*N**75*C", f"MSG*{SAID} 19310723"]  # fmt: skip
    left = {
        "unmatched": answers.content(payment("NOBODY00000000000")),
        "unbalanced": answers.content(payment(claim.control_number, paid="7391.00")),
        "strangers": answers.content(told, ("271", stray)),
        "cut": answers.content(payment("NOBODY00000000001"))[:-60],
        "page": f"<html>{SAID} {MEMBER} 1931-07-23</html>".encode(),
        "marks": answers.content(payment("NOBODY00000000002")).replace(b"CLP*", f"{NAME}*".encode()),
        "bare": f"ISA*{SAID}*{MEMBER}~GS~IEA*1*000000001~".encode(),
    }
    states = {name: play.leave(f"{name}.x12", content).status for name, content in left.items()}
    assert {name for name, state in states.items() if state == "quarantined"} >= {"cut", "page", "bare"}, states
    assert Remittance.objects.filter(status="quarantined").exists()
    assert MEMBER in {row.member_id for row in RemittanceClaim.objects.filter(state="unmatched")}
    posted = RemittanceClaim.objects.filter(state="posted").first()
    assert posted is not None
    play.refused(f"remittance-claims/{posted.pk}/match/", {"claim": str(claim.pk)})


def poisoned(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an answer be taken by a reader with a bug, whose words and whose values hold all there is."""

    def stumble(_source: object, transaction: Any) -> None:
        first = list(transaction.segments)
        raise KeyError(f"{SAID} {MEMBER} {first}")  # what is kept of it is cut at its end

    with monkeypatch.context() as patch:
        patch.setattr(reading, "APPLY", {**reading.APPLY, Kind.REMITTANCE: stumble})
        file = play.leave("poison.x12", answers.content(payment("NOBODY00000000003")))
    assert (file.status, "KeyError" in file.status_reason) == ("quarantined", True)


def silent(play: Play) -> None:
    """Let days pass, and another host answer at the partner's address; people are told of both."""
    long_ago = timezone.now() - timedelta(days=60)
    play.submitted(play.own, 12)
    play.send()
    Interchange.objects.filter(status="sent").update(sent_at=long_ago)
    Submission.objects.update(sent_at=long_ago)
    InboundFile.objects.update(received_at=long_ago, created_at=long_ago)
    Remittance.objects.update(created_at=long_ago)
    for task in (claims_watch.look, claims_watch.look_daily):
        run(task)
    TradingPartner.objects.update(host_key="SHA256:" + "A" * 43)
    run(collecting.collect_due)
    assert TradingPartner.objects.filter(pk=play.partner.pk).exclude(paused_at=None).exists()
    assert Alert.objects.filter(kind="claims_partner_paused").exists()
    assert len(set(Alert.objects.values_list("kind", flat=True))) >= 4


def walked(play: Play, claims: dict[str, InsuranceClaim]) -> list[str]:
    """Read the console as a biller does; return every address on its pages, and where its forms lead."""
    told = RemittanceClaim.objects.filter(state="unmatched").first()
    assert told is not None
    paths = [f"{claim.pk}/{page}" for claim in claims.values() for page in ("", "proof/")]
    paths += ["", "files/", "files/inbound/", "payments/", "payments/unplaced/", "payments/deposits/"]
    paths += [f"payments/{told.remittance_id}/", f"payments/claims/{told.pk}/"]
    paths += [f"work/{name}/" for name in ("rejected", "denied", "unbilled")]
    seen: list[str] = []
    shown = 0
    for path in paths:
        page = play.pages.get(f"/console/claims/{path}")
        assert page.status_code == 200, path
        text = page.content.decode()
        shown += NAME.lower() in text.lower()
        seen += LINK.findall(text)
    assert shown, "the pages show who is billed"
    for path, form in forms(claims, told):
        answer = play.pages.post(f"/console/claims/{path}", form)
        seen.append(answer.headers.get("Location", ""))
    return seen


def forms(claims: dict[str, InsuranceClaim], told: RemittanceClaim) -> list[tuple[str, dict[str, str]]]:
    """Return forms of the console with what people write there."""
    why = {"reason": f"{NAME} called about 1931-07-23"}
    wrong = {"claim": f"{NAME} {MEMBER}", "number": MEMBER, "trace": MEMBER, "amount": NAME, "received_on": NAME}
    return [
        (f"payments/claims/{told.pk}/match/", wrong),
        (f"payments/claims/{told.pk}/dismiss/", why),
        (f"{claims['denied'].pk}/close/", why),
        ("payments/deposits/new/", wrong),
    ]


def bells(url: str) -> str:
    """Return all a Redis holds, in which bells wait."""
    text = everything_in(url)
    assert '"body": "' in text, "so there is something to look through"
    return text


def insurance_places() -> dict[str, list[str]]:
    """Return {table: columns} of what billing says in words, codes and numbers of its own."""
    found = {}
    for model in apps.get_app_config("insurance").get_models():
        names = {field.column for field in model._meta.fields} & WORDS
        if names:
            found[model._meta.db_table] = [f'"{name}"' for name in sorted(names)]
    return found


@pytest.mark.django_db
def test_a_planted_leak_is_found_where_it_was_planted(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("workers.claims").warning("no claim for %s", MEMBER)
    assert marks_in(caplog.text) == ["zqcanary"]
    alerts.open_once("canary", kind="claims_file", sentence=f"The claim of {PERSON['last_name']} was refused.")
    assert marks_in(stored("core_alert", about_rows()["core_alert"])) == ["zqcanary"]
    assert {"insurance_inboundfile", "insurance_submission", "insurance_interchange"} <= set(insurance_places())
