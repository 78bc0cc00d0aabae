"""The Celery application: `celery -A workers.celery_app worker|beat|flower`."""

import os
from collections.abc import Iterable
from typing import Any

import django
from celery import Celery
from celery.signals import beat_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

import beat_schedule
from backend.apps.core.dispatch import Wire, queue_for
from backend.config import production
from workers import broker_guard, strangers, watchman
from workers.queues import QUEUES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()
broker_guard.install()


def all_known(deadman: Iterable[str]) -> None:
    """Refuse to start where a dead-man address belongs to no entry: it would wait for a call that never comes."""
    if unknown := set(deadman) - beat_schedule.SCHEDULE.keys():
        raise ImproperlyConfigured(f"CARERELAY_DEADMAN: no entry of the beat schedule is {', '.join(sorted(unknown))}.")


all_known(settings.DEADMAN)
production.insist(os.environ.get("CARERELAY_PROCESS", "worker"))


def route(name: str, *_args: Any, **_kwargs: Any) -> dict[str, str]:
    """Send each task to the queue its name begins with."""
    return {"queue": queue_for(name)}


app = Celery("workers", task_cls="workers.quiet:QuietTask", amqp=Wire, control="workers.strangers:RemoteControl")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    beat_schedule=beat_schedule.SCHEDULE,
    worker_consumer="workers.strangers:Gatekeeper",
    imports=[
        "workers.reminders",
        "workers.replans",
        "workers.lost_messages",
        "workers.provider_events",
        "workers.statuses",
        "workers.lab_results",
        "workers.lab_orders",
        "workers.lab_replays",
        "workers.critical_results",
        "workers.lab_watch",
        "workers.waitlist",
        "workers.recalls",
        "workers.missed_visits",
        "workers.prescriptions",
        "workers.staff",
        "workers.claims.building",
        "workers.claims.transmitting",
        "workers.claims.collecting",
        "workers.claims.probing",
        "workers.claims.reading",
        "workers.eligibility",
        "workers.claims_watch",
        "workers.fhir_export",
        "workers.credentials",
        "workers.overrides",
        "workers.alerts",
        "workers.sign_ins",
        "workers.registries",
        "workers.retention",
        "workers.reconciling",
        "workers.audit",
        "workers.certificate_watch",
        "workers.sweep",
    ],
    task_queues=[Queue(name) for name in QUEUES],  # type: ignore[no-untyped-call]  # kombu has no types
    task_default_queue=QUEUES[-1],
    task_create_missing_queues=False,  # no surprise queues
    task_routes=[route],
)
app.steps["consumer"].add(watchman.Watchman)
beat_init.connect(strangers.open_little)  # it listens to whoever asks whether it goes
