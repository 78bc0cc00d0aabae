"""Whether a patient may be written to on a channel; without it each sender would ask by rules of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import Q, QuerySet

from backend.apps.core import closed_values, sealed
from backend.apps.core.arrays import among_digests
from backend.apps.patients.models import ContactPoint, Patient

OPENED_BY = {
    "sms": "this number said STOP: nothing goes until a START is texted from it, whatever is noted here",
    "email": "somebody at this mailbox asked for no more mail",
}
COLUMNS = {"sms": "phone", "email": "email"}
Points = Mapping[tuple[str, str], ContactPoint]  # by channel and address


def address_of(patient: Patient, channel: str) -> str:
    """Return the number or mailbox (in small letters) of that channel, empty if there is none or it does not open."""
    if channel not in COLUMNS:
        return ""
    told: str = closed_values.read(patient, COLUMNS[channel])
    return mailbox(told) if channel == "email" else told


def mailbox(text: str) -> str:
    """Return an e-mail address as contact points know it: trimmed, in small letters."""
    return sealed.NORMAL["email"](text)


def living_at(channel: str, address: str, *, path: str = "") -> Q:
    """Return the condition for patients with this number or mailbox. path: to the patient, as "patient__"."""
    return sealed.same(Patient, f"{COLUMNS[channel]}_index", address, path=path)


def with_numbers(numbers: Iterable[str], *, path: str = "") -> Q:
    """Return the condition for patients with one of these numbers. path: to the patient, as "patient__"."""
    return sealed.with_one_of(Patient, "phone_index", numbers, path=path)


def known_at(channel: str, address: str) -> QuerySet[ContactPoint]:
    """Return what is known of this number or mailbox, none or one."""
    return ContactPoint.objects.filter(sealed.same(ContactPoint, "address_index", address), channel=channel)


def at_address(text: str) -> Q:
    """Return the condition for what is known of a number or mailbox as somebody writes it."""
    return sealed.same(ContactPoint, "address_index", mailbox(text) if "@" in text else text)


def points_of(patients: Iterable[Patient]) -> Points:
    """Return what is known of the numbers and mailboxes of `patients`, in one query.

    No address of theirs is opened: an opt-out whose own does not open still counts.
    """
    wanted = {(channel, address_of(patient, channel)) for patient in patients for channel in ("sms", "email")}
    asked, of = Q(), dict[tuple[str, bytes], str]()
    for channel in ("sms", "email"):
        addresses = [address for kind, address in wanted if kind == channel and address]
        digests = {digest: one for one in addresses for digest in sealed.digests(ContactPoint, "address_index", one)}
        of |= {(channel, digest): one for digest, one in digests.items()}
        asked |= Q(among_digests("address_index", digests), channel=channel)
    found = ContactPoint.objects.filter(asked)
    return {(point.channel, of[point.channel, bytes(point.address_index)]): point for point in found}


def closed_by(patient: Patient, channel: str, points: Points) -> str:
    """Return what stands against this number or mailbox whoever agreed, and what opens it; empty when nothing does."""
    point = points.get((channel, address_of(patient, channel)))
    if point is not None and point.opted_out_at:
        return OPENED_BY[channel]
    if point is not None and point.unusable_at:
        return f"this address cannot take messages ({point.unusable_code})"
    return ""


def why_unreachable(patient: Patient, channel: str, points: Points) -> str | None:
    """Return why nothing may be sent there, as a sentence without a patient's data; None when it may."""
    if channel not in ("sms", "email"):
        return "There is no provider for this channel."
    address = address_of(patient, channel)
    if not address:
        return "The patient has no address on this channel."
    point = points.get((channel, address))
    if point is not None and point.opted_out_at:  # first, for it ended the consent as well
        return "Somebody at this address asked for no more messages."
    if not getattr(patient, f"{channel}_consent"):
        return "The patient has not agreed to this channel."
    if point is not None and point.unusable_at:
        return "This address cannot take messages."
    return None
