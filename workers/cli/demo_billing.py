"""The many claims of a demo day: submitted, acknowledged and paid while all else goes on; the scene shows three."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from integrations.x12.fake import FakeClearinghouse
from workers.cli import console, demo_claims, stopping
from workers.cli.demo_asked import ClaimsAsked
from workers.cli.desk import Desk
from workers.cli.errors import Refused
from workers.cli.state import Running

PATIENCE_S, PATIENCE_EACH_S, LOOK_EVERY_S = 150.0, 0.3, 2.0
NEWEST, DAYS = 3, 120  # days ago, and how many: on each of them a patient has one claim, within the time for filing
CUT_AT = 200  # bytes


def play(stack: Running, asked: ClaimsAsked, count: int, *, chaos: bool, under_way: threading.Event) -> None:
    """Submit claims, wait until they are accepted, then let the payer pay them. under_way: set when they leave."""
    with tempfile.TemporaryDirectory() as folder, FakeClearinghouse(demo_claims.numbered(Path(folder))) as house:
        house.order(at_once=list(demo_claims.ACKNOWLEDGEMENTS), checks=False)
        if chaos:
            house.order(next_cuts=[CUT_AT])
        scene = demo_claims.Scene(stack, Desk.of(stack, "receptionist"), Desk.of(stack, "admin"), house)
        with demo_claims.partner(scene):
            submit(scene, asked, count)
            try:
                accepted(scene, asked, chaos=chaos, under_way=under_way)
                paid(scene, asked, twice=chaos)
            finally:
                asked.taken = taken_of(house)


def submit(scene: demo_claims.Scene, asked: ClaimsAsked, count: int) -> None:
    """Draft and submit so many claims, no two of them alike: each has a patient or a day of its own."""
    coverages = dict[int, str]()
    for patient, day in days(count, datetime.now(UTC).date()):
        if patient not in coverages:
            coverages[patient] = demo_claims.covered(scene)
        row = demo_claims.drafted(scene, coverages[patient], service_date=f"{day}")
        asked.ids.append(row["id"])
        scene.desk.post(f"insurance-claims/{row['id']}/submit/", {})
    console.say(f"{'claims':16}{count} submitted")


def days(count: int, today: date) -> list[tuple[int, date]]:
    """Return for so many claims which patient and which day each is of; the oldest is within the time for filing."""
    return [(number // DAYS, today - timedelta(days=NEWEST + number % DAYS)) for number in range(count)]


def accepted(scene: demo_claims.Scene, asked: ClaimsAsked, *, chaos: bool, under_way: threading.Event) -> None:
    """Let the file be made and wait for the acknowledgements; on a day of faults its upload is cut off first."""
    if chaos:
        console.say(f"{'fault':16}clearinghouse  cuts the next upload off")
    ask(scene, "build_now")
    under_way.set()
    reached(scene, asked.ids, {"accepted", "paid"}, "build_now", "collect_now")


def paid(scene: demo_claims.Scene, asked: ClaimsAsked, *, twice: bool) -> None:
    """Let the payer pay and wait until it is posted. twice: its file comes twice."""
    for path in scene.house.answer("835"):
        asked.paid |= paid_in(path.read_text())
        if twice:
            shutil.copyfile(path, path.with_name(f"again_{path.name}"))
            console.say(f"{'fault':16}clearinghouse  delivers {path.name} twice")
    reached(scene, asked.ids, {"paid"}, "collect_now")


def paid_in(content: str) -> dict[str, Decimal]:
    """Return what an 835 of the clearinghouse pays by claim control number, read without our own parser."""
    found = [segment.strip().split("*") for segment in content.split("~")]
    return {one[1]: Decimal(one[4]) for one in found if one[0] == "CLP"}


def reached(scene: demo_claims.Scene, ids: list[str], wanted: set[str], *verbs: str) -> None:
    """Ask for these verbs until each claim is as wanted: whoever did them may have been killed."""
    deadline, left = time.monotonic() + PATIENCE_S + PATIENCE_EACH_S * len(ids), ids
    while left := [one for one in left if scene.desk.get(f"insurance-claims/{one}/")["status"] not in wanted]:
        if time.monotonic() > deadline:
            raise Refused(f"{len(left)} claims are not {' or '.join(sorted(wanted))}; see the logs of the stack.")
        for verb in verbs:
            ask(scene, verb)
        stopping.pause(LOOK_EVERY_S)


def ask(scene: demo_claims.Scene, verb: str) -> None:
    """Ask for what the beat would begin later; that it is on its way already is as good."""
    try:
        scene.admin.post(f"trading-partners/{scene.partner}/{verb}/", {})
    except Refused as refusal:
        if " 409" not in str(refusal):
            raise


def taken_of(house: FakeClearinghouse) -> Counter[str]:
    return Counter(number for entry in house.ledger() if entry.verdict == "taken" for number in entry.claims)
