"""The pages of alerts: what is wrong, who looks after it, and where it is put right; else only a mail would tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from backend.apps.core import alerts, audit, on_call
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Alert, AlertSeverity
from backend.apps.core.permissions import ALERT, may
from backend.apps.interop import alert_words, console, paging
from backend.apps.interop.lab_actions import uuid_of

POST = ("POST",)
MOST = 200  # that one form changes
MOST_KINDS = 50  # that an address names
EARLIER = 5  # of the same cause, on the page of one
MOVED = "It began again or became worse meanwhile; look again."
STATES: dict[str, tuple[str, Q]] = {
    "open": ("nobody looks after", Q(resolved_at__isnull=True) & ~on_call.LOOKED_AFTER),
    "unresolved": ("not resolved", Q(resolved_at__isnull=True)),
    "acknowledged": ("looked after", Q(resolved_at__isnull=True) & on_call.LOOKED_AFTER),
    "resolved": ("resolved", Q(resolved_at__isnull=False)),
}
VERBS: dict[str, tuple[str, Callable[..., Alert]]] = {
    "acknowledge": ("acknowledged", alerts.acknowledge),
    "resolve": ("resolved", alerts.resolve),
}


@console.page(ALERT, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show the alerts of one state, newest first."""
    state = asked_state(request.GET)
    page = paging.newest_first(cut(request, request.GET), request.GET, "opened_at")
    ids = [str(row.pk) for row in page.rows]
    noted = {"count": len(ids), "ids": ids, "filters": sorted(request.GET)}
    audit.record(request, "console.list", "alert", detail=noted)
    numbers, kinds = counts(request)
    context = {
        "title": "Alerts",
        "page": page,
        "rows": [(row, seen(row), alert_words.TONES[row.severity], alert_words.address_of(row)) for row in page.rows],
        "state": state,
        "states": [(name, word, numbers.get(name)) for name, (word, _) in STATES.items()],
        "severities": AlertSeverity.values,
        "severity": request.GET.get("severity", ""),
        "kinds": sorted({*kinds, *asked_kinds(request.GET)}),
        "kind": asked_kinds(request.GET),
        "on_call": len(on_call.addresses()),
        "nobody": on_call.NOBODY,
        "query": request.GET.urlencode(),
        **verbs(request, state),
    }
    return console.render(request, "interop/alerts/list.html", context)


def visible(request: HttpRequest) -> QuerySet[Alert]:
    return Alert.objects.visible_to(request.user)


def seen(row: Alert) -> str:
    """Return what a form says of an alert that was shown: its id, and when it began last or became worse."""
    return f"{row.pk}@{row.news_at:%Y%m%dT%H%M%S.%f}" if row.news_at else f"{row.pk}@"


def shown(given: Iterable[str]) -> dict[UUID, str]:
    """Return by id what a form says of alerts, as `seen` wrote it; of so many as one form changes."""
    return {uuid_of(one.partition("@")[0]): one for one in list(given)[:MOST]}


def asked_state(given: QueryDict) -> str:
    state = given.get("state", "")
    return state if state in STATES else "open"


def cut(request: HttpRequest, given: QueryDict) -> QuerySet[Alert]:
    """Return the alerts a list or form is about: of one state, and of a severity and kind where they are named."""
    rows = visible(request).filter(STATES[asked_state(given)][1])
    if (severity := given.get("severity", "")) in AlertSeverity.values:
        rows = rows.filter(severity=severity)
    if kinds := asked_kinds(given):
        rows = rows.filter(kind__in=kinds)
    return rows


def asked_kinds(given: QueryDict) -> list[str]:
    """Return the kinds a list is cut to; one pipeline may have many."""
    return [kind[:60] for kind in given.getlist("kind")[:MOST_KINDS] if kind]


def counts(request: HttpRequest) -> tuple[Counter[str], set[str]]:
    """Return how many alerts are open and looked after, and of which kinds; one query."""
    unsettled = visible(request).filter(resolved_at__isnull=True).order_by()
    after = Count("pk", filter=on_call.LOOKED_AFTER)
    found = unsettled.values("kind").annotate(every=Count("pk"), after=after).values_list("kind", "every", "after")
    numbers: Counter[str] = Counter()
    kinds = set()
    for kind, every, looked_after in found:
        numbers.update({"open": every - looked_after, "acknowledged": looked_after, "unresolved": every})
        kinds.add(kind)
    return numbers, kinds


def verbs(request: HttpRequest, state: str) -> dict[str, bool]:
    """Return which verbs this person has for alerts of a state."""
    fits = {"acknowledge": state in ("open", "unresolved"), "resolve": state != "resolved"}
    return {verb: fits[verb] and may(request.user, verb, ALERT) for verb in VERBS}


@console.page(ALERT, "retrieve")
def alert(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one alert, who was told of it and when, and the earlier ones of the same cause."""
    rows = on_call.marked(visible(request).select_related("acknowledged_by", "resolved_by", "notice"))
    row: Any = get_object_or_404(rows, pk=pk)
    console.note(request, "retrieve", row)
    state = "resolved" if row.resolved_at else "acknowledged" if row.looked_after else "open"
    context = {
        "title": "Alert",
        "row": row,
        "seen": seen(row),
        "tone": alert_words.TONES[row.severity],
        "word": STATES[state][0],
        "address": alert_words.address_of(row),
        "earlier": list(visible(request).filter(cause=row.cause).exclude(pk=pk).order_by("-opened_at")[:EARLIER]),
        "on_call": len(on_call.addresses()),
        "nobody": on_call.NOBODY,
        "back": paging.handed_on(request.GET),
        **verbs(request, state),
    }
    return console.render(request, "interop/alerts/alert.html", context)


@console.page(ALERT, "list", methods=POST)
def bulk(request: HttpRequest) -> HttpResponse:
    """Tell how many alerts a form is about; acknowledge or resolve exactly these once that number was confirmed.

    What began again or became worse after it was shown is let be: whoever sent the form does not know of it.
    """
    verb, given = request.POST.get("verb", ""), request.POST
    if verb not in VERBS or not may(request.user, verb, ALERT):
        return console.refused(request, 403, "Your role may not do this.")
    if confirmed := given.get("confirmed", ""):
        return _do_all(request, verb, shown(confirmed.split(",")))
    if not given.get("every") and not given.getlist("alert"):
        messages.error(request, console.TICK_FIRST)
        return redirect(f"{reverse('console:alerts')}?{paging.handed_on(given)}")
    keys = chosen(request)
    word, back = VERBS[verb][0], paging.handed_on(given)
    context = {"title": f"Alerts to be {word}: {len(keys)}", "verb": verb, "word": word, "count": len(keys)}
    context |= {"shown": ",".join(keys), "capped": len(keys) == MOST, "back": back}
    return console.render(request, "interop/alerts/confirm.html", context)


def chosen(request: HttpRequest) -> list[str]:
    """Return what was `seen` of the alerts a form is about: those ticked, as they were shown, or all of the list."""
    if request.POST.get("every"):
        rows = cut(request, QueryDict(request.POST.get("back", "")[:1000])).order_by("-opened_at", "id")
        return [seen(row) for row in rows[:MOST]]
    ticked = shown(request.POST.getlist("alert"))
    return [ticked[key] for key in visible(request).filter(pk__in=ticked).values_list("pk", flat=True)]


def _do_all(request: HttpRequest, verb: str, stand: dict[UUID, str]) -> HttpResponse:

    def act() -> str:
        refused: Counter[str] = Counter()
        locked = visible(request).select_for_update(of=("self",), no_key=True)
        rows = list(locked.filter(pk__in=stand).order_by("pk"))
        for row in rows:
            _settle(request, verb, row, stand[row.pk], refused)
        done = len(rows) - refused.total()
        if not done:
            raise DomainError(" ".join(refused) or "There is no such alert.")
        left = "".join(f" {count} not: {why}" for why, count in refused.items())
        return f"{done} of {len(rows)} alert{'' if len(rows) == 1 else 's'} {VERBS[verb][0]}.{left}"

    back = f"{reverse('console:alerts')}?{paging.handed_on(request.POST)}"
    return console.attempt(request, verb, "alert", act, back=back)


def _settle(request: HttpRequest, verb: str, row: Alert, was: str, refused: Counter[str]) -> None:
    try:
        if seen(row) != was:
            raise Conflict(MOVED)
        VERBS[verb][1](row, by=console.person(request))
    except DomainError as refusal:
        refused[str(refusal)] += 1
    else:
        console.note(request, verb, row)
