"""Takes a mailbox off the clinic's mail by the link in it, and lets it back; a mailbox provider's own button too."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpResponse

from backend.apps.core import closed_values
from backend.apps.interop.answer_frame import Asked
from backend.apps.messaging import outgoing
from backend.apps.patients import consents, contacts
from backend.apps.patients.models import ConsentMethod, Patient

ONE_CLICK = ("List-Unsubscribe", "One-Click")  # RFC 8058, section 3.1


def page(asked: Asked) -> HttpResponse:
    """Show the button by GET; by POST stop the mail at once, without a redirect (RFC 8058), or begin it again."""
    form, wants = asked.request.POST, asked.wants
    if wants == "stop" or (asked.request.method == "POST" and form.get(ONE_CLICK[0]) == ONE_CLICK[1]):
        return stop(asked)
    if wants == "start":
        return start(asked)
    title = asked.words.mail_stopped if is_stopped(asked) else asked.words.mail
    return _shown(asked, title=title, status=400 if asked.request.method == "POST" else 200)


def stop(asked: Asked) -> HttpResponse:
    """Mail this mailbox no more; once more changes nothing."""
    evidence = f"link:{asked.link.pk}"
    with transaction.atomic():  # what is done is written down, or neither
        was_closed = _is_closed(asked)
        ended = consents.opt_out_email(mailbox(asked), method=ConsentMethod.UNSUBSCRIBE, evidence=evidence)
        if ended or _is_closed(asked) != was_closed:
            asked.note("unsubscribe", "patient", asked.link.patient_id)
    return _shown(asked, title=asked.words.mail_stopped)


def start(asked: Asked) -> HttpResponse:
    """Take that back, for those who had agreed before it."""
    with transaction.atomic():
        consents.opt_in_email(mailbox(asked), method=ConsentMethod.UNSUBSCRIBE, evidence=f"link:{asked.link.pk}")
        asked.note("resubscribe", "patient", asked.link.patient_id)
    back = not is_stopped(asked)
    return _shown(asked, title=asked.words.mail, told=asked.words.mail_started if back else "", failed=not back)


def mailbox(asked: Asked) -> Patient | str:
    """Return the address the message went to; the patient's own where the message does not say, or it does not open."""
    message = outgoing.find(asked.link.message_id)
    return (closed_values.read(message, "recipient_email") if message else "") or asked.link.patient


def is_stopped(asked: Asked) -> bool:
    """Whether mail to this patient has ended, or to this mailbox whoever has it."""
    agrees = Patient.objects.filter(pk=asked.link.patient_id, email_consent=True)
    return bool(_is_closed(asked) or not agrees.exists())


def _is_closed(asked: Asked) -> bool:
    whose = mailbox(asked)
    address = contacts.mailbox(whose) if isinstance(whose, str) else contacts.address_of(whose, "email")
    return contacts.known_at("email", address).filter(opted_out_at__isnull=False).exists()


def _shown(asked: Asked, *, title: str, told: str = "", failed: bool = False, status: int = 200) -> HttpResponse:
    context = {"title": title, "stopped": is_stopped(asked), "told": told, "failed": failed}
    return asked.page("mailbox", context, status=status)
