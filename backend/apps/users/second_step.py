"""The second step of a sign-in: codes of a device and codes on paper; without it a password alone opens the clinic."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pyotp
import segno
from django.conf import settings
from django.core import signing
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare

from backend.apps.core import audit
from backend.apps.core.bases import uuid7
from backend.apps.core.exceptions import DomainError
from backend.apps.core.statements import database_now
from backend.apps.users import guards
from backend.apps.users.models import (
    Authenticator,
    Ended,
    LoginNotice,
    LoginSession,
    Notice,
    RecoveryCode,
    Stage,
    User,
)

REQUIRED, OPTIONAL = "required", "optional"
ISSUER = "CareRelay"
STEP_S = 30
EITHER_SIDE = (0, -1, 1)  # steps a clock may be off
RECOVERY_CODES = 10
TOTP_SHAPE = re.compile(r"[0-9]{6}")
WAITS = timedelta(minutes=10)  # a device for its first code, and what was proved before it was shown
SALT = "users.devices"


class CodeRefused(DomainError):
    """One sentence whatever was wrong with the code: wrong, used, too late, or locked."""

    status = 401
    code = reason = "code_refused"  # the second for the audit log

    def __init__(self) -> None:
        super().__init__("The code is not right, was used before or came too late. Wait for the next one.")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a device needs. secret: base32; uri: otpauth://; qr: the uri as SVG; ticket: of the page that shows it."""

    secret: str
    uri: str
    qr: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How the second step of a login stands, and how many recovery codes are left."""

    is_set_up: bool
    is_required: bool
    recovery_codes_left: int


def is_required(user: User) -> bool:
    return user.is_staff_member and settings.STAFF_MFA == REQUIRED


def is_set_up(user: User) -> bool:
    return _confirmed(user).exists()


def standing(user: User) -> Standing:
    left = user.recovery_codes.filter(used_at__isnull=True).count()
    return Standing(is_set_up(user), is_required(user), left)


def stage_for(user: User) -> Stage:
    """Return where the right password leads: in, to the code, or to setting up what has to be there."""
    if is_set_up(user):
        return Stage.CODE
    return Stage.ENROL if is_required(user) else Stage.OPEN


@transaction.atomic
def enrol(session: LoginSession) -> Enrolment:
    """Return the secret of a new device; it counts from its first right code on, and until then the old one does.

    Each time it is another one, shown to this sign-in alone, and good for ten minutes: who knows the password has not
    seen it before.
    """
    user = locked(session.user_id)
    user.authenticators.filter(confirmed_at=None).delete()
    secret = pyotp.random_base32()
    return _shown(Authenticator.objects.create(user=user, secret=secret, made_in=session.pk))


def waiting(session: LoginSession) -> Enrolment | None:
    """Return what `enrol` showed this sign-in, while it waits for its first code."""
    device = _waiting(session)
    return _shown(device) if device else None


def shown_by(session: LoginSession, ticket: str) -> Enrolment | None:
    """Return what waits, to the page alone that showed it: whoever opens another one has proved nothing."""
    device = _waiting(session)
    try:
        told = signing.loads(ticket, salt=SALT, max_age=WAITS)
    except signing.BadSignature:
        return None
    return _shown(device) if device and told == str(device.pk) else None


def forget(session: LoginSession) -> None:
    """Drop what waits for its first code: the page that showed it was left."""
    Authenticator.objects.filter(user_id=session.user_id, made_in=session.pk, confirmed_at=None).delete()


def is_fresh(session: LoginSession) -> bool:
    """Return whether the password of this sign-in was proved just now."""
    return session.created_at > database_now() - WAITS


@transaction.atomic
def confirm(session: LoginSession, code: str) -> list[str]:
    """Let the new device count for the one who types its code, end the other sign-ins, and return recovery codes.

    Raises:
        CodeRefused: not a code of the device that this sign-in was shown, or that sign-in has ended.
    """
    user = locked(session.user_id)
    device = (
        _waiting(session)
        if LoginSession.objects.usable(Stage.OPEN, Stage.ENROL).filter(pk=session.pk).exists()
        else None
    )
    counter = _counter(device.secret, plain(code)) if device else None
    if device is None or counter is None:
        raise CodeRefused
    _confirmed(user).delete()
    Authenticator.objects.filter(pk=device.pk).update(confirmed_at=Now(), last_used_counter=counter)
    user.login_sessions.exclude(pk=session.pk).revoke(Ended.SECOND_STEP)
    LoginSession.objects.filter(pk=session.pk, stage=Stage.ENROL).update(stage=Stage.OPEN)
    tell(user, Notice.ENROLLED)
    return _write_codes(user)


def check(user: User, code: str) -> None:
    """Take a code of the device or one on paper; each is taken once. Wrong ones are counted, and too many lock all.

    Raises:
        CodeRefused: wrong, used, too old, or locked.
    """
    if not _passes(user, plain(code)):
        raise CodeRefused


@transaction.atomic
def _passes(user: User, code: str) -> bool:
    """Judge one code after the other, so that none is spent in vain while codes are locked."""
    who = str(locked(user.pk).pk)
    if guards.count(who, guards.CODE, user, is_wrong=False):
        return False
    if not _taken(user, code):
        guards.count(who, guards.CODE, user, is_wrong=True)
        return False
    guards.forgive(who, guards.CODE)
    return True


@transaction.atomic
def new_codes(user: User) -> list[str]:
    """Return ten new recovery codes; the old ones are void. Ask for a fresh code first (`check`)."""
    locked(user.pk)
    tell(user, Notice.CODES)
    return _write_codes(user)


def locked(key: UUID) -> User:
    """Return the login with its row locked. Whatever changes sign-ins, devices or codes of somebody begins by this."""
    user: User = User.all_objects.select_for_update(no_key=True).get(pk=key)
    return user


def remove(user: User) -> bool:
    """Take the second step off; return whether there was one. Runs within the transaction that ends the sign-ins."""
    devices, _ = user.authenticators.all().delete()
    user.recovery_codes.all().delete()
    guards.clear(str(user.pk), guards.CODE)
    return bool(devices)


def tell(user: User, kind: Notice) -> None:
    """Let the owner of the login know by mail."""
    LoginNotice.work.enqueue(dedupe_key=f"{kind}:{user.pk}:{uuid7().hex}", kind=kind, user=user)


def plain(code: str) -> str:
    """Return a code as it was made, however it was typed."""
    return re.sub(r"[\s-]", "", code).lower()


def _shown(device: Authenticator) -> Enrolment:
    uri = pyotp.TOTP(device.secret).provisioning_uri(name=device.user.email, issuer_name=ISSUER)
    qr = segno.make(uri, error="m").svg_inline(scale=4, border=4, omitsize=True, svgclass="qr", lineclass=None)
    return Enrolment(device.secret, uri, qr, signing.dumps(str(device.pk), salt=SALT))


def _waiting(session: LoginSession) -> Authenticator | None:
    waits = Authenticator.objects.filter(user_id=session.user_id, made_in=session.pk, confirmed_at=None)
    return waits.filter(created_at__gt=Now() - WAITS).select_related("user").first()


def _confirmed(user: User) -> models.QuerySet[Authenticator]:
    return Authenticator.objects.filter(user=user, confirmed_at__isnull=False)


def _taken(user: User, code: str) -> bool:
    return _taken_from_device(user, code) if TOTP_SHAPE.fullmatch(code) else _taken_from_paper(user, code)


def _taken_from_device(user: User, code: str) -> bool:
    """Spend the code in one conditional UPDATE: of two that come at once, one is refused."""
    device = _confirmed(user).first()
    counter = _counter(device.secret, code) if device else None
    if device is None or counter is None:
        return False
    return bool(_confirmed(user).filter(pk=device.pk, last_used_counter__lt=counter).update(last_used_counter=counter))


def _taken_from_paper(user: User, code: str) -> bool:
    unused = RecoveryCode.objects.filter(user=user, digest=_digest(code), used_at__isnull=True)
    with transaction.atomic():
        if not unused.update(used_at=Now()):
            return False
        audit.record(None, "second_step.recovered", "user", str(user.pk), user=user)
        tell(user, Notice.RECOVERED)
    return True


def _counter(secret: str, code: str) -> int | None:
    """Return the time step whose code this is, at most one from now; None when there is none."""
    totp, now = pyotp.TOTP(secret), int(time.time()) // STEP_S
    found = [now + off for off in EITHER_SIDE if constant_time_compare(totp.generate_otp(now + off), code)]
    return found[0] if found else None


def _write_codes(user: User) -> list[str]:
    made = [_random_code() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=_digest(plain(code))) for code in made)
    return made


def _random_code() -> str:
    text = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    return "-".join(text[at : at + 6] for at in range(0, len(text), 6))


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
