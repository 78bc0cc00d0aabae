"""Says what a message to the workers may hold: names of tasks and ids that tell nothing; without it a broker would.

Redis, Flower, the log of a worker and whoever looks into a queue see all of a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

NAME, CONTENT_TYPE = "bell", "application/x-carerelay-bell"
EARLIER = "application/json"  # what bells of versions before this one were written in
LONGEST = 2_000  # characters of a body
SMALL = 1_000  # what counts things; a year, a postal code, a date or a phone number is larger
TASKS = frozenset(
    {
        "alerts.notify", "alerts.remind", "alerts.tell_owner", "audit.count_refused", "audit.partitions", "audit.seal",
        "audit.verify", "claims.build", "claims.collect", "claims.probe", "claims.read", "claims.transmit",
        "claims_watch.look", "claims_watch.look_daily", "credentials.check_registries", "credentials.clear_overrides",
        "credentials.notify", "credentials.sweep", "critical_results.escalate", "critical_results.page",
        "eligibility.build", "eligibility.due", "eligibility.expire", "fhir_export.expire", "fhir_export.run",
        "fhir_export.write", "lab_orders.send", "lab_orders.watch", "lab_replays.run", "lab_results.file",
        "lab_watch.feed_silence", "lab_watch.overdue_results", "prescriptions.expire", "prescriptions.refills_waiting",
        "provider_events.apply", "recalls.remind", "reconcile.daily", "reconcile.run", "reminders.deliver",
        "reminders.deliver_messages", "reminders.dispatch", "reminders.poll_statuses", "reminders.reconcile",
        "reminders.replan", "retention.expire_tokens", "retention.fold_tallies", "retention.purge", "staff.accrue",
        "staff.emergencies", "staff.reviews_due", "sweep.catch_up", "sweep.certificates", "sweep.hold_lost",
        "sweep.overdue", "sweep.tell_stranger", "visits.mark_no_shows", "waitlist.offer", "waitlist.watch",
    }
)  # fmt: skip
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
PART = re.compile(r"[a-z-]{1,20}|gen\d{1,10}@[A-Za-z0-9.-]{1,64}")  # one of our processes, or how Celery names one
PUBLISHING = {  # how a message is published, of which nothing travels with it
    "compression", "confirm_timeout", "declare", "delivery_mode", "event_dispatcher", "queue", "retry", "retry_policy",
    "serializer", "timeout",
}  # fmt: skip
EMPTY = ("shadow", "eta", "expires", "group", "group_index", "stamped_headers", "stamps", "periodic_task_name")


class NotOpaque(ValueError):
    """Something else than names and opaque ids was to be sent; says where and of what kind it is, never the value."""


def check_task(name: object) -> None:
    """Raise NotOpaque unless `name` is that of a task of ours."""
    if not isinstance(name, str) or name not in TASKS:
        raise NotOpaque(f"not the name of a task: {_kind(name)}")


def check_headers(headers: Mapping[str, Any], args: Any, kwargs: Any) -> None:
    """Raise NotOpaque unless the headers of a message say nothing but which task, by which id, from which part."""
    check_task(headers.get("task"))
    told = {
        "lang": headers.get("lang") == "py",
        "id": _is_id(headers.get("id")),
        "root_id": _is_id(headers.get("root_id")),
        "parent_id": headers.get("parent_id") is None or _is_id(headers["parent_id"]),
        "retries": _is_small(headers.get("retries", 0)),
        "replaced_task_nesting": _is_small(headers.get("replaced_task_nesting", 0)),
        "timelimit": isinstance(limits := headers.get("timelimit") or (), list | tuple)
        and all(part is None or _is_small(part) for part in limits),
        "ignore_result": headers.get("ignore_result") in (None, True, False),
        "celery_beat_task": headers.get("celery_beat_task", True) is True,  # the beat's own mark
        "origin": isinstance(origin := headers.get("origin"), str) and bool(PART.fullmatch(origin)),
        "argsrepr": headers.get("argsrepr") == repr(tuple(args)),
        "kwargsrepr": headers.get("kwargsrepr") == repr(dict(kwargs)),
        **{name: not headers.get(name) for name in EMPTY},
    }
    unknown = headers.keys() - told.keys() - {"task"}
    wrong = sorted(name for name, is_fine in told.items() if not is_fine)
    if unknown or wrong:
        raise NotOpaque(f"headers that tell too much: {len(unknown)} unknown, wrong: {', '.join(wrong) or 'none'}")


def check_properties(properties: Mapping[str, Any], how: Mapping[str, Any]) -> None:
    """Raise NotOpaque unless what travels beside headers and body is ids, and the way it takes is that of its queue."""
    told = {**properties, **{name: value for name, value in how.items() if name not in PUBLISHING}}
    more = {name: value for name, value in told.items() if value not in (None, "")}
    if any(name not in {"correlation_id", "reply_to"} or not _is_id(value) for name, value in more.items()):
        raise NotOpaque("properties that tell too much")


def check_body(body: Any) -> None:
    """Raise NotOpaque unless a body is arguments, named arguments and no follow-up, of names and opaque ids alone."""
    if not isinstance(body, list | tuple) or len(body) != 3:
        raise NotOpaque(f"not the body of a bell: {_kind(body)}")
    args, kwargs, embed = body
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping) or not isinstance(embed, Mapping):
        raise NotOpaque("not the body of a bell")
    if any(embed.values()) or embed.keys() - {"callbacks", "errbacks", "chain", "chord"}:
        raise NotOpaque("a bell has no follow-up")
    if kwargs:
        raise NotOpaque("a bell has no named arguments")
    _check_all(args)


def encode(body: Any) -> str:
    """Return the text of a body. Raises NotOpaque."""
    check_body(body)
    return json.dumps(body, separators=(",", ":"))


def decode(text: bytes | str) -> Any:
    """Return the body of a text. Raises NotOpaque: it is no text of ours, however it is wrong."""
    if len(text) > LONGEST:
        raise NotOpaque(f"a body of {len(text)} characters")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise NotOpaque("not JSON") from None
    check_body(body)
    return body


def fault(headers: Any, text: bytes | str) -> str:
    """Return what is wrong with a message that came in, without any value of it; "" when nothing is."""
    try:
        args, kwargs, _ = decode(text)
        check_headers(headers if isinstance(headers, Mapping) else {}, args, kwargs)
    except NotOpaque as error:
        return str(error)
    return ""


def _check_all(values: Iterable[object]) -> None:
    for place, value in enumerate(values):
        is_name = isinstance(value, str) and value in TASKS
        if not (value is None or isinstance(value, bool) or _is_small(value) or _is_id(value) or is_name):
            raise NotOpaque(f"neither a name nor an opaque id: argument {place}, {_kind(value)}")


def _is_id(value: object) -> bool:
    return isinstance(value, str) and UUID.fullmatch(value) is not None


def _is_small(value: object) -> bool:
    return isinstance(value, int) and abs(value) < SMALL


def _kind(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, str | bytes | list | tuple | dict) else ""
    return f"{type(value).__name__}{size}"
