"""Holds what a patient's answer is taken for: a wrong confirmation costs a visit, a missed opt-out the law."""

from __future__ import annotations

import time

import pytest

from backend.apps.messaging.replies import Intent, intent

APOSTROPHE = "\u2019"


@pytest.mark.parametrize(
    "text",
    [
        *("CANCEL", "End", "quit", "Quit.", "revoke", " STOP ", "Stop!", "stop.", "STOPALL", "unsubscribe", "OPTOUT"),
        *("alto", "PARAR", "stop all", "Stop please", "please stop", "STOP NOW", "opt out", "Opt me out please"),
        *("please stop texting me", "stop sending these", "Stop I moved away", "stop this nonsense", "STOP STOP STOP"),
        *("do not text me", "Don't text me!!", f"don{APOSTROPHE}t message me", "never text this number again"),
        *(
            "no more texts",
            "remove me from your list",
            "take my number off your list",
            "leave me alone",
            "unsubscribe me",
        ),
        *("no me escriban más", "No me envíe mensajes", "no más mensajes", "dejen de enviar", "quiero darme de baja"),
        *(
            "please unsubscribe me, thanks",
            "I said STOP!",
            "can you please stop",
            "stop your messages",
            "I want to stop",
        ),
        *("quit texting me", "I want to unsubscribe", "I'd like to stop receiving these texts", "Please quit"),
        *("I do not want any more texts", "end texts", "cancel all messages", "I revoke my consent", "stop at once"),
        *("stop for now", "BAJA", "basta", "¡Basta!", "baja por favor", "No, stop texting me", "How do I unsubscribe?"),
        *("I don't want to be texted", "no longer want reminders", "I am withdrawing my consent", "please end"),
        *("No quiero más mensajes", "no quiero recibir sus textos", "no deseo más", "basta de mensajes"),
        *("I can't come, please stop texting me", "Not now, don't text me"),
        *("no quiero que me escriban", "don't stop the visits, stop the texts"),
    ],
)
def test_r39_whoever_wants_no_more_texts_is_understood(text: str) -> None:
    assert intent(text) == Intent.OPT_OUT


@pytest.mark.parametrize(
    "text",
    [
        *("no stopping by tomorrow?", "can I stop by tomorrow?", "Stop by at ten?", "don't stop texting me"),
        *(
            "please do not stop the reminders",
            "cancel my appointment",
            "can you cancel",
            "cancel please",
            "end of day?",
        ),
        *("I quit smoking", "at the end of the street?", "nonstop", "weekend", "unstoppable", "my bus stop is closed"),
        *("don't send the bill to my house", "do not contact my husband", "take me off the 3 pm slot"),
        *("do not be late?", "can you please stop by the desk", "no", "para las 3", "alta"),
        *("No quiero más citas", "No quiero más, cambien la cita", "please cancel", "cancel all my appointments"),
        *(
            "I didn't unsubscribe",
            "no dejen de enviar mensajes",
            "no quiero recibir la cita tan tarde",
            "la baja médica",
        ),
        *("at the end text me", "when will I stop receiving treatment", "don't cancel messages", "quit smoking"),
        *("I do not want any more appointments", "I don't need a reminder so early", "can I stop for now at the desk"),
    ],
)
def test_r39_a_visitor_is_not_taken_for_somebody_who_leaves(text: str) -> None:
    assert intent(text) == Intent.OTHER


@pytest.mark.parametrize(
    "text",
    [
        *("1", " 1 ", "1.", "1)", "#1", "1\ufe0f\u20e3", "1 please", "c", "C", "Confirm", "CONFIRMED!", "y", "Y!"),
        *("Yes!", "yes", "YES.", "si", "Sí", "sí 👍", "si\u0301", "yes please", "sí, gracias", "Yes, thank you!!"),
        *(
            "yes yes",
            "Yes, I will be there",
            "yes confirm my appointment",
            "ok yes",
            "please confirm",
            "confirmo mi cita",
        ),
    ],
)
def test_r40_a_confirmation_may_be_written_in_many_ways(text: str) -> None:
    assert intent(text) == Intent.CONFIRM


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "👍", "?!", "ok", "thanks", "no", "11", "12", "1 or 2?", "1 more question", "yes but at 3?"),
        *("yes cancel", "si no puedo ir", "yesterday", "I can't confirm", "not confirmed", "y u text me", "c u soon"),
        *("2 of us are coming", "r u open?", "no need to reschedule", "don't change it", "yes I can't be there", "you"),
    ],
)
def test_r40_whatever_is_not_plainly_one_thing_goes_to_a_person(text: str) -> None:
    assert intent(text) == Intent.OTHER


@pytest.mark.parametrize(
    "text",
    [
        *("2", "2.", "R", "r please", "reschedule", "Reschedule please!", "change", "cambiar", "2, gracias"),
        *(
            "change my appointment to Friday",
            "can I reschedule?",
            "quiero cambiar la cita",
            "I need to reschedule, thanks",
        ),
    ],
)
def test_a_wish_for_another_time_is_understood(text: str) -> None:
    assert intent(text) == Intent.RESCHEDULE


@pytest.mark.parametrize("text", ["HELP", "info", "ayuda", "help please", "Help!"])
def test_a_call_for_help_is_understood(text: str) -> None:
    assert intent(text) == Intent.HELP


@pytest.mark.parametrize(
    ("text", "opt_out_type", "wanted"),
    [
        ("YES", "START", Intent.OPT_IN),
        ("YES", "", Intent.CONFIRM),
        ("start", "START", Intent.OPT_IN),
        ("START", "", Intent.OPT_IN),
        ("unstop", "", Intent.OPT_IN),
        ("start at ten?", "", Intent.OTHER),
        ("yes", "STOP", Intent.OPT_OUT),
        ("1", "HELP", Intent.HELP),
        ("1", " stop ", Intent.OPT_OUT),
        ("1", "SOMETHING", Intent.CONFIRM),
    ],
)
def test_the_providers_own_judgement_comes_first_and_a_plain_yes_ends_no_opt_out(
    text: str, opt_out_type: str, wanted: Intent
) -> None:
    assert intent(text, opt_out_type) == wanted


def test_a_hostile_text_is_read_in_no_time() -> None:
    begun = time.thread_time()
    for text in ("stop " * 100_000, "no " * 100_000, "ﷺ" * 100_000, "don't " * 50_000):
        intent(text)
    assert time.thread_time() - begun < 1.0
