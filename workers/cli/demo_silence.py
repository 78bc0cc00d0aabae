"""Has Twilio asked about texts on which no report came, without the quarter of an hour that is waited for one."""

from __future__ import annotations

from celery import Celery
from kombu.exceptions import OperationalError

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
        with Celery(broker=running.env["REDIS_URL"], set_as_current=False) as app:
            app.conf.update(broker_transport_options={"socket_connect_timeout": 1})
            app.send_task(POLL, queue=POLL.partition(".")[0], ignore_result=True, retry=False)
    except OperationalError:  # the broker starts again at this moment; asked next time
        return False
    return False
