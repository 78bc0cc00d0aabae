"""The one table of the processes CareRelay consists of; without it `up` and docker-compose.yml would drift apart."""

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workers.cli import probes
from workers.cli.state import ROOT
from workers.queues import QUEUES

Settings = Mapping[str, str]  # the environment the part is started with


@dataclass(frozen=True)
class Part:
    """One process. `words` follow `python -m` and may name settings in braces; `is_ready` asks the part itself."""

    name: str
    words: tuple[str, ...]
    is_ready: Callable[[Settings], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    farewell: signal.Signals = signal.SIGTERM  # what it gets when the supervisor is killed

    def argv(self, settings: Settings) -> list[str]:
        return [sys.executable, "-m", *(word.format_map(settings) for word in self.words)]

    def environment(self, settings: Settings) -> dict[str, str]:
        return {**settings, "CARERELAY_PROCESS": self.name, "PYTHONUNBUFFERED": "1", **self.env}


WEB_LOGS = ROOT / "backend" / "config" / "web_logs.json"
CELERY = ("celery", "--quiet", "-A", "workers.celery_app")

PARTS = (
    Part(
        "web",
        (
            "granian", "--interface", "asginl", "--host", "{CARERELAY_BIND}", "--port", "{CARERELAY_WEB_PORT}",
            "--workers", "{CARERELAY_WEB_WORKERS}", "--no-ws", "--respawn-failed-workers",
            "--workers-kill-timeout", "10", "--log-config", str(WEB_LOGS),
            "backend.config.asgi:application",
        ),
        probes.web_answers,
    ),
    Part(
        "worker",
        (
            *CELERY, "worker", "-n", "worker@%h", "-Q", ",".join(QUEUES), "--loglevel", "INFO",
            "--without-mingle", "--without-gossip",
        ),
        probes.worker_answers,
        {"REMAP_SIGTERM": "SIGQUIT"},  # soft shutdown: what does not end in time goes back to its queue
        signal.SIGKILL,  # the broker dies with the supervisor, and a worker without one is slow to end; leases allow it
    ),
    Part(
        "beat",
        (
            *CELERY, "beat", "-n", "beat@%h", "--schedule", "{CARERELAY_BEAT_FILE}", "--enable-remote-control",
            "--loglevel", "INFO",
        ),
        probes.beat_answers,
    ),
    Part(
        "mllp",
        (
            "workers.mllp_listener", "--host", "{CARERELAY_BIND}", "--port", "{CARERELAY_MLLP_PORT}",
            "--tls-port", "{CARERELAY_MLLP_TLS_PORT}",
        ),
        probes.mllp_listens,
    ),
    Part(
        "flower",
        (
            *CELERY, "flower", "--address={CARERELAY_BIND}", "--port={CARERELAY_FLOWER_PORT}", "--read_only=true",
            "--max_tasks=10000", "--tasks_columns=name,state,received,started,runtime,worker",
        ),
        probes.flower_answers,
    ),
)  # fmt: skip

DEFAULTS = {
    "CARERELAY_BIND": "127.0.0.1",
    "CARERELAY_WEB_PORT": "8000",
    "CARERELAY_WEB_WORKERS": "2",
    "CARERELAY_MLLP_PORT": "2575",
    "CARERELAY_MLLP_TLS_PORT": "2576",  # used when CARERELAY_MLLP_CERTIFICATE is set
    "CARERELAY_FLOWER_PORT": "5555",
    "CARERELAY_BEAT_FILE": "beat-schedule",
}


def named(name: str) -> Part:
    return next(part for part in PARTS if part.name == name)
