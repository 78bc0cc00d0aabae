"""Two workers that send claims under fire, and the verdict of the partner's own ledger; without it once were a hope."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from queue import Queue
from typing import Any, NamedTuple, Self

from django.utils import timezone

from backend.apps.insurance.models import Interchange, TradingPartner
from integrations.x12.fake import FakeClearinghouse
from tests.support.openssh import OpenSshHouse
from tests.support.queued_claims import stored_file
from tests.support.stage import until
from workers.cli.state import ROOT

FILES = 3
KILLED = -9
STRIKES = {"mid put": "writing", "before the answer": "renamed"}  # struck from the partner's side, while it is at it
OWN = ("before put", "after put", "after staged", "after rename", "after commit", "ingested at once")
POINTS = (*OWN, *STRIKES)


class Found(NamedTuple):
    """What is wrong after one round; `struck`: whether the worker died where it should."""

    struck: bool
    doubled: int
    lost: int
    unsent: int

    @property
    def good(self) -> bool:
        return self == (True, 0, 0, 0)


class ClaimsSiege:
    """Rounds of a few files each: one worker is killed at a point of the protocol, another one is at it meanwhile."""

    def __init__(
        self, partner: TradingPartner, house: FakeClearinghouse | OpenSshHouse, environment: Mapping[str, str]
    ) -> None:
        self.partner, self.house = partner, house
        self.victims: Queue[int] = Queue()
        self.moment, self.until_then = "", 0
        house.watch(self._strike)
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.claims_victim"],
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fight(self, point: str, seed: int) -> Found:
        """Return the verdict over one round."""
        dice = random.Random(f"{point} {seed}")  # a plan, not a secret
        files = [stored_file(self.partner) for _ in range(FILES)]
        self.house.order(swallows=point == "ingested at once")
        at = dice.randint(1, FILES)
        self.moment, self.until_then = STRIKES.get(point, ""), at
        victim = self._ask(do="start", point="" if self.moment else point, at=at)
        if self.moment:
            self.victims.put(victim)
        until(Interchange.objects.filter(pk__in=[file.pk for file in files]).exclude(work_state="waiting").exists)
        other = None if dice.random() < 0.5 else self._ask(do="start")  # beside it, or after it
        ended = self._ask(do="wait", pid=victim)
        past = timezone.now() - timedelta(minutes=1)
        Interchange.objects.exclude(status="sent").update(leased_until=past, due_at=past)  # minutes pass
        self._ask(do="wait", pid=other or self._ask(do="start"))
        return self._judge(files, struck=ended == KILLED)

    def _strike(self, moment: str) -> bool:
        """Kill the worker whose request the partner has just begun to answer; True ends its connection too.

        Only the victim speaks by then: the other one begins after it, and one at a time sends to a partner.
        """
        if moment != self.moment:
            return False
        self.until_then -= 1
        if self.until_then:
            return False
        self.moment = ""
        os.kill(self.victims.get(timeout=10), signal.SIGKILL)
        return True

    def _judge(self, files: list[Interchange], *, struck: bool) -> Found:
        came = Counter((entry.name, entry.verdict) for entry in self.house.ledger())
        names = [file.file_name for file in files]
        times = [sum(count for (name, _), count in came.items() if name == wanted) for wanted in names]
        unsent = Interchange.objects.exclude(status="sent", work_state="done").count()
        whole = all(came[name, "taken"] == 1 for name in names)
        lost = times.count(0) + (not whole and 0 not in times)
        return Found(struck, sum(count - 1 for count in times if count > 1), lost, unsent)

    def _ask(self, **command: Any) -> int:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(json.dumps(command) + "\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.parent.kill()
        self.parent.wait()
        for pipe in (self.parent.stdin, self.parent.stdout):
            if pipe is not None:
                pipe.close()


def partner_of(
    house: FakeClearinghouse | OpenSshHouse, secrets: Any, folders: tuple[str, str] = ("inbound", "outbound")
) -> TradingPartner:
    """Save a partner that reaches the clearinghouse; its key lies in the folder `secrets`."""
    secrets.mkdir(exist_ok=True)
    (secrets / "house").write_text(house.client_key)
    number = TradingPartner.objects.count() + 1
    return TradingPartner.objects.create(
        name=f"Clearinghouse under fire {number}", our_id="OURS", their_id="THEIRS", our_group_id="OURS",
        their_group_id="THEIRS", submitter_id="S1", receiver_name="HOUSE", receiver_id="R1", transport="sftp",
        host=house.host, port=house.port, host_key=house.host_key, username=house.username, secret_name="house",
        outbound_folder=folders[0], inbound_folder=folders[1],
    )  # fmt: skip
