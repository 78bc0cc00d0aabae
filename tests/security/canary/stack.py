"""The stack that the canary goes through: all parts, Flower too, with the partners beside it and a folder for the rest.

PostgreSQL runs with the settings of production for its log (`PRIVATE_LOG`), whatever else the suite trades for speed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import requests
from django.db import connection

from integrations.doubles.server import Answer, HttpDouble, Request
from integrations.x12.fake import FakeClearinghouse
from tests.security.attacks.stack import METRICS_TOKEN, AttackedStack
from tests.support.stage import until
from workers.cli import state
from workers.cli.parts import named

FLOWER_LOGIN = ("canary", "a-long-password-of-a-test")
# Of the log in production; what PostgreSQL sets itself where nothing is said: none, -1 and -1.
POSTGRES_LOG = {
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
}


class Collector(HttpDouble):
    """Takes spans."""

    def take(self, request: Request) -> Answer:
        return Answer(200, b"", {"Content-Type": "application/x-protobuf"})


class CanaryStack(AttackedStack):
    """Also with Flower, a clearinghouse, traces, JSON logs as in production, and a folder for what is brief."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder, self.temporary = folder, folder / "tmp"
        self.secrets = folder / "partner-secrets"
        for place in (self.temporary, self.secrets):
            place.mkdir()
        self.house, self.collector = FakeClearinghouse(folder / "house"), Collector()
        for double in (self.house, self.collector):
            double.__enter__()
        self.flower = state.free_port()
        self.stage.extra.update(
            {
                "CARERELAY_FLOWER_PORT": str(self.flower),
                "FLOWER_BASIC_AUTH": ":".join(FLOWER_LOGIN),
                "CARERELAY_PARTNER_SECRETS": str(self.secrets),
                "CARERELAY_EGRESS_ALLOW": "127.0.0.1",
                "CARERELAY_LOG_FORMAT": "json",
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
                "OTEL_BSP_SCHEDULE_DELAY": "500",  # ms
                "TMPDIR": str(self.temporary),
            }
        )
        self._postgres_log = Path(os.environ["CARERELAY_STATE"]) / "logs" / "postgres.log"
        self._postgres_was = self._postgres_log.stat().st_size

    def start(self) -> None:
        super().start()
        settings = self.stage.environment()
        self.stage.start("flower", *named("flower").argv(settings)[1:])
        until(lambda: named("flower").is_ready(settings))

    def close(self) -> None:
        super().close()
        for double in (self.house, self.collector):
            double.__exit__(None, None, None)

    def postgres_log(self) -> str:
        """Return what PostgreSQL wrote since this stack is there."""
        with self._postgres_log.open("rb") as log:
            log.seek(self._postgres_was)
            return log.read().decode(errors="replace")

    def flower_says(self, path: str) -> str:
        answer = requests.get(f"http://127.0.0.1:{self.flower}{path}", auth=FLOWER_LOGIN, timeout=30)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def spans(self) -> str:
        """Return what was sent to the collector of traces."""
        return "\n".join(request.body.decode("latin-1") for request in self.collector.requests)

    def asked_of_others(self) -> list[str]:
        """Return the addresses that the stack asked for at others, and those it told them to answer at."""
        asked = [request.path for double in (self.twilio, self.outside) for request in double.requests]
        return asked + [sms.status_callback for sms in self.twilio.sent]

    def numbers(self) -> str:
        given = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        return requests.get(f"{self.url}/metrics", headers=given, timeout=30).text


def postgres_settings() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(POSTGRES_LOG)])
        return dict(cursor.fetchall())
