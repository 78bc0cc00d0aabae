"""The shipped words in English; without them a clinic could send nothing before it has written its own."""

from __future__ import annotations

from backend.apps.messaging.models import MessageKind as Kind
from backend.apps.messaging.phrases import Phrases

PHRASES = Phrases(
    day="D j M",
    moment="{day} at {time}",
    last=" and ",
    more=" and {count} more, please call",
    clinic_time="clinic time",
    unsubscribe="No more e-mails from us:",
    calendar="Appointment",
    buttons={
        Kind.REMINDER: "Confirm or change",
        Kind.ASK_TO_CONFIRM: "Confirm or change",
        Kind.SOON: "Confirm or change",
        Kind.WAITLIST_OFFER: "Take this time",
        Kind.CHOOSE: "Choose",
    },
)

SMS = {
    Kind.REMINDER: "{clinic}: your appointment is {when}.[ Questions? Call {phone}.] Reply STOP to opt out.",
    Kind.ASK_TO_CONFIRM: (
        "{clinic}: your appointment is {when}. Reply 1 to confirm, 2 to change.[ Questions? Call {phone}.]"
        " Reply STOP to opt out."
    ),
    Kind.SOON: "{clinic}: see you soon, {when}.[ Running late? Call {phone}.] Reply STOP to opt out.",
    Kind.DIGEST: "{clinic}: your appointments are {visits}.[ Questions? Call {phone}.] Reply STOP to opt out.",
    Kind.NO_SHOW: (
        "{clinic}: we missed you on {date}.[ For another time call {phone}.][ For another time write to {email}.]"
        " Reply STOP to opt out."
    ),
    Kind.RECALL: (
        "{clinic}: it is time to plan your next visit.[ Please call {phone}.][ Please write to {email}.]"
        " Reply STOP to opt out."
    ),
    Kind.WAITLIST_OFFER: "{clinic}: {when} is open. Take it by {expires}: {link} Reply STOP to opt out.",
    Kind.CHOOSE: "{clinic}: we want to get this right. Please choose here: {link} Reply STOP to opt out.",
}

CALL = "[\n\nQuestions? Call us at {phone}.]"

EMAIL = {
    Kind.REMINDER: (
        "Your appointment",
        "Hello,\n\nthis is a reminder of your appointment on {when}."
        "[\n\nTo confirm it or to ask for another time:\n{link}]" + CALL,
    ),
    Kind.ASK_TO_CONFIRM: (
        "Please confirm your appointment",
        "Hello,\n\nyour appointment is on {when}. Please let us know whether you can come:\n{link}" + CALL,
    ),
    Kind.SOON: (
        "Your appointment",
        "Hello,\n\nsee you soon: your appointment is on {when}."
        "[\n\nIf you cannot come, please tell us:\n{link}][\n\nRunning late? Call us at {phone}.]",
    ),
    Kind.DIGEST: (
        "Your appointments",
        "Hello,\n\nthis is a reminder of these appointments:\n\n{visits}" + CALL,
    ),
    Kind.NO_SHOW: (
        "Your appointment",
        "Hello,\n\nwe missed you on {date}. We are glad to find another time for you."
        "[\n\nTo ask for one, call us at {phone}.][\n\nTo ask for one, write to us at {email}.]",
    ),
    Kind.RECALL: (
        "Your next appointment",
        "Hello,\n\nit is time to plan your next visit."
        "[\n\nTo ask for a time, call us at {phone}.][\n\nTo ask for a time, write to us at {email}.]",
    ),
    Kind.WAITLIST_OFFER: (
        "A time has opened",
        "Hello,\n\nyou asked us to tell you when a time opens: {when}."
        "\n\nIt is kept for you until {expires}. To take it or leave it:\n{link}" + CALL,
    ),
    Kind.CHOOSE: (
        "Your appointment",
        "Hello,\n\nthank you for your answer. We want to get it right, so please choose here:\n{link}" + CALL,
    ),
    Kind.CANCELLED: (
        "Your appointment was cancelled",
        "Hello,\n\nyour appointment on {when} was cancelled."
        "[\n\nTo book another, call us at {phone}.][\n\nTo book another, write to us at {email}.]",
    ),
}
