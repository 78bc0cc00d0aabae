"""Who may be written to, and who said so: without it a STOP would be forgotten, or a consent nobody could prove."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from backend.apps.core import closed_values
from backend.apps.core.sealed import same
from backend.apps.patients import changes
from backend.apps.patients.contacts import address_of, known_at, living_at, mailbox
from backend.apps.patients.models import ConsentMethod, ContactConsent, ContactPoint, Patient

SMS, EMAIL = "sms", "email"
OPT_OUTS = (ConsentMethod.TEXT, ConsentMethod.UNSUBSCRIBE, ConsentMethod.PROVIDER)
OPEN: Mapping[str, Any] = {"opted_out_at": None, "opted_out_method": "", "opted_out_evidence": ""}


@transaction.atomic
def record(
    patient: Patient, channel: str, given: bool, *, by: Any, method: str, evidence: str = "", opens: bool = False
) -> bool:
    """Note that a consent was given or taken back; return whether it changes where messages may go.

    Column and ledger row are one transaction; only the same words of the same person twice are one row. opens: somebody
    has changed their mind, which opens a mailbox again that was unsubscribed, but not one the provider keeps closed (it
    called our mail spam). A number that said STOP opens only by START, for the carrier blocks it as well.
    """
    row = Patient.all_objects.select_for_update(no_key=True).get(pk=patient.pk)
    before = getattr(row, f"{channel}_consent")
    row.consent(channel, given)
    names = (f"{channel}_consent", f"{channel}_consent_at")
    if changed := before != given:
        row.save(update_fields=[*names, "updated_at"])
    _write_down(row, channel, given, by=by, method=method, evidence=evidence, changed=changed)
    opened = opens and given and channel == EMAIL and _open(EMAIL, address_of(row, EMAIL))
    for name in (*names, "updated_at"):
        setattr(patient, name, getattr(row, name))
    return changed or opened


def begin(patients: Iterable[Patient], *, method: str) -> None:
    """Begin the ledger of patients that were just written in bulk."""
    ContactConsent.objects.bulk_create(
        ContactConsent(
            patient=patient, channel=channel, given=True, method=method, address=address_of(patient, channel)
        )
        for patient in patients
        for channel in (SMS, EMAIL)
        if getattr(patient, f"{channel}_consent")
    )


@transaction.atomic
def stop(number: str, *, evidence: str) -> list[Patient]:
    """Text nobody at this number any more; return the patients whose consent ended with it. Safe to repeat.

    evidence: the id of the message that said so.
    """
    return _close(SMS, number, method=ConsentMethod.TEXT, evidence=evidence)


@transaction.atomic
def start(number: str, *, evidence: str) -> list[Patient]:
    """Let texts go to this number again, and plan them; return the patients whose consent is back.

    Those only whose last word was the STOP of this number: who had not agreed before it, or refused in another way
    since, does not agree by it.
    """
    return _reopen(SMS, number, method=ConsentMethod.TEXT, evidence=evidence)


@transaction.atomic
def opt_out_email(whose: Patient | str, *, method: str, evidence: str) -> list[Patient]:
    """Mail this patient's mailbox, or this address, no more; return whose consent ended with it. Safe to repeat."""
    if address := _mailbox(whose):
        return _close(EMAIL, address, method=method, evidence=evidence)
    if isinstance(whose, Patient) and record(whose, EMAIL, False, by=None, method=method, evidence=evidence):
        return [whose]
    return []


@transaction.atomic
def opt_in_email(whose: Patient | str, *, method: str, evidence: str) -> list[Patient]:
    """Take `opt_out_email` back, unless the provider keeps the mailbox closed; return whose consent is back."""
    return _reopen(EMAIL, _mailbox(whose), method=method, evidence=evidence)


@transaction.atomic
def mark_opted_out(channel: str, address: str, *, code: str) -> list[Patient]:
    """Note that the provider does not deliver there because somebody opted out with it."""
    return _close(channel, address, method=ConsentMethod.PROVIDER, evidence=code)


@transaction.atomic
def mark_unusable(channel: str, address: str, *, code: str) -> ContactPoint:
    """Note that this number or mailbox cannot take messages, by the provider's code. Safe to repeat."""
    point = _point(channel, address)
    if point.unusable_at is None:
        _change(point, unusable_at=timezone.now(), unusable_code=code[:40])
    return point


@transaction.atomic
def mark_usable(point: ContactPoint, *, by: Any) -> ContactPoint:
    """Try this number or mailbox again, as a person decided; an opt-out stays."""
    rows = _locked_at(point.channel, point.address)
    _change(point, unusable_at=None, unusable_code="")
    for row in rows:
        changes.tell(row)
    return point


def lock(addresses: Collection[tuple[str, str]]) -> None:
    """Lock who can be written to at these (channel, address), and what is known of those, until the transaction ends.

    Whoever notes something of addresses and locks messages too does this first: a change of a patient locks that one,
    and then the messages it plans anew.
    """
    who, points = Q(), Q()
    for channel, address in addresses:
        if address:
            who |= living_at(channel, address)
            points |= same(ContactPoint, "address_index", address) & Q(channel=channel)
    if who:
        list(Patient.objects.filter(who).select_for_update(no_key=True).order_by("pk").values_list("pk"))
        list(ContactPoint.objects.filter(points).select_for_update().order_by("pk").values_list("pk"))


def _close(channel: str, address: str, *, method: str, evidence: str) -> list[Patient]:
    """Opt an address out, with everybody who agreed to be written to there."""
    agreed = [row for row in _locked_at(channel, address) if getattr(row, f"{channel}_consent")]
    point = _point(channel, address)
    if point.opted_out_at is None:
        _change(point, opted_out_at=timezone.now(), opted_out_method=method, opted_out_evidence=evidence[:80])
    elif method == ConsentMethod.PROVIDER != point.opted_out_method:
        _change(point, opted_out_method=method)  # unsubscribed first, then called spam: the stricter one holds
    for row in agreed:
        record(row, channel, False, by=None, method=method, evidence=evidence)
    return agreed


def _reopen(channel: str, address: str, *, method: str, evidence: str) -> list[Patient]:
    """Take an opt-out back, with the consents that ended by it and by nothing else."""
    rows = _locked_at(channel, address)
    point = _closed(channel, address).first()
    if point is None:
        return []
    ended = [row for row in rows if _ended_by(point, address, _last_word(row, channel))]
    _change(point, **OPEN)
    for row in ended:
        record(row, channel, True, by=None, method=method, evidence=evidence)
    for row in rows:
        changes.tell(row)
    return ended


def _ended_by(point: ContactPoint, address: str, last: ContactConsent | None) -> bool:
    if last is None or last.given or last.method not in OPT_OUTS or closed_values.read(last, "address") != address:
        return False
    return point.opted_out_at is not None and last.created_at >= point.opted_out_at


def _mailbox(whose: Patient | str) -> str:
    return mailbox(whose) if isinstance(whose, str) else address_of(whose, EMAIL)


def _last_word(patient: Patient, channel: str) -> ContactConsent | None:
    return ContactConsent.objects.filter(patient=patient, channel=channel).order_by("-created_at", "-id").first()


def _locked_at(channel: str, address: str) -> list[Patient]:
    """Return the patients with this number or mailbox, locked in the order every writer locks them."""
    rows: QuerySet[Patient] = Patient.objects.filter(living_at(channel, address)) if address else Patient.objects.none()
    return list(rows.select_for_update(no_key=True).order_by("pk"))


def _point(channel: str, address: str) -> ContactPoint:
    """Return what is known of an address, locked; made when it is new."""
    points = known_at(channel, address)
    if not points.exists():
        with connection.cursor() as cursor:  # under two keys for indexes two rows would be no conflict
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"point {channel} {address}"])
        if not points.exists():
            ContactPoint.objects.bulk_create([ContactPoint(channel=channel, address=address)], ignore_conflicts=True)
    return points.select_for_update().get()


def _open(channel: str, address: str) -> bool:
    return bool(_closed(channel, address).update(**OPEN, updated_at=timezone.now()))


def _closed(channel: str, address: str) -> QuerySet[ContactPoint]:
    """Return the point of an address that opted out, unless it is a mailbox that the provider keeps closed."""
    points = known_at(channel, address).filter(opted_out_at__isnull=False)
    return points.exclude(channel=EMAIL, opted_out_method=ConsentMethod.PROVIDER)


def _change(point: ContactPoint, **values: datetime | str | None) -> None:
    for name, value in values.items():
        setattr(point, name, value)
    point.save(update_fields=[*values, "updated_at"])


def _write_down(
    patient: Patient, channel: str, given: bool, *, by: Any, method: str, evidence: str, changed: bool
) -> None:
    last = None if changed else _last_word(patient, channel)
    said = (given, str(method), evidence[:80], getattr(by, "pk", None))
    if last is not None and said == (last.given, last.method, last.evidence, last.by_id):
        return
    ContactConsent.objects.create(
        patient=patient,
        channel=channel,
        given=given,
        method=method,
        address=address_of(patient, channel),
        evidence=evidence[:80],
        by=by,
    )
