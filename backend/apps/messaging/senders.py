"""How fast a sender may send and whether it is stopped; without it one wrong key would burn the whole queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Least

from backend.apps.core import alerts
from backend.apps.core.bases import uuid7
from backend.apps.core.models import Alert
from backend.apps.messaging.models import Sender

BURST_S = 20.0  # of the rate, at once: a little more than what gathers between two dispatches of beat
LEAST_BURST = 10.0
UNREACHED = 5  # failures in a row that stop a sender
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 300.0
REFUSALS = 3  # of one message while others were taken: then it is no fault of the account
KEPT = 50  # messages whose refusals are counted
PROBE_S = 30.0  # how long one probe has before another worker tries
ALERT = "reminders_channel_stopped"

FULL = "LEAST(%(burst)s, tokens + %(rate)s * GREATEST(EXTRACT(epoch FROM clock_timestamp() - refilled_at), 0))"
MAY = "CASE WHEN paused_until > clock_timestamp() THEN 0 WHEN paused_since IS NOT NULL THEN LEAST(1, %(wanted)s)"
TAKE = f"""
    WITH was AS MATERIALIZED (
        SELECT id, {MAY} ELSE %(wanted)s END AS may, {FULL} AS full_now
        FROM messaging_sender WHERE name = %(name)s FOR UPDATE
    ), granted AS (
        SELECT id, full_now,
               CASE WHEN %(rate)s IS NULL THEN may ELSE LEAST(may, GREATEST(floor(full_now), 0)) END AS tokens
        FROM was
    )
    UPDATE messaging_sender AS s SET rate_per_s = %(rate)s, burst = %(burst)s,
           tokens = COALESCE(g.full_now, s.tokens) - CASE WHEN %(rate)s IS NULL THEN 0 ELSE g.tokens END,
           refilled_at = GREATEST(s.refilled_at, clock_timestamp()),
           paused_until = CASE WHEN s.paused_since IS NOT NULL AND g.tokens > 0
                               THEN clock_timestamp() + make_interval(secs => {PROBE_S}) ELSE s.paused_until END
    FROM granted AS g WHERE s.id = g.id RETURNING g.tokens::int, s.paused_since IS NOT NULL"""  # noqa: S608  # our own names and numbers only
PAUSE = """
    UPDATE messaging_sender SET paused_since = COALESCE(paused_since, clock_timestamp()), paused_code = %s,
           paused_until = GREATEST(clock_timestamp() + make_interval(secs => %s), paused_until)
    WHERE name = %s RETURNING id"""
STOPS = "(paused_since IS NOT NULL OR failures + %(times)s >= %(most)s)"
FAIL = f"""
    UPDATE messaging_sender SET failures = failures + %(times)s,
           paused_code = CASE WHEN {STOPS} THEN %(code)s ELSE paused_code END,
           paused_since = CASE WHEN {STOPS} THEN COALESCE(paused_since, clock_timestamp()) ELSE paused_since END,
           paused_until = CASE WHEN {STOPS} THEN clock_timestamp() + make_interval(secs => LEAST(GREATEST(
               EXTRACT(epoch FROM clock_timestamp() - COALESCE(paused_since, clock_timestamp())), %(first)s
           ), %(longest)s)) ELSE paused_until END
    WHERE name = %(name)s RETURNING paused_since IS NOT NULL"""  # noqa: S608  # our own names only


class Bucket(NamedTuple):
    """What one sender is called and may do. rate_per_s: None for no limit."""

    name: str
    channel: str
    rate_per_s: float | None

    @property
    def burst(self) -> float:
        return max(LEAST_BURST, BURST_S * (self.rate_per_s or 0))


class Grant(NamedTuple):
    """How many messages may leave now. is_probe: it is the one that tells whether the provider works again."""

    tokens: int
    is_probe: bool


def take(bucket: Bucket, wanted: int) -> Grant:
    """Grant up to `wanted` messages, and count them; none while the sender is stopped, one alone after a pause."""
    values = {"name": bucket.name, "rate": bucket.rate_per_s, "burst": bucket.burst, "wanted": wanted}
    found = _row(TAKE, values)
    if found is None:
        _open(bucket)
        found = _row(TAKE, values)
    return Grant(*found) if found else Grant(0, False)


def charge(bucket: Bucket, tokens: int) -> None:
    """Take more tokens for messages of several segments, or give back, with a number below 0, what was not needed."""
    if tokens and bucket.rate_per_s is not None:
        rows = Sender.objects.filter(name=bucket.name)
        rows.update(tokens=Least(F("burst"), F("tokens") - Value(float(tokens))))


def pause(bucket: Bucket, code: str, seconds: float, *, alert: bool = False) -> None:
    """Stop the sender for `seconds`, or longer if it is already; then one message probes it.

    alert: tell a person, for nothing will work until somebody acts.
    """
    if _one(PAUSE, [code[:60], seconds, bucket.name]) and alert:
        _tell(bucket, code, Alert.Severity.CRITICAL)


def fail(bucket: Bucket, code: str, times: int = 1) -> bool:
    """Count messages that did not reach the provider; return whether the sender is stopped.

    It stops after some in a row, and tries again after as long as it has been out, 15 s to 5 minutes.
    """
    values = {"name": bucket.name, "code": code[:60], "times": times, "most": UNREACHED}
    stopped = bool(_one(FAIL, {**values, "first": FIRST_PAUSE_S, "longest": LONGEST_PAUSE_S}))
    if stopped:
        _tell(bucket, code, Alert.Severity.WARNING)
    return stopped


@transaction.atomic
def refuse(bucket: Bucket, keys: Sequence[Any], *, is_probe: bool) -> set[Any]:
    """Note which messages were refused as if our account were wrong; return those whose own fault it must be.

    It counts against a message when the sender was open: others were taken since it was refused before.
    """
    row = Sender.objects.select_for_update().get(name=bucket.name)
    times: dict[str, int] = dict(row.refused)
    row.probe = keys[-1]
    if not is_probe and row.paused_since is None:
        for key in map(str, keys):
            times[key] = times.pop(key, 0) + 1
    guilty = {key for key in keys if times.get(str(key), 0) >= REFUSALS}
    row.refused = [[key, count] for key, count in times.items() if count < REFUSALS][-KEPT:]
    row.save(update_fields=["probe", "refused"])
    return guilty


def last_probe(bucket: Bucket) -> Any:
    """Return the key of the message the sender was last refused with, since it has been stopped."""
    return Sender.objects.filter(name=bucket.name).values_list("probe", flat=True).first()


def works(bucket: Bucket, *, is_probe: bool) -> None:
    """Note that the provider took a message. After a probe the sender is open again, and its alert goes away.

    Any other may have been on its way before the sender was stopped: it opens nothing.
    """
    rows = Sender.objects.filter(name=bucket.name)
    if not is_probe:
        rows.filter(paused_since__isnull=True, failures__gt=0).update(failures=0)
    elif rows.update(failures=0, paused_since=None, paused_until=None, paused_code="", probe=None):
        alerts.clear(_cause(bucket))


def paused(name: str) -> bool:
    """Tell whether the sender is stopped, a probe on its way or not."""
    return bool(_one("SELECT paused_since IS NOT NULL FROM messaging_sender WHERE name = %s", [name]))


def _open(bucket: Bucket) -> None:
    """Write the row of a sender nobody used before; two workers at once write one."""
    row = Sender(
        id=uuid7(),
        name=bucket.name,
        channel=bucket.channel,
        rate_per_s=bucket.rate_per_s,
        burst=bucket.burst,
        tokens=bucket.burst,
    )
    Sender.objects.bulk_create([row], ignore_conflicts=True)


def _tell(bucket: Bucket, code: str, severity: str) -> None:
    what = {"sms": "Text messages", "email": "E-mails"}.get(bucket.channel, "Messages")
    sentence = f"{what} are stopped: the provider answers {code}. They wait, and leave when it takes one again."
    alerts.open_once(_cause(bucket), kind=ALERT, sentence=sentence[:300], severity=severity)


def _cause(bucket: Bucket) -> str:
    return f"channel stopped:{bucket.name}"


def _one(sql: str, values: Any) -> Any:
    """Return the first value a statement answers with, None without a row."""
    row = _row(sql, values)
    return row[0] if row else None


def _row(sql: str, values: Any) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: tuple[Any, ...] | None = cursor.fetchone()
    return found
