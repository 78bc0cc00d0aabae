"""Holds what an e-mail about a credential says, and that it is decided when it is sent and never sent twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Clinic, Heartbeat
from backend.apps.credentials import ladder, policies
from backend.apps.credentials.models import CredentialNotice
from backend.apps.credentials.tests.factories import lapsing, make_notice
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees.models import Employee
from backend.apps.employees.tests.factories import make_employee, make_employee_credential
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from integrations.doubles.sendgrid import SendGridDouble
from tests.support.api_contract import client_for
from tests.support.pages import signed_in
from workers import credentials, gateways

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clinic(settings: Any) -> Clinic:
    settings.PUBLIC_BASE_URL = "https://clinic.example.org"
    Clinic.objects.all().delete()
    User.objects.filter(role="admin").update(is_active=False)
    return Clinic.objects.create(name="Elm Street Clinic")


@pytest.fixture(autouse=True)
def outbox(settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.EMAIL_TRANSPORT, settings.DATA_DIR = "sandbox", tmp_path
    gateways._clients.__dict__.clear()
    yield tmp_path / "outbox"
    gateways._clients.__dict__.clear()


def swept() -> str:
    """Raise and send what is due."""
    ladder.raise_due(Clinic.today())
    return sent()


def sent() -> str:
    CredentialNotice.work.filter(work_state="waiting").update(due_at=timezone.now() - timedelta(hours=1))
    return credentials.notify()


def mails(outbox: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(outbox.glob("*.json"))]


def statuses() -> list[tuple[str, str]]:
    return list(CredentialNotice.objects.order_by("audience").values_list("status", "work_state"))


def test_the_holder_is_told_what_expires_when_what_follows_and_where_to_renew_it(outbox: Path) -> None:
    row = lapsing(30)
    assert swept() == "1 done"
    assert swept() == "nothing due"
    (mail,) = mails(outbox)
    assert (mail["to"], mail["subject"]) == (row.doctor.user.email, "Your state license (NY) expires in 30 days")
    assert f"{row.expiry_date:%B} {row.expiry_date:%-d, %Y}" in mail["text"]
    assert "From the day after the clinic's computer refuses new appointments, prescriptions and claims" in mail["text"]
    assert f"https://clinic.example.org/admin/doctors/doctorcredential/{row.pk}/change/" in mail["text"]
    notice = CredentialNotice.objects.get()
    assert (notice.status, notice.recipient_email, notice.external_id) == ("sent", mail["to"], mail["id"])


def test_the_manager_is_told_whose_it_is_but_nothing_of_anybodys_health(outbox: Path) -> None:
    boss = make_employee()
    nurse = make_employee(user=make_user("nurse", first_name="Joy", last_name="Reed"), manager=boss)
    make_employee_credential(
        employee=nurse, credential_type="immunization", number="Zqnumber", issuing_organization="Zqvaccine",
        state="NY", expiry_date=Clinic.today() - timedelta(days=1),
    )  # fmt: skip
    assert swept() == "2 done"
    told = {mail["to"]: mail for mail in mails(outbox)}
    assert told[boss.user.email]["subject"] == "Joy Reed's record on file expired 1 day ago"
    assert told[nurse.user.email]["subject"] == "Your record on file expired 1 day ago"
    assert "zq" not in json.dumps(list(told.values())).lower()
    assert "immuni" not in json.dumps(list(told.values())).lower()
    assert "refuses" not in told[nurse.user.email]["text"]


@pytest.mark.parametrize("of", ["doctor", "employee"])
def test_who_is_told_of_anothers_opens_the_link_and_who_is_not_does_not(outbox: Path, of: str) -> None:
    boss, admin = make_employee(user=make_user("receptionist")), make_user("admin")
    if of == "doctor":
        row = lapsing(0)
        make_employee(user=row.doctor.user, manager=boss)
    else:
        row = make_employee_credential(employee=make_employee(manager=boss), expiry_date=Clinic.today())
    assert swept() == "3 done"
    told = {mail["to"]: mail["text"] for mail in mails(outbox)}
    page = f"https://clinic.example.org/console/credentials/{row.pk}/"
    for user, status in ((boss.user, 200), (admin, 200), (make_user("receptionist"), 404)):
        assert status == 404 or page in told[user.email]
        answer = signed_in(user).get(page.removeprefix("https://clinic.example.org"))
        assert answer.status_code == status
        assert status == 404 or "On the day" in answer.content.decode()
    url = f"/api/v1/{of}-credentials/{row.pk}/"
    assert client_for(boss.user).get(url).status_code == 200
    assert client_for(boss.user).patch(url, {"number": "1"}, format="json").status_code == 403
    assert client_for(boss.user).post(f"{url}verify/").status_code == 403


def test_who_has_nothing_to_do_with_it_by_now_is_not_told(outbox: Path) -> None:
    boss, other, today = make_employee(), make_employee(), Clinic.today()
    admin, nurse = make_user("admin"), make_employee(manager=boss)
    given = make_employee_credential(employee=nurse, expiry_date=today)
    left = make_employee_credential(employee=make_employee(), expiry_date=today + timedelta(days=30))
    ladder.raise_due(today)
    type(given).objects.filter(pk=given.pk).update(employee=other)
    ladder.raise_due(today)
    User.objects.filter(pk=admin.pk).update(role="nurse")
    Employee.objects.filter(pk=left.employee_id).update(status="terminated", termination_date=today)
    assert sent() == "1 done, 4 not needed"
    assert [mail["to"] for mail in mails(outbox)] == [other.user.email]


def test_only_what_is_told_each_week_says_that_it_is_told_again(outbox: Path) -> None:
    policies.set_policy(by=None, credential_type="dea", weekly_after=False)
    for kind in ("state_license", "dea"):
        lapsing(30, credential_type=kind)
    assert swept() == "2 done"
    again = {mail["subject"].split()[1]: "told again until" in mail["text"] for mail in mails(outbox)}
    assert again == {"state": True, "DEA": False}


def test_what_was_renewed_left_or_told_by_a_later_tier_meanwhile_is_not_told(outbox: Path) -> None:
    today = Clinic.today()
    renewed, left, later, closed = (lapsing(30) for _ in range(4))
    ladder.raise_due(today)
    DoctorCredential.objects.filter(pk=renewed.pk).update(replaced_by=lapsing(400, doctor=renewed.doctor))
    left.doctor.delete()
    User.objects.filter(pk=closed.doctor.user_id).update(is_active=False)
    ladder.raise_due(today + timedelta(days=16))
    assert sent() == "1 done, 4 not needed"
    assert [mail["to"] for mail in mails(outbox)] == [later.doctor.user.email]
    assert sorted(statuses()) == [("not_needed", "done")] * 4 + [("sent", "done")]


def test_without_an_address_a_person_is_told(outbox: Path) -> None:
    row = lapsing(30)
    User.objects.filter(pk=row.doctor.user_id).update(email="")
    assert swept() == "1 failed"
    notice = CredentialNotice.objects.get()
    assert (notice.status, notice.work_state) == ("failed", "failed")
    assert notice.last_error.startswith("no e-mail address is on file for who is to be told")
    assert mails(outbox) == []


def test_a_mail_whose_answer_was_lost_is_held_and_not_sent_again(settings: Any) -> None:
    with SendGridDouble() as double:
        settings.EMAIL_TRANSPORT, settings.SENDGRID_BASE_URL = "sendgrid", double.url
        settings.SENDGRID_API_KEY, settings.SENDGRID_FROM = "SG.test", "clinic@example.org"
        double.fail_next(drop=True, accepted=True)
        lapsing(30)
        assert swept() == "1 held"
        assert sent() == "nothing due"
        assert len(double.sent) == 1
    assert statuses() == [("pending", "held")]


def test_the_digest_is_written_when_it_is_sent(outbox: Path) -> None:
    admin, day = make_user("admin"), Clinic.today()
    fields = {"alert": None, "audience": "administrator", "recipient": admin}
    for number in range(2):
        CredentialNotice.objects.create(day=day - timedelta(days=number), dedupe_key=f"digest:{number}", **fields)
    row = lapsing(30)
    ladder.raise_due(day)
    assert sent() == "2 done, 1 not needed"
    (mail,) = [mail for mail in mails(outbox) if mail["to"] == admin.email]
    assert mail["subject"] == "Elm Street Clinic: 1 credential due"
    assert f"{row.doctor.full_name}: state license (NY) expires in 30 days" in mail["text"]
    row.delete()
    CredentialNotice.objects.create(day=day + timedelta(days=1), dedupe_key="digest:next", **fields)
    assert sent() == "1 not needed"


def test_the_sweep_notes_its_beat_and_rings_once_for_all(
    rung: list[str], monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    for _ in range(3):
        lapsing(30)
    noon = timezone.now().replace(hour=17)
    monkeypatch.setattr(credentials.timezone, "now", lambda: noon)
    with django_capture_on_commit_callbacks(execute=True):
        assert credentials.sweep() == "3 looked at, 3 raised, 3 told"
    assert rung == [ladder.NOTIFY]
    with django_capture_on_commit_callbacks(execute=True):
        assert credentials.sweep() == "nothing due"
    assert rung == [ladder.NOTIFY]
    assert Heartbeat.objects.get(entry="credential tiers").runs == 2


def test_a_notice_of_a_policy_with_other_needs_tells_those(outbox: Path) -> None:
    policies.set_policy(by=None, credential_type="state_license", needed_for=["claims"])
    notice = make_notice()
    assert sent() == "1 done"
    assert "refuses claims for what the doctor did where" in mails(outbox)[0]["text"]
    assert mails(outbox)[0]["to"] == notice.recipient.email
