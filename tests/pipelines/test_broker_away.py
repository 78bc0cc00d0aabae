"""Proves that a dead broker costs a caller nothing: the real web process answers 2xx, the sweep finds the row later."""

from __future__ import annotations

import requests

from backend.apps.core.models import Heartbeat
from backend.apps.laboratory.models import InboundMessage
from backend.apps.users.tests.factories import make_user
from tests.support.stage import Stage, until
from workers.cli import state
from workers.inbound import Arrival, store

PASSWORD = "a long enough password"
STRANGER = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|AWAY1|P|2.5.1\rPID|1||NOBODY^^^C^MR\rOBR|1|||X\rOBX|1|NM|X||1||||||F\r"
SWEEP = "import workers.celery_app; from workers import sweep; print(sweep.overdue())"


def serve(stage: Stage) -> str:
    """Start the web process as `up` does; return where it answers."""
    port = state.free_port()
    stage.extra["CARERELAY_PROCESS"] = "web"
    words = ["--interface", "asginl", "--host", state.HOST, "--port", str(port), "backend.config.asgi:application"]
    stage.start("web", "-m", "granian", *words)
    del stage.extra["CARERELAY_PROCESS"]
    until(lambda: answers(f"http://{state.HOST}:{port}/healthz"))
    return f"http://{state.HOST}:{port}/api/v1"


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


def test_work_asked_for_while_redis_is_dead_is_done_once_it_is_back(stage: Stage) -> None:
    login = make_user("lab_tech", password=PASSWORD)
    store([Arrival(STRANGER, "test")])
    InboundMessage.objects.update(status="worklist", work_state="done")
    row = InboundMessage.objects.get()
    api = serve(stage)
    stage.kill_redis_and_wipe_it()
    token = requests.post(f"{api}/auth/token/", json={"email": login.email, "password": PASSWORD}, timeout=20)
    assert token.status_code == 200, token.text
    headers = {"Authorization": f"Bearer {token.json()['access']}"}
    answer = requests.post(f"{api}/inbound-messages/{row.pk}/retry/", json={}, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    assert b"the broker is away" in stage.log("web")
    assert InboundMessage.objects.filter(status="received", work_state="waiting").exists()
    stage.redis.start()
    stage.worker()
    stage.start("sweep", "-c", SWEEP)
    until(lambda: InboundMessage.objects.filter(status="worklist", work_state="done").exists())
    # No beat runs here: a worker looks by itself whether one is late, as soon as it starts.
    until(lambda: Heartbeat.objects.filter(entry="catch up", runs__gt=0).exists())
