"""Holds that the clinic's own words speak where they may, are refused where they may not, and never stop a message."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from rest_framework.test import APIClient

from backend.apps.core.models import Alert, Clinic
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.messaging import previews, shipped, template_checks, templates, wording
from backend.apps.messaging.models import ContactRules, MessageTemplate
from backend.apps.messaging.rendering import Source
from backend.apps.messaging.template_serializers import MessageTemplateSerializer
from backend.apps.messaging.template_syntax import Unwritable, fill, parse
from backend.apps.messaging.tests.factories import make_message_template
from backend.apps.messaging.tests.test_wording import SHIPPED, facts
from backend.apps.messaging.wording import Wordings
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

URL = "/api/v1/message-templates/"
GOOD = "{clinic}: we expect you {when}.[ Call {phone}.] Reply STOP to opt out."
MAIL = {"channel": "email", "subject": "Your visit to {clinic}", "body": "Hello,\n\nwe expect you {when}."}


def text(**over: Any) -> dict[str, Any]:
    return {"kind": "reminder", "channel": "sms", "language": "en", "subject": "", "body": GOOD, **over}


def faults(**over: Any) -> dict[str, list[str]]:
    source = Source(**text(**over))
    return template_checks.faults(source, template_checks.longest("Elm Street Clinic"))


def test_what_stands_in_brackets_is_left_out_when_a_variable_in_it_is_empty() -> None:
    pieces = parse("a[ b {x}][ c {y} {x}] d")
    assert "".join(run.text for run in fill(pieces, {"x": "1", "y": ""})) == "a b 1 d"
    with pytest.raises(Unwritable, match=r"needs \{y\}"):
        fill(parse("{y}"), {"y": ""})


def test_a_value_is_put_in_once_and_not_read_again() -> None:
    assert (
        "".join(run.text for run in fill(parse("{x}{y}"), {"x": "{y}[", "y": "{x.__class__}"})) == "{y}[{x.__class__}"
    )


@pytest.mark.parametrize(
    "body",
    [
        "{clinic", "clinic}", "{ clinic }", "{}", "{{clinic}}", "{clinic.name}", "{clinic!r}", "{clinic:>99999999}",
        "{0}", "{Clinic}", "[{phone}", "{phone}]", "[[{phone}]]", "[nothing in it]", "{clinic}[", "{%s}",
        "{" + "a" * 40 + "}",
    ],
)  # fmt: skip
def test_r34_a_poison_text_cannot_be_read(body: str) -> None:
    with pytest.raises(Unwritable):
        parse(body)


@pytest.mark.parametrize("harmless", ["%s %(clinic)s", "$clinic $(clinic)", "`id`", "<%= 1 %>", "\\"])
def test_the_signs_of_other_engines_are_plain_letters(harmless: str) -> None:
    assert "".join(run.text for run in fill(parse(harmless), {})) == harmless


@pytest.mark.parametrize(("kind", "channel", "language"), SHIPPED)
def test_the_shipped_texts_pass_the_checks_without_a_warning(kind: str, channel: str, language: str) -> None:
    source = Source(kind, channel, language, *shipped.TEXTS[kind, channel, language])
    longest = template_checks.longest("Twenty letters clini")
    assert template_checks.faults(source, longest) == {}
    assert template_checks.warnings(source, longest) == []


@pytest.mark.parametrize(
    ("over", "field", "says"),
    [
        ({"body": GOOD + " {weather}"}, "body", "There is no {weather}. Known here: clinic, date, link"),
        ({"body": GOOD + " {first_name}"}, "body", "{first_name}: what tells who the patient is"),
        ({"body": GOOD + " {doctor}"}, "body", "{doctor}: what tells who the patient is"),
        ({"body": GOOD + " {expires}"}, "body", "{expires} has no meaning here."),
        ({"body": GOOD + " {"}, "body", "A { has no partner"),
        ({"body": "{clinic}: come {date}. Reply STOP to opt out."}, "body", "needs {when} or {time}"),
        ({"body": "{clinic}:[ come {when}.] Reply STOP to opt out."}, "body", "outside of [ ]"),
        ({"body": "Come {when}. Reply STOP to opt out."}, "body", "needs {clinic}"),
        ({"kind": "waitlist_offer", "body": "{clinic} {when} {link} Reply STOP"}, "body", "needs {expires}"),
        ({"kind": "digest", "body": "{clinic} Reply STOP"}, "body", "needs {visits}"),
        ({"kind": "choose", "body": "{clinic} Reply STOP"}, "body", "needs {link}"),
        ({"body": "{clinic}: come {when}."}, "body", "tells the way out"),
        (
            {"body": "{clinic}: come {when}.[ Call {phone}. Reply STOP to opt out.]"},
            "body",
            "outside of [ ]: Reply STOP",
        ),
        *(
            ({"body": f"{{clinic}}: come {{when}}. {no}"}, "body", "STOP is no answer")
            for no in (
                "Do not reply STOP.",
                "Don\u2019t reply with the word STOP.",
                "Please never text STOP",
                "No responda STOP.",
                "Do not reply[ to {phone}] STOP.",
                "STOP does not work.",
                "STOP can't be read.",
            )
        ),
        ({"body": GOOD + " Onco[{phone}]logy."}, "body", '"Oncology" cannot be sent'),
        ({"body": GOOD + " Reply CANCEL if you cannot come."}, "body", "CANCEL, END or QUIT"),
        ({"body": GOOD + " Or reply 'cancel'."}, "body", "CANCEL, END or QUIT"),
        ({"body": GOOD + " Responda parar."}, "body", "CANCEL, END or QUIT"),
        ({"body": GOOD + " x" * 200}, "body", "This would be 4 messages; at most 3 are sent."),
        ({"body": GOOD + " í" * 100}, "body", "Letters that make it long: í"),
        ({"body": GOOD + " Chemotherapy."}, "body", '"Chemotherapy" cannot be sent: it tells what kind of visit'),
        ({"body": GOOD + " See bit.ly/x"}, "body", '"bit.ly" cannot be sent: a shortened link'),
        ({"body": GOOD + " 20% discount!"}, "body", '"discount" cannot be sent: reminders are exempt'),
        ({"subject": "Hello"}, "subject", "A text message has no subject."),
        ({**MAIL, "subject": " "}, "subject", "An e-mail needs a subject."),
        ({**MAIL, "subject": "a" * 79}, "subject", "at most 78 characters; this one has 79"),
        ({**MAIL, "subject": "Visit\r\nBcc: all@example.org"}, "subject", "one line"),
        ({**MAIL, "subject": "Visit\u2028Bcc: all@example.org"}, "subject", "one line"),
        ({**MAIL, "subject": "Oncology visit"}, "subject", '"Oncology" cannot be sent'),
        ({**MAIL, "subject": "Visit {phone}"}, "subject", "{phone} has no meaning here."),
        *(
            ({"kind": kind, "body": f"{{clinic}} {says} {{link}} Reply STOP"}, "body", "{link} has no meaning here.")
            for kind, says in (("recall", ""), ("no_show", "{date}"), ("digest", "{visits}"))
        ),
        *(
            ({**MAIL, "kind": kind, "subject": "On {date}"}, "subject", "{date} has no meaning here.")
            for kind in ("recall", "digest", "choose")
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_and_the_sentence_says_which_word_and_why(
    over: dict[str, Any], field: str, says: str
) -> None:
    assert says in " ".join(faults(**over).get(field, []))


def test_a_good_text_has_no_fault() -> None:
    assert faults() == {}
    assert faults(**MAIL) == {}
    assert faults(body=GOOD + " Reply 2 to cancel.") == {}
    assert faults(body="{clinic}: come {when}. To get no more texts reply STOP.") == {}
    assert faults(body="{clinic}: no reply needed, {when}. Text STOP to end.") == {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            GOOD + " Por favor, llegue con tiempo a su cita. Estamos en la misma calle de siempre, sí.",
            "3 messages. Letters that make it long: í",
        ),
        ("{clinic}: {when}. Call {phone}. Reply STOP to opt out.", "Put the part with {phone} in [ ]"),
        ("{clinic}: {when}. Reply STOP to opt out.", "how to reach the clinic: {phone} or {link}."),
        (GOOD + " https://elm.example/parking", "A link written out"),
    ],
)
def test_what_is_allowed_but_dear_or_unwise_is_a_warning(body: str, says: str) -> None:
    source = Source(**text(body=body))
    longest = template_checks.longest("Elm Street Clinic")
    assert template_checks.faults(source, longest) == {}
    assert says in " ".join(template_checks.warnings(source, longest))


def test_a_message_without_a_link_should_tell_a_phone_or_a_mailbox() -> None:
    source = Source(**text(kind="recall", body="{clinic}: it is time. Reply STOP to opt out."))
    (told,) = template_checks.warnings(source, template_checks.longest("Elm Street Clinic"))
    assert "how to reach the clinic: {phone} or {email}." in told


@pytest.mark.django_db
def test_a_preview_holds_what_a_message_of_that_kind_will_hold() -> None:
    Clinic.objects.create(name="Elm Street Clinic", phone="+15185550100")
    for kind in ("recall", "digest", "no_show"):
        for channel in ("sms", "email"):
            told = previews.preview(kind=kind, channel=channel, language="en")
            assert told.text
            assert "example" not in told.text.replace(f"No more e-mails from us:\n{told.text.split()[-1]}", "")
    old = Source("recall", "email", "en", "On {date}", "Hello {link}")
    assert previews._filled(old).text == ""


@pytest.mark.django_db
class TestWhatSpeaks:
    """Own texts, shipped texts, and which comes first."""

    def said(self, language: str = "en", kind: str = "reminder", **over: Any) -> str:
        return wording.render(kind, "sms", language, facts(**over)).text

    def test_the_clinics_own_text_comes_before_the_shipped_one_of_its_language(self) -> None:
        templates.add(by=None, **text())
        assert self.said() == (
            "Elm Street Clinic: we expect you Tue 3 Mar at 10:30 AM EST. Call +15185550100. Reply STOP to opt out."
        )
        assert self.said("es").startswith("Elm Street Clinic: su cita es")

    def test_a_special_language_comes_before_its_base_and_the_default_before_english(self) -> None:
        ContactRules.objects.create(default_language="es")
        assert "su cita es" in self.said("fr")
        templates.add(by=None, **text(language="es-mx"))
        assert "we expect you mar 3 de marzo, 10:30 EST" in self.said("es-MX")
        assert "su cita es" in self.said("es")

    def test_deleting_or_switching_off_a_text_brings_the_shipped_one_back(self) -> None:
        row = templates.add(by=None, **text())
        templates.save(row, by=None, is_active=False)
        assert "your appointment is" in self.said()
        templates.save(row, by=None, is_active=True)
        assert "we expect you" in self.said()
        templates.discard(row, by=None)
        assert "your appointment is" in self.said()
        templates.add(by=None, **text())  # the place is free again

    @pytest.mark.parametrize(
        "body", ["{clinic", "{weather} {clinic} {when} STOP", "{clinic}: oncology {when}. STOP", "Hello"]
    )
    def test_r34_a_bad_text_already_stored_is_passed_over_and_told_instead_of_stopping_messages(
        self, body: str
    ) -> None:
        row = make_message_template(language="en", body=body)
        wordings = Wordings.load()
        for _ in range(3):
            assert "your appointment is" in wordings.render("reminder", "sms", "en", facts()).text
        (alert,) = Alert.objects.filter(kind="message_template_unusable")
        assert alert.times == 1
        assert "(reminder, sms, en) is not used" in alert.sentence
        templates.save(row, by=None, body=GOOD)
        alert.refresh_from_db()
        assert alert.resolved_at

    def test_r34_a_text_that_needs_what_this_message_lacks_is_passed_over_for_it_alone(self) -> None:
        templates.add(by=None, **text(body="{clinic}: {when}, see {link} Reply STOP to opt out."))
        wordings = Wordings.load()
        assert "your appointment is" in wordings.render("reminder", "sms", "en", facts(link="")).text
        assert "see https://" in wordings.render("reminder", "sms", "en", facts()).text

    def test_a_batch_costs_two_queries_however_many_messages_it_has(self, django_assert_num_queries: Any) -> None:
        templates.add(by=None, **text())
        with django_assert_num_queries(2):
            wordings = Wordings.load()
            for language in ("en", "es", "fr") * 20:
                wordings.render("reminder", "sms", language, facts())

    def test_a_doctors_name_cannot_be_kept(self) -> None:
        make_doctor(user=make_user("doctor", last_name="Haversham"))
        with pytest.raises(ValidationError) as told:
            templates.add(by=None, **text(body=GOOD + " Haversham waits."))
        assert told.value.message_dict == {"body": ['"Haversham" cannot be sent: it is the name of a doctor.']}
        assert not MessageTemplate.objects.exists()


class TestMessageTemplates(ApiContract):
    url: ClassVar[str] = URL
    stranger: ClassVar[str | None] = "pharmacist"

    def make(self) -> MessageTemplate:
        return make_message_template()

    def test_an_administrator_writes_a_text_and_is_told_what_it_costs(self, api: APIClient) -> None:
        answer = api.post(
            URL, text(body=GOOD + " Please come ten minutes early; the door is in the yard behind the house.")
        )
        assert answer.status_code == 201, answer.data
        assert "sent, and paid, as 2 messages" in answer.data["warnings"][0]
        assert api.patch(f"{URL}{answer.data['id']}/", {"body": GOOD}).data["warnings"] == []

    def test_a_refusal_names_field_word_and_reason_and_keeps_nothing(self, api: APIClient) -> None:
        answer = api.post(URL, text(body=GOOD + " Bring your HIV test."))
        assert answer.status_code == 400
        assert answer.data["errors"] == [
            {"field": "body", "message": '"HIV" cannot be sent: it tells what the visit is about.'}
        ], answer.data["errors"]
        assert not MessageTemplate.objects.exists()

    def test_a_language_has_one_text_whatever_the_case_of_its_tag(self, api: APIClient) -> None:
        assert api.post(URL, text(language="es-mx")).data["language"] == "es-MX"
        assert api.post(URL, text(language="es-MX")).status_code in (400, 409)

    def test_the_desk_reads_and_tries_but_does_not_write(self) -> None:
        desk = client_for(make_user("receptionist"))
        assert desk.get(URL).status_code == 200
        assert desk.post(URL, text()).status_code == 403
        assert desk.post(f"{URL}preview/", text()).status_code == 200
        assert desk.get(f"{URL}effective/").status_code == 200

    def test_a_trial_shows_the_text_its_price_and_its_faults_and_keeps_nothing(self, api: APIClient) -> None:
        Clinic.objects.create(name="Elm Street Clinic", phone="+15185550100")
        shown = api.post(f"{URL}preview/", text()).data
        assert shown["text"].startswith(f"{Clinic.current().name}: we expect you ")
        assert (shown["encoding"], shown["segments"], shown["faults"]) == ("GSM-7", 1, {})
        bad = api.post(f"{URL}preview/", text(body="{clinic")).data
        assert (bad["text"], list(bad["faults"])) == ("", ["body"])
        mail = api.post(f"{URL}preview/", {"kind": "digest", "channel": "email", "language": "es"}).data
        assert mail["subject"] == "Sus citas"
        assert '<html lang="es">' in mail["html"]
        assert not MessageTemplate.objects.exists()

    def test_a_text_for_what_goes_by_mail_only_is_refused(self, api: APIClient) -> None:
        body = "{clinic}: your visit on {when} was cancelled. Reply STOP to opt out."
        answer = api.post(URL, text(kind="cancelled", body=body), format="json")
        assert (answer.status_code, "by e-mail only" in str(answer.data)) == (400, True)

    def test_the_overview_tells_which_text_is_used_for_everything(self, api: APIClient) -> None:
        own = templates.add(by=None, **text(language="es-MX"))
        make_message_template(kind="soon", language="en", body="{clinic")
        rows = {(row["kind"], row["channel"], row["language"]): row for row in api.get(f"{URL}effective/").data}
        assert len(rows) == (8 * 2 + 1) * 3
        assert rows["reminder", "sms", "es-MX"]["id"] == str(own.pk)
        assert (rows["reminder", "sms", "en"]["id"], rows["soon", "sms", "en"]["id"]) == (None, None)
        assert rows["reminder", "email", "es-MX"]["written_in"] == "es"

    def test_a_deleted_text_is_gone_and_the_shipped_one_is_back(self, api: APIClient) -> None:
        row = templates.add(by=None, **text())
        assert api.delete(f"{URL}{row.pk}/").status_code == 204
        assert MessageTemplate.all_objects.get(pk=row.pk).is_deleted
        assert "your appointment is" in wording.render("reminder", "sms", "en", facts()).text


def test_the_variables_are_told_in_the_description_of_the_api() -> None:
    assert "{when}: day and time of the visit" in MessageTemplateSerializer().fields["body"].help_text


@pytest.mark.django_db
def test_the_admin_shows_what_cannot_be_sent_beside_the_field_and_keeps_the_text(client: Client) -> None:
    client.force_login(make_user("admin"))
    page = "/admin/messaging/messagetemplate/add/"
    refused = client.post(page, text(body=GOOD + " Oncology.", is_active="on"))
    assert refused.status_code == 200
    assert "&quot;Oncology&quot; cannot be sent" in refused.content.decode()
    assert "Oncology.</textarea>" in refused.content.decode()
    assert not MessageTemplate.objects.exists()
    dear = client.post(page, text(body=GOOD + " x" * 60, is_active="on"), follow=True)
    assert "as 2 messages" in dear.content.decode()
    assert MessageTemplate.objects.count() == 1
