"""Has Twilio asked about texts on which no report came, without the quarter of an hour that is waited for one."""

from __future__ import annotations

from kombu.exceptions import OperationalError

from backend.apps.core import dispatch
from workers.cli.demo_counts import Database
from workers.cli.state import Running

POLL = "reminders.poll_statuses"
SILENT_S = 960  # a minute longer than the poll waits for a report
AGE = """
    UPDATE appointments_appointmentreminder SET sent_at = sent_at - make_interval(secs => %s)
    WHERE external_id = ANY(%s) AND status = 'sent' AND sent_at > now() - make_interval(secs => %s)"""
HEARD = "SELECT count(*) FROM appointments_appointmentreminder WHERE external_id = ANY(%s) AND status <> 'sent'"


def heard_of_all(running: Running, database: Database, names: list[str]) -> bool:
    """Tell whether all these texts have a final status; let those be asked about that have none."""
    if not names or (database.execute(HEARD, [names]).fetchone() or (0,))[0] >= len(names):
        return True
    database.execute(AGE, [SILENT_S, names, SILENT_S])
    try:
        with dispatch.ringing_at(running.env["REDIS_URL"]) as ring:
            ring(POLL)
    except OperationalError:  # the broker starts again at this moment; asked next time
        return False
    return False
