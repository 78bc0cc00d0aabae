"""The one door between the web process and the workers: a task *name*, never an argument.

`backend` writes a row, then rings a bell with the name of the task that knows such rows. A lost ring is
harmless: `workers.sweep` rings again for every queue that has overdue rows.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.exceptions import OperationalError
from django.db import connection, transaction
from kombu import serialization

from backend.apps.core import opaque
from backend.config import logs

RUNG = "a bell that has rung"
log = logging.getLogger(__name__)
serialization.register(opaque.NAME, opaque.encode, opaque.decode, opaque.CONTENT_TYPE, "utf-8")


class Wire(AMQP):  # type: ignore[misc]  # Celery has no types
    """What each of our Celery applications publishes by: of a task its name and opaque ids, and nothing else."""

    def _create_task_sender(self) -> Callable[..., Any]:
        send_message = super()._create_task_sender()

        def checked(producer: Any, name: str, message: Any, **how: Any) -> Any:
            more, how = how.pop("headers", None) or {}, {**how, "serializer": opaque.NAME, "compression": None}
            message.headers.update(more, origin=logs.PROCESS)
            opaque.check_body(message.body)
            opaque.check_headers(message.headers, *message.body[:2])
            opaque.check_properties(message.properties, how)
            return send_message(producer, name, message, **how)

        return checked


_producer = Celery("backend", amqp=Wire, set_as_current=False)
_producer.config_from_object("django.conf:settings", namespace="CELERY")


def prepare() -> None:
    """Read the producer's settings before threads do: of two that ring first at once, one would find them half read."""
    _producer.amqp.router.route({}, "", (), {})


@contextmanager
def ringing_at(broker_url: str) -> Iterator[Callable[[str], Any]]:
    """Give what rings in the broker of a stack from outside of it, as a launcher does: workers hear no other bells.

    Raises:
        OperationalError: when it rings and the broker does not answer within a second.
    """
    with Celery("outside", amqp=Wire, set_as_current=False) as app:
        app.conf.update(broker_url=broker_url, broker_transport_options={"socket_connect_timeout": 1})
        app.conf.update(broker_connection_retry=False)
        yield lambda name: app.send_task(name, queue=queue_for(name), ignore_result=True, retry=False)


def queue_for(task_name: str) -> str:
    """Return the queue of a task: the part before the first dot ("claims.submit" -> "claims")."""
    return task_name.partition(".")[0]


def ring(task_name: str) -> None:
    """Ask a worker to look at the rows of `task_name` once the current transaction has committed.

    A broker outage is logged and never fails a request that is already committed. Within one transaction it is rung
    once, however many rows were written: a savepoint that is rolled back takes only its own ring along.

    Raises:
        NotOpaque: it is not the name of a task.
    """
    opaque.check_task(task_name)

    def bell() -> None:
        send(task_name)
        bell.__qualname__ = RUNG

    bell.__qualname__ = f"the bell of {task_name}"  # Django tells of a callback that failed by this
    if bell.__qualname__ not in (getattr(hook[1], "__qualname__", "") for hook in connection.run_on_commit):
        transaction.on_commit(bell, robust=True)


def send(task_name: str) -> bool:
    """Publish the task now; return whether the broker took it. Only `ring`, the runner, the sweep and whoever
    tells a person whether it rang call this.

    Raises:
        NotOpaque: it is not the name of a task.
    """
    opaque.check_task(task_name)
    try:
        _producer.send_task(task_name, queue=queue_for(task_name), ignore_result=True)
    except OperationalError:
        log.warning("the broker is away; %s waits for the sweep", task_name)
        return False
    return True
