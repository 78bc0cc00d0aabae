"""Holds what every text says and never says: the clinic's clock, the way out, one message's length, and no patient."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backend.apps.messaging import dates, phi, segments, shipped, template_checks, wording
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import EMAIL_ONLY, MessageKind, MessageTemplate
from backend.apps.messaging.plain_letters import plain
from backend.apps.messaging.replies import Intent, intent
from backend.apps.messaging.wording import Unwritable, Wordings, Words

NEW_YORK = ZoneInfo("America/New_York")
LINK = f"https://my.elmclinic.com/a/{'x' * 22}"
OUT = f"https://my.elmclinic.com/a/{'y' * 22}"
VISIT = datetime(2026, 3, 3, 15, 30, tzinfo=UTC)
SHIPPED = sorted(shipped.TEXTS)
TEXTS_ONLY = [key for key in SHIPPED if key[1] == "sms"]
MAILS_ONLY = [key for key in SHIPPED if key[1] == "email"]
BARE = Wordings([], "en")  # of a clinic without texts of its own


def facts(**over: Any) -> Facts:
    fields: dict[str, Any] = {
        "clinic": "Elm Street Clinic", "zone": NEW_YORK, "phone": "+15185550100", "starts_at": VISIT,
        "link": LINK, "unsubscribe_link": OUT, "visits": (VISIT, datetime(2026, 9, 30, 16, 30, tzinfo=UTC)),
        "expires_at": datetime(2026, 3, 2, 15, 45, tzinfo=UTC), **over,
    }  # fmt: skip
    return Facts(**fields)


def words(kind: str, channel: str, language: str, **over: Any) -> Words:
    return BARE.render(kind, channel, language, template_checks.of_kind(kind, facts(**over)))


def test_there_are_words_of_every_kind_on_both_channels_in_both_languages() -> None:
    wanted = {
        (kind, channel, tag)
        for kind in MessageKind.values
        for channel in ("sms", "email")
        for tag in ("en", "es")
        if channel == "email" or kind not in EMAIL_ONLY
    }
    assert set(SHIPPED) == wanted


def test_the_texts_in_english() -> None:
    assert words("reminder", "sms", "en").text == (
        "Elm Street Clinic: your appointment is Tue 3 Mar at 10:30 AM EST. "
        "Questions? Call +15185550100. Reply STOP to opt out."
    )
    assert words("ask_to_confirm", "sms", "en").text == (
        "Elm Street Clinic: your appointment is Tue 3 Mar at 10:30 AM EST. Reply 1 to confirm, 2 to change. "
        "Questions? Call +15185550100. Reply STOP to opt out."
    )


def test_the_texts_in_spanish() -> None:
    assert words("ask_to_confirm", "sms", "es").text == (
        "Elm Street Clinic: su cita es mar 3 de marzo, 10:30 EST. Responda 1 para confirmar, 2 para cambiar. "
        "Tel. +15185550100. Responda STOP para baja."
    )


def test_without_a_phone_the_texts_still_read_well() -> None:
    assert words("reminder", "sms", "en", phone="").text == (
        "Elm Street Clinic: your appointment is Tue 3 Mar at 10:30 AM EST. Reply STOP to opt out."
    )
    assert "Call" not in words("reminder", "email", "en", phone="").text
    assert "\n\n\n" not in words("reminder", "email", "en", phone="", link="").text


@pytest.mark.parametrize("channel", ["sms", "email"])
@pytest.mark.parametrize(
    ("zone", "patients", "language", "said"),
    [
        ("America/New_York", "America/Los_Angeles", "en", "Tue 3 Mar at 10:30 AM EST"),
        ("America/New_York", "America/Los_Angeles", "es", "mar 3 de marzo, 10:30 EST"),
        ("America/Phoenix", "America/New_York", "en", "Tue 3 Mar at 8:30 AM MST"),
        ("Pacific/Honolulu", "America/New_York", "en", "Tue 3 Mar at 5:30 AM HST"),
        ("America/Puerto_Rico", "America/New_York", "es", "mar 3 de marzo, 11:30 AST"),
        ("Asia/Kathmandu", "Asia/Kolkata", "en", "Tue 3 Mar at 9:15 PM UTC+5:45"),
    ],
)
def test_r17_the_text_shows_the_clinics_clock_and_zone_whatever_the_patients(
    zone: str, patients: str, language: str, said: str, channel: str
) -> None:
    told = words("reminder", channel, language, zone=ZoneInfo(zone), patient_zone=ZoneInfo(patients))
    assert said in told.text
    assert channel == "sms" or said in told.html


def test_r17_a_mail_says_whose_clock_it_is_where_the_patients_differs_and_only_there() -> None:
    chicago, detroit = ZoneInfo("America/Chicago"), ZoneInfo("America/Detroit")
    assert "10:30 AM EST (clinic time)" in words("reminder", "email", "en", patient_zone=chicago).text
    assert "10:30 EST (hora de la clínica)" in words("reminder", "email", "es", patient_zone=chicago).text
    assert "clinic time" not in words("reminder", "email", "en", patient_zone=detroit).text


# In 2026 New York's clocks go forward on 8 March at 2:00 and back on 1 November at 2:00.
@pytest.mark.parametrize(
    ("zone", "at", "text"),
    [
        ("America/New_York", datetime(2026, 3, 7, 14, 5, tzinfo=UTC), "Sat 7 Mar at 9:05 AM EST"),
        ("America/New_York", datetime(2026, 3, 9, 14, 5, tzinfo=UTC), "Mon 9 Mar at 10:05 AM EDT"),
        ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "Sun 1 Nov at 1:30 AM EDT"),
        ("America/New_York", datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "Sun 1 Nov at 1:30 AM EST"),
        ("America/Los_Angeles", datetime(2026, 3, 10, 1, 0, tzinfo=UTC), "Mon 9 Mar at 6:00 PM PDT"),
        ("America/New_York", datetime(2026, 6, 1, 4, 0, tzinfo=UTC), "Mon 1 Jun at 12:00 AM EDT"),
        ("America/New_York", datetime(2027, 1, 1, 4, 59, tzinfo=UTC), "Thu 31 Dec at 11:59 PM EST"),
        ("America/New_York", datetime(2028, 2, 29, 14, 0, tzinfo=UTC), "Tue 29 Feb at 9:00 AM EST"),
        ("America/Phoenix", datetime(2026, 6, 1, 19, 0, tzinfo=UTC), "Mon 1 Jun at 12:00 PM MST"),
    ],
)
def test_r17_the_time_is_said_by_the_clock_of_that_day(zone: str, at: datetime, text: str) -> None:
    assert dates.full(at, ZoneInfo(zone), "en") == text


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Sat 7 Mar at 2:05 PM EST"),
        ("en-GB", "Sat 7 Mar at 2:05 PM EST"),
        ("es", "sáb 7 de marzo, 14:05 EST"),
        ("pt-BR", "7 de Março de 2026, 14:05 EST"),  # no words of ours: the language's own long date
        ("zz", "March 7, 2026, 2:05 PM EST"),
    ],
)
def test_a_moment_is_said_as_the_language_does_it(language: str, said: str) -> None:
    assert dates.full(datetime(2026, 3, 7, 19, 5, tzinfo=UTC), NEW_YORK, language) == said


def test_several_visits_name_their_zone_once_unless_the_clock_changes_between_them() -> None:
    one, two = datetime(2026, 3, 3, 15, 30, tzinfo=UTC), datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
    after = datetime(2026, 3, 9, 14, 0, tzinfo=UTC)
    assert dates.several([two, one], NEW_YORK, "en") == "Tue 3 Mar at 10:30 AM and Wed 4 Mar at 9:00 AM EST"
    assert dates.several([one, two, after], NEW_YORK, "en") == (
        "Tue 3 Mar at 10:30 AM, Wed 4 Mar at 9:00 AM EST and Mon 9 Mar at 10:00 AM EDT"
    )
    assert dates.several([one], NEW_YORK, "es") == "mar 3 de marzo, 10:30 EST"


@pytest.mark.parametrize(
    ("language", "said", "end"),
    [
        ("en", ["10:30", "1:30", "4:30", "7:30"], "EST and 8 more, please call."),
        ("es", ["10:30", "13:30", "16:30", "19:30"], "EST y 8 más, llámenos."),
    ],
)
def test_r43_a_text_of_many_visits_names_four_and_how_many_more(language: str, said: list[str], end: str) -> None:
    many = tuple(VISIT + timedelta(hours=hours) for hours in range(0, 36, 3))
    text = words("digest", "sms", language, visits=many).text
    assert re.findall(r"\d+:30", text) == said
    assert plain(end) in text
    assert segments.count(text).segments == 2
    assert words("digest", "email", language, visits=many).text.count("\n- ") == 12


@pytest.mark.parametrize(("language", "kind"), [(tag, kind) for tag in ("en", "es") for kind in ("recall", "no_show")])
@pytest.mark.parametrize("channel", ["sms", "email"])
def test_without_phone_and_link_a_message_names_a_mailbox_to_write_to(kind: str, channel: str, language: str) -> None:
    told = words(kind, channel, language, phone="", email="care@elmstreetclinic.com")
    assert "care@elmstreetclinic.com" in told.text
    assert segments.count(told.text).segments == 1 or channel == "email"
    assert "+1518" not in told.text


def test_a_mail_says_that_its_way_out_ends_all_mail() -> None:
    assert f"No more e-mails from us:\n{OUT}" in words("soon", "email", "en").text
    assert f"No recibir más correos nuestros:\n{OUT}" in words("soon", "email", "es").text


@pytest.mark.parametrize(("kind", "channel", "language"), TEXTS_ONLY)
def test_r39_a_text_asks_for_no_word_that_providers_take_for_the_wish_to_get_no_more(
    kind: str, channel: str, language: str
) -> None:
    text = words(kind, channel, language).text
    asked = re.findall(r"\b[A-Z]{2,}\b", re.sub(r"https?://\S+|\b(?:EST|EDT|AM|PM)\b", "", text))
    assert asked == ["STOP"]
    answers = re.findall(r"(?:Reply|Responda|,) (\w+) (?:to|para) (\w+)", text)
    assert {answer for answer, _ in answers} <= {"1", "2", "STOP"}
    assert all(intent(answer) is not Intent.OPT_OUT for answer, _ in answers if answer != "STOP")
    assert intent("STOP") is Intent.OPT_OUT


@pytest.mark.parametrize(("kind", "channel", "language"), SHIPPED)
def test_r42_no_shipped_text_tells_who_the_patient_is_or_why_they_come(kind: str, channel: str, language: str) -> None:
    told = words(kind, channel, language)
    for text in (told.subject, told.text, told.html):
        assert phi.findings(text) == []


def test_r42_there_is_no_fact_about_the_patient_that_a_text_could_say() -> None:
    assert {field.name for field in dataclasses.fields(Facts)} == {
        "clinic", "zone", "phone", "starts_at", "patient_zone", "link", "unsubscribe_link", "visits", "expires_at",
        "email",
    }  # fmt: skip


@pytest.mark.parametrize("starts_at", [VISIT, datetime(2026, 9, 30, 16, 30, tzinfo=UTC)])
@pytest.mark.parametrize(("kind", "channel", "language"), TEXTS_ONLY)
def test_r43_a_shipped_text_is_one_message(kind: str, channel: str, language: str, starts_at: datetime) -> None:
    saturday = datetime(2026, 3, 7, 14, 0, tzinfo=UTC)  # sábado: an á
    text = words(kind, channel, language, clinic="Twenty letters clini", starts_at=starts_at, expires_at=saturday).text
    told = segments.count(text)
    assert (told.encoding, told.segments) == ("GSM-7", 1), (told.units, text)


@pytest.mark.parametrize("name", ["Clínica Díaz", "St. Mary\u2019s Clinic", "Elm \u2013 Street"])
def test_r43_letters_of_a_clinics_name_do_not_make_a_text_three_times_as_dear(name: str) -> None:
    assert segments.count(words("reminder", "sms", "es", clinic=name).text).encoding == "GSM-7"
    assert name in words("reminder", "email", "es", clinic=name).text  # a mail has room for all letters


def test_r43_what_has_no_plain_letter_stays_as_it_is() -> None:
    assert plain("Clínica \u201924 ñ é") == "Clinica '24 ñ é"
    assert plain("Clínica 🌳") == "Clínica 🌳"
    assert plain("诊所") == "诊所"
    text = words("reminder", "sms", "en", clinic="Clinic 🌳").text
    assert "🌳" in text
    assert segments.count(text).encoding == "UCS-2"


class Reader(HTMLParser):
    """Collects what a mail shows, where its links lead and in which language it says it is."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str | None] = []
        self.shown: list[str] = []
        self.language: str | None = None
        self._quiet = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._quiet = tag in ("style", "title")
        if tag == "a":
            self.links.append(given["href"])
        if tag == "html":
            self.language = given["lang"]
        assert tag not in ("script", "img")
        assert not {name for name in given if name.startswith("on")}

    def handle_endtag(self, tag: str) -> None:
        self._quiet = False

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.shown.append(data)


@pytest.mark.parametrize(("kind", "channel", "language"), MAILS_ONLY)
def test_a_mail_says_the_same_as_text_and_as_page_and_tells_the_way_out(kind: str, channel: str, language: str) -> None:
    told = words(kind, channel, language)
    page = Reader(told.html)
    assert page.language == language
    has_link = "link" in template_checks.KNOWN[kind]
    assert page.links == ([LINK, OUT] if has_link else [OUT])
    assert (LINK in told.text) is has_link
    assert told.text.rstrip().endswith(OUT)
    shown = " ".join(" ".join(page.shown).split())
    for sentence in told.text.split("\n"):
        if sentence and not sentence.startswith("http"):
            assert sentence.removeprefix("- ").rstrip(":") in shown
    assert "\n" not in told.subject


def test_a_value_is_never_read_as_a_template_nor_as_html_nor_as_a_header() -> None:
    name = "{link} [x] <script>alert(1)</script>\r\nBcc: all@example.org"
    row = MessageTemplate(kind="reminder", channel="email", subject="From {clinic}", body="{clinic}: {when}")
    own = Wordings([row], "en")
    told = own.render("reminder", "email", "en", facts(clinic=name))
    assert told.subject == "From {link} [x] <script>alert(1)</script> Bcc: all@example.org"
    assert "<script>" not in told.html
    assert "&lt;script&gt;" in told.html
    assert Reader(told.html).links == [OUT]


def test_a_channel_without_words_is_refused() -> None:
    with pytest.raises(Unwritable, match="no words"):
        words("reminder", "push", "en")
    with pytest.raises(Unwritable, match=r"needs \{link\}"):
        words("choose", "sms", "en", link="")


def test_languages_are_tried_from_the_patients_own_to_english() -> None:
    assert wording.chain("zh-Hant-TW", "es-MX") == ["zh-hant-tw", "zh-hant", "zh", "es-mx", "es", "en"]
    assert wording.chain("en", "en") == ["en"]
    assert Wordings([], "es").render("reminder", "sms", "fr", facts()).language == "es"
    assert Wordings([], "fr").render("reminder", "sms", "de-AT", facts()).language == "en"
