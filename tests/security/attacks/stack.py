"""One whole CareRelay under attack: web, worker, beat and listener on tables of their own; else attacks were rehearsed.

The tests of the folder share it. While it runs, this process writes to the tables of the stack, so that what a test
makes with the usual factories is what the attacked processes read.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone
from psycopg import sql

from backend.apps.core import dispatch
from backend.apps.core.work import work_models
from backend.apps.users import services
from backend.apps.users.models import LoginSession, User
from integrations.doubles import sendgrid as sendgrid_double
from integrations.doubles.twilio import TwilioDouble
from tests.security.attacks.trap import Outside
from tests.support.stage import Stage, until
from workers.cli import state
from workers.cli.parts import DEFAULTS, named

AGE_S, METRICS_TOKEN = 300, "a-token-of-the-monitoring"
LIMITS = {
    "CARERELAY_MLLP_MESSAGE": str(2 * 1024 * 1024),
    "CARERELAY_MLLP_FRAME_S": "2",
    "CARERELAY_MLLP_IDLE_S": "60",
    "CARERELAY_MLLP_CONNECTIONS": "60",
    "CARERELAY_MLLP_PER_ADDRESS": "40",
    "CARERELAY_MLLP_REFRESH_S": "0.2",
}
# What the stack writes about itself all the time, and the trail that every attack leaves and is asked for by itself.
DIARY = re.compile(
    r"core_(audit.*|heartbeat|.*tally.*|alert|alertnotice|reconcile.*|retention.*)|users_login.*|users_signin.*|users_guard.*|django_session"
    r"|laboratory_intakecount"
)


class AttackedStack:
    """The running processes and how to reach them."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder)
        self.twilio = TwilioDouble()
        self.outside = Outside()
        for double in (self.twilio, self.outside):
            double.__enter__()
        self.sendgrid_key, public = sendgrid_double.key_pair()
        self.web, self.mllp = state.free_port(), self.stage.reserve_port()
        self.url = f"http://127.0.0.1:{self.web}"
        self.stage.extra.update(self.twilio.environment)
        self.stage.extra.update(
            {
                **DEFAULTS,
                **LIMITS,
                "DJANGO_SETTINGS_MODULE": "backend.config.settings",
                "CARERELAY_WEB_PORT": str(self.web),
                "CARERELAY_WEB_WORKERS": "1",
                "CARERELAY_MLLP_PORT": str(self.mllp),
                "CARERELAY_PUBLIC_BASE_URL": self.url,
                "CARERELAY_BEAT_FILE": str(folder / "beat-schedule"),
                "CARERELAY_EMAIL": "sandbox",
                "SENDGRID_WEBHOOK_KEYS": public,
                "CARERELAY_CLAIMS_LOOK_AGAIN_S": "0.1",
                "CARERELAY_PARTNER_FOLDERS": str(folder / "partners"),
                "CARERELAY_METRICS_TOKEN": METRICS_TOKEN,
                "CARERELAY_EGRESS_ALLOW": ",".join(
                    double.url.removeprefix("http://") for double in (self.twilio, self.outside)
                ),
            }
        )
        self._tokens: dict[Any, tuple[float, str]] = {}

    def start(self) -> None:
        """Start all parts side by side and wait until each answers."""
        settings = self.stage.environment()
        for name in ("web", "mllp"):
            self.stage.extra["CARERELAY_PROCESS"] = name
            self.stage.start(name, *named(name).argv(settings)[1:])
        self.stage.extra["CARERELAY_PROCESS"] = "worker"
        self.stage.start("beat", *named("beat").argv(settings)[1:])
        self.worker = self.stage.worker()
        for name in ("web", "mllp"):
            until(partial(named(name).is_ready, settings))

    def close(self) -> None:
        self.stage.close()
        for double in (self.twilio, self.outside):
            double.__exit__(None, None, None)

    def token(self, user: User) -> str:
        """Return an access token of a sign-in of this user; one that has lived half its life is not used again."""
        made, text = self._tokens.get(user.pk, (0.0, ""))
        if time.monotonic() - made > AGE_S:
            made, text = self._tokens[user.pk] = (time.monotonic(), services.open_session(user).access)
        return text

    def cookie(self, user: User) -> str:
        """Return the key of a session of the pages, as a sign-in there makes it."""
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "backend.apps.users.backends.StaffPassword"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session["login_session"] = str(LoginSession.objects.create(user=user, kind="cookie", refresh_jti="").pk)
        session.create()
        return str(session.session_key)

    def ring(self, task: str) -> None:
        """Ring a bell as a part of ours does."""
        with dispatch.ringing_at(self.stage.redis.url) as ring:
            ring(task)

    def forget_refusals(self) -> None:
        """Let the next call that is refused at a door be the first of its minute, which is the one that has a row."""
        with redis.Redis.from_url(self.stage.redis.url) as client:
            if keys := list(client.scan_iter("*:refused:*")):
                client.delete(*keys)

    def logs(self) -> dict[str, int]:
        """Return how long each log is now."""
        return {path.name: path.stat().st_size for path in (self.stage.folder / "logs").glob("*.log")}

    def logged_since(self, lengths: dict[str, int]) -> str:
        told = []
        for path in sorted((self.stage.folder / "logs").glob("*.log")):
            with path.open("rb") as file:
                file.seek(lengths.get(path.name, 0))
                told.append(file.read().decode(errors="replace"))
        return "\n".join(told)


def put_off() -> None:
    """Put off what the stack would do by itself with the rows a test made, so that only attacks change anything."""
    later = timezone.now() + timedelta(days=300)
    for model in work_models():
        model.work.filter(work_state="waiting", due_at__lt=later).update(due_at=later)


def contents() -> dict[str, str]:
    """Return a digest of every table of the stack but its diary, in one statement."""
    tables = [name for name in sorted(connection.introspection.table_names()) if not DIARY.fullmatch(name)]
    each = sql.SQL(
        "SELECT {word}, count(*) || ' ' || coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') FROM {rows} t"
    )
    parts = [each.format(word=sql.Literal(name), rows=_rows(name)) for name in tables]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(parts).as_string(cursor.connection))
        return dict(cursor.fetchall())


def _rows(table: str) -> sql.Composable:
    """Return what the digest is of; the moment of a sign-in is no change of a login."""
    if table != User._meta.db_table:
        return sql.Identifier(table)
    columns = [field.column for field in User._meta.concrete_fields if field.name != "last_login"]
    return sql.SQL("(SELECT {} FROM {})").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
    )


@contextmanager
def own_database() -> Iterator[None]:
    """Let this process, and what it starts, work on a new copy of the tables until the block ends."""
    at, name = connection.settings_dict, f"attacked_{os.getpid()}"
    before, template = at["NAME"], os.environ.get("CARERELAY_TEST_TEMPLATE") or at["NAME"]
    connection.close()
    _on_server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", template)  # of tests before
    _on_server(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    at["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        at["NAME"] = before
        _on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


def _on_server(statement: str, *values: str) -> None:
    at = connection.settings_dict
    url = f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/postgres"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(statement, values or None)
