"""One question per part that only a working part answers; without it "started" would be taken for "ready"."""

import base64
import http.client
import socket
from collections.abc import Mapping

from celery import Celery
from kombu.exceptions import KombuError

from backend.config.links import redis_tls

TIMEOUT_S = 3.0
PONG_S = 0.5  # the caller asks again

Settings = Mapping[str, str]


def web_answers(settings: Settings) -> bool:
    """`/readyz` answers 200 only when the web process reaches its database."""
    return status_of(int(settings["CARERELAY_WEB_PORT"]), "/readyz") == 200


def flower_answers(settings: Settings) -> bool:
    return status_of(int(settings["CARERELAY_FLOWER_PORT"]), "/healthcheck", settings.get("FLOWER_BASIC_AUTH")) == 200


def mllp_listens(settings: Settings) -> bool:
    """Ask the port with TLS where production opens no other."""
    is_plain = settings.get("CARERELAY_ENV") != "production" or "mllp" in settings.get(
        "CARERELAY_PLAINTEXT_ALLOWED", ""
    )
    port = settings["CARERELAY_MLLP_PORT" if is_plain else "CARERELAY_MLLP_TLS_PORT"]
    try:
        socket.create_connection(("127.0.0.1", int(port)), TIMEOUT_S).close()
    except OSError:
        return False
    return True


def worker_answers(settings: Settings) -> bool:
    return pong(settings, "worker")


def beat_answers(settings: Settings) -> bool:
    return pong(settings, "beat")


def pong(settings: Settings, role: str) -> bool:
    """Ask this host's node of that role through the broker, as `celery inspect ping` does."""
    node = f"{role}@{socket.gethostname()}"
    broker = settings.get("CELERY_BROKER_URL") or settings["REDIS_URL"]
    with Celery(broker=broker, set_as_current=False) as app:
        app.conf.broker_use_ssl = redis_tls(broker)
        app.conf.broker_transport_options = {"socket_connect_timeout": TIMEOUT_S, "socket_timeout": TIMEOUT_S}
        try:
            with app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0)
                replies = app.control.ping(destination=[node], timeout=PONG_S, connection=connection)
        except (OSError, KombuError):  # the broker is away
            return False
    return any(node in reply for reply in replies)


def status_of(port: int, path: str, login: str | None = None) -> int | None:
    """Return the HTTP status of a GET on the loopback address, None when nobody answers in time."""
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
