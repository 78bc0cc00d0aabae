"""Whether a patient may be written to on a channel; without it each sender would ask by rules of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, F, Q, Value

from backend.apps.core.scope import Among
from backend.apps.patients.models import ContactPoint, Patient

OPENED_BY = {
    "sms": "this number said STOP: nothing goes until a START is texted from it, whatever is noted here",
    "email": "somebody at this mailbox asked for no more mail",
}
Points = Mapping[tuple[str, str], ContactPoint]  # by channel and address


def address_of(patient: Patient, channel: str) -> str:
    """Return the number or mailbox (in small letters) of that channel, empty if there is none."""
    return {"sms": patient.phone, "email": patient.email.lower()}.get(channel, "")


def points_of(patients: Iterable[Patient]) -> Points:
    """Return what is known of the numbers and mailboxes of `patients`, in one query.

    They are asked for as arrays: thousands of parameters cost more than the rows.
    """
    wanted = {(channel, address_of(patient, channel)) for patient in patients for channel in ("sms", "email")}
    asked = Q()
    for channel in ("sms", "email"):
        addresses = [address for kind, address in wanted if kind == channel and address]
        among = Among(F("address"), Value(addresses, output_field=ArrayField(CharField())))
        asked |= Q(among, channel=channel)
    return {(point.channel, point.address): point for point in ContactPoint.objects.filter(asked)}


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
