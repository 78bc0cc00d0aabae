"""A device that shows codes, and callers at the doors; without it each test would count its own time steps."""

from __future__ import annotations

import ipaddress
import random
import time
from typing import Any

import pyotp
from django.test import Client
from rest_framework.test import APIClient

from backend.apps.users import second_step, services
from backend.apps.users.models import Authenticator, LoginSession, Stage, User

PASSWORD = "correct-horse-battery-staple"
API = "/api/v1/auth"
LOGIN, CODE, SET_UP, LOGOUT = "/admin/login/", "/admin/login/code/", "/admin/login/second-step/", "/admin/logout/"


def an_address() -> str:
    """Return an address of its own, since failures are counted by address."""
    return str(ipaddress.IPv4Address(random.getrandbits(32)))


def api(token: str = "") -> APIClient:
    client = APIClient(REMOTE_ADDR=an_address())
    if token:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def browser(**options: Any) -> Client:
    return Client(REMOTE_ADDR=an_address(), **options)


class Device:
    """Shows codes of a secret; each call of `code` shows one that was not spent, as the next minute would."""

    def __init__(self, secret: str) -> None:
        self.totp = pyotp.TOTP(secret)

    def code(self, steps: int = 0) -> str:
        return self.totp.now() if not steps else self.totp.at(_now(), counter_offset=steps)

    def wrong(self) -> str:
        near = {self.totp.at(_now(), counter_offset=steps) for steps in range(-3, 4)}
        return next(code for code in map("{:06}".format, range(100)) if code not in near)


def with_device(user: User) -> tuple[Device, list[str]]:
    """Give a user a second step whose codes are all unspent; return the device and the recovery codes."""
    session = services.begin(user, stage=Stage.OPEN)
    secret = second_step.enrol(session).secret
    codes = second_step.confirm(session, pyotp.TOTP(secret).now())
    Authenticator.objects.filter(user=user).update(last_used_counter=0)
    LoginSession.objects.filter(pk=session.pk).delete()
    return Device(secret), codes


def tokens_of(client: APIClient, user: User, password: str = PASSWORD) -> Any:
    return client.post(f"{API}/token/", {"email": user.email, "password": password})


def enter(client: Client, user: User, password: str = PASSWORD, **more: str) -> Any:
    return client.post(LOGIN, {"username": user.email, "password": password, **more})


def _now() -> int:
    return int(time.time())
