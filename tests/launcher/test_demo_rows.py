"""Proves that a demo day is not called good when what was asked and what the partner has differ from our rows."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.insurance.tests.factories import make_submission
from backend.apps.laboratory.tests.factories import make_inbound_message
from integrations.doubles.sendgrid import as_sent
from workers import statuses
from workers.cli import demo_rows, demo_silence
from workers.cli.demo_asked import ClaimsAsked, ExportAsked, Invited, LabAsked
from workers.cli.demo_counts import Verdict
from workers.cli.demo_messages import Providers, messages
from workers.cli.demo_partners import Partners
from workers.cli.demo_table import Row, is_good
from workers.cli.state import Ports, Running

pytestmark = pytest.mark.django_db
BOOKS = Verdict("agrees", agree=True)
_numbers = itertools.count(1)


class Day:
    """A day on which some patients were to get a message, and both sides of what became of it."""

    def __init__(self) -> None:
        self.began, self.partners, self.invited = timezone.now() - timedelta(hours=1), Partners(1), list[Invited]()
        self.channel = "sms"

    def row(self, channel: str = "sms") -> Row:
        at = Providers(database(), self.partners, self.began)
        return messages("texts", channel, at, self.invited, BOOKS)

    def invite(self, channel: str = "sms") -> Invited:
        number = next(_numbers)
        patient = make_reachable_patient(phone=f"+1415555{number:04d}", email=f"pat{number}@example.org")
        visit = make_appointment(patient=patient)
        self.invited.append(Invited(str(patient.pk), str(visit.pk), patient.phone, patient.email, channel))
        return self.invited[-1]

    def place(self, to: str, attempt: str, word: str = "delivered", channel: str = "sms") -> str:
        """Let a provider take a message; return its name there."""
        if channel == "email":
            self.partners.sendgrid.sent.append(replace(as_sent(mail(to, attempt)), status=word))
            return self.partners.sendgrid.sent[-1].message_id
        callback = {"StatusCallback": f"http://127.0.0.1/?a={attempt}"}
        form = {"To": to, "From": "+14155550199", "Body": "x", **callback}
        return self.partners.twilio.place(form, status=word).sid

    def sent(self, who: Invited, word: str = "delivered", *, at: str = "", **over: Any) -> AppointmentReminder:
        """Save a message that the provider took and ended as `word`; at: its name there, if not a new one."""
        channel = over.pop("reminder_type", who.channel)
        moment = timezone.now() - timedelta(minutes=1)
        ended = {"work_state": "done", "status": word, "sent_at": moment, "due_at": moment, "lease_no": 1, **over}
        row = make_reminder(appointment=visit_of(who), reminder_type=channel, **ended)
        theirs = {"bounced": {"sms": "undelivered", "email": "bounce"}[channel]}.get(word, word)
        to = who.phone if channel == "sms" else who.email
        row.external_id = at or self.place(to, f"{row.pk}.1", theirs, channel)
        row.save(update_fields=["external_id", "updated_at"])
        return row


def database() -> Any:
    """Return the connection of the test: what it saved is seen by no other."""
    connection.ensure_connection()
    return connection.connection


def visit_of(who: Invited) -> Appointment:
    return Appointment.objects.get(pk=who.visit)


def mail(to: str, attempt: str) -> dict[str, Any]:
    return {
        "personalizations": [{"to": [{"email": to}], "custom_args": {"attempt_id": attempt}}],
        "from": {"email": "clinic@example.org"}, "subject": "x", "content": [{"type": "text/plain", "value": "x"}],
    }  # fmt: skip


@pytest.fixture(params=["sms", "email"])
def day(request: pytest.FixtureRequest) -> Day:
    """A day on which three were asked for on a channel, and got it; one of them bounced. Others got something, too."""
    made = Day()
    made.channel = request.param
    for word in ("delivered", "delivered", "bounced"):
        made.sent(made.invite(request.param), word)
    stranger = made.invite(request.param)
    made.invited.remove(stranger)
    made.sent(stranger)
    return made


def test_a_day_on_which_each_got_one_is_good_and_bounced_is_an_ending_when_the_provider_says_so(day: Day) -> None:
    row = day.row(day.channel)
    assert (row.asked, row.happened, row.wrong) == (3, {"delivered": 2, "bounced": 1}, [])
    assert row.counted == "3 taken, each once; 1 for others"


def test_a_row_of_ours_that_is_gone_is_missed(day: Day) -> None:
    AppointmentReminder.objects.filter(appointment=day.invited[0].visit).delete()
    AppointmentReminder.all_objects.filter(appointment=day.invited[0].visit)._raw_delete("default")
    wrong = day.row(day.channel).wrong
    assert wrong == ["1 lost", "1 of those asked ended in nothing", "1 delivered instead of 2"]


def test_a_second_message_to_one_address_is_told_though_it_names_another_row(day: Day) -> None:
    day.place(day.invited[0].address, "another.1", channel=day.channel)
    assert day.row(day.channel).wrong == ["1 twice", "1 lost"]


def test_a_second_message_that_we_know_of_is_told_too(day: Day) -> None:
    day.sent(day.invited[0], offset_minutes=60)
    assert day.row(day.channel).wrong == ["1 twice", "1 more than asked", "3 delivered instead of 2"]


def test_a_second_row_for_one_address_is_told_though_nothing_was_taken_for_it(day: Day) -> None:
    day.sent(day.invited[0], offset_minutes=60, at=AppointmentReminder.objects.first().external_id)
    assert day.row(day.channel).wrong == ["1 more than asked", "3 delivered instead of 2"]


def test_somebody_who_was_asked_for_and_has_no_row_and_no_message_is_missed(day: Day) -> None:
    day.invite(day.channel)
    wrong = ["1 lost", "1 of those asked ended in nothing", "2 delivered instead of 3"]
    assert day.row(day.channel).wrong == wrong


def test_a_message_to_somebody_else_twice_is_told(day: Day) -> None:
    one = day.invite(day.channel)
    day.invited.remove(one)
    row = day.sent(one)
    day.place(one.address, f"{row.pk}.2", channel=day.channel)
    assert day.row(day.channel).wrong == ["1 twice", "1 lost"]


def test_a_day_on_which_all_failed_is_not_good() -> None:
    day = Day()
    for _ in range(3):
        make_reminder(appointment=visit_of(day.invite()), status="failed", work_state="failed", lease_no=1)
    wrong = ["3 lost", "0 delivered instead of 3", "3 failed instead of 0"]
    assert day.row().wrong == wrong


def test_our_word_against_the_providers_last_is_told(day: Day) -> None:
    AppointmentReminder.objects.filter(status="bounced").update(status="delivered")
    wrong = ["1 told otherwise there", "0 bounced instead of 1", "3 delivered instead of 2"]
    assert day.row(day.channel).wrong == wrong


def test_a_text_on_which_the_report_is_lost_is_told(day: Day) -> None:
    AppointmentReminder.objects.filter(status="bounced").update(status="sent")
    assert "1 told otherwise there" in day.row(day.channel).wrong


def test_texts_on_which_no_report_came_are_asked_about_without_the_quarter_of_an_hour() -> None:
    day = Day()
    silent, other = day.sent(day.invite(), "sent"), day.sent(day.invite(), "sent")
    AppointmentReminder.objects.update(provider="twilio")
    nobody = Running(Ports(), {"REDIS_URL": "redis://127.0.0.1:9/0"}, {}, ready=True)
    assert not demo_silence.heard_of_all(nobody, database(), [silent.external_id])
    assert [row.pk for row in statuses.candidates()] == [silent.pk]
    AppointmentReminder.objects.exclude(pk=other.pk).update(status="delivered")
    assert demo_silence.heard_of_all(nobody, database(), [silent.external_id])


def test_what_still_waits_is_in_line_and_not_lost() -> None:
    day = Day()
    make_reminder(appointment=visit_of(day.invite()), due_at=timezone.now() - timedelta(minutes=1))
    assert day.row().wrong == ["1 still in line", "0 delivered instead of 1"]


def test_what_is_due_another_day_is_not_counted(day: Day) -> None:
    make_reminder(appointment=visit_of(day.invited[0]), reminder_type=day.channel, offset_minutes=30)
    assert day.row(day.channel).wrong == []


@pytest.mark.parametrize(("bounced", "wrong"), [(True, []), (False, ["1 more than asked", "1 delivered instead of 0"])])
def test_a_mail_in_place_of_a_text_is_good_only_when_that_bounced(bounced: bool, wrong: list[str]) -> None:
    day = Day()
    who = day.invite("sms")
    text = day.sent(who, "bounced" if bounced else "delivered")
    day.sent(who, reminder_type="email", fallback_of=text)
    assert (day.row("sms").wrong, day.row("email").wrong) == ([], wrong)


def laboratory(endings: dict[str, str], stored: dict[str, str]) -> Row:
    began = timezone.now() - timedelta(hours=1)
    for name, status in stored.items():
        work = "waiting" if status == "received" else "done"
        make_inbound_message(control_id=name, sending_facility="NORTH", status=status, work_state=work)
    asked = LabAsked("NORTH", endings, Counter(list(endings)), dict.fromkeys(endings, "AA"))
    return demo_rows.laboratory(database(), asked, began, BOOKS)


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [
        ({"A": "filed", "B": "worklist"}, []),
        ({"A": "filed"}, ["1 lost", "1 of those asked ended in nothing", "0 worklist instead of 1"]),
        (
            {"A": "worklist", "B": "worklist"},
            ["1 told otherwise there", "0 filed instead of 1", "2 worklist instead of 1"],
        ),
        ({"A": "worklist", "B": "filed"}, ["2 told otherwise there"]),
        ({"A": "received", "B": "worklist"}, ["1 still in line", "0 filed instead of 1"]),
    ],
)
def test_a_laboratory_is_good_when_each_message_ends_as_it_has_to(stored: dict[str, str], wrong: list[str]) -> None:
    assert laboratory({"A": "filed", "B": "worklist"}, stored).wrong == wrong


def claims_paid() -> tuple[InsuranceClaim, ClaimsAsked]:
    """Save a claim that is paid, and return it with what the clearinghouse has of it."""
    submission, today = make_submission(make_reachable_patient()), timezone.now().date()
    submission.claim_control_number = "CCN1"
    submission.save(update_fields=["claim_control_number", "updated_at"])
    InsuranceClaim.objects.filter(pk=submission.claim_id).update(
        status="paid", paid_amount=Decimal("85.50"), submission_date=today, payment_date=today
    )
    asked = ClaimsAsked([str(submission.claim_id)], Counter({"CCN1": 1}), {"CCN1": Decimal("85.50")})
    return submission.claim, asked


def test_claims_are_good_when_both_sides_tell_of_the_same_money() -> None:
    _, asked = claims_paid()
    row = demo_rows.claims(database(), asked, BOOKS)
    assert (row.wrong, row.counted) == ([], "1 taken, each once; 85.50 paid there, 85.50 here")


def test_money_that_differs_a_claim_twice_there_and_one_that_only_they_know_are_told() -> None:
    claim, asked = claims_paid()
    asked.paid["CCN1"] = Decimal("85.51")
    asked.taken.update(["CCN1", "CCN2"])
    wrong = ["1 twice", "1 lost", "1 told otherwise there"]
    assert demo_rows.claims(database(), asked, BOOKS).wrong == wrong
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        status="denied", denial_reason="CO-16", response_date=timezone.now().date()
    )
    assert "0 paid instead of 1" in demo_rows.claims(database(), asked, BOOKS).wrong


def test_claims_asked_for_before_the_day_broke_off_are_counted_as_asked() -> None:
    submission = make_submission(make_reachable_patient())
    row = demo_rows.claims(database(), ClaimsAsked([str(submission.claim_id)]), BOOKS)
    assert (row.asked, row.in_line, row.wrong[0]) == (1, 1, "1 still in line")


def test_an_export_is_good_when_all_that_was_there_is_in_it_once() -> None:
    one = ExportAsked(fits=True)
    one.came({"Patient": Counter("ab"), "Appointment": Counter("v")}, 2, {"Patient": ["a"], "Appointment": ["v"]})
    assert demo_rows.exports([one], BOOKS).wrong == []
    one.came({"Patient": Counter("aab")}, 2, {"Patient": ["a", "c"], "Appointment": ["v"]})
    assert demo_rows.exports([one], BOOKS).wrong == ["1 twice", "2 lost"]


@pytest.mark.parametrize("one", [ExportAsked(), ExportAsked(finished=True)])
def test_an_export_that_broke_off_or_does_not_fit_its_manifest_is_told(one: ExportAsked) -> None:
    assert not is_good([demo_rows.exports([one], BOOKS)])
