"""The pages of alerts: what is wrong, who looks after it, and where it is put right; else only a mail would tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from backend.apps.core import alerts, audit, on_call
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AlertSeverity
from backend.apps.core.permissions import ALERT, may
from backend.apps.interop import alert_words, console, paging
from backend.apps.interop.lab_actions import uuid_of

POST = ("POST",)
MOST = 200  # that one form changes
MOST_KINDS = 50  # that an address names
EARLIER = 5  # of the same cause, on the page of one
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
        "rows": [(row, alert_words.TONES[row.severity], alert_words.address_of(row)) for row in page.rows],
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
    after = ExpressionWrapper(on_call.LOOKED_AFTER, output_field=BooleanField())
    rows = visible(request).select_related("acknowledged_by", "resolved_by", "notice").annotate(looked_after=after)
    row: Any = get_object_or_404(rows, pk=pk)
    console.note(request, "retrieve", row)
    state = "resolved" if row.resolved_at else "acknowledged" if row.looked_after else "open"
    context = {
        "title": "Alert",
        "row": row,
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
    """Tell how many alerts a form is about; acknowledge or resolve exactly these once that number was confirmed."""
    verb, given = request.POST.get("verb", ""), request.POST
    if verb not in VERBS or not may(request.user, verb, ALERT):
        return console.refused(request, 403, "Your role may not do this.")
    if confirmed := given.get("confirmed", ""):
        return _do_all(request, verb, [uuid_of(one) for one in confirmed.split(",")[:MOST]])
    if not given.get("every") and not given.getlist("alert"):
        messages.error(request, console.TICK_FIRST)
        return redirect(f"{reverse('console:alerts')}?{paging.handed_on(given)}")
    chosen = cut(request, QueryDict(given.get("back", "")[:1000])) if given.get("every") else ticked(request)
    keys = [str(key) for key in chosen.order_by("-opened_at", "id").values_list("pk", flat=True)[:MOST]]
    word, back = VERBS[verb][0], paging.handed_on(given)
    context = {"title": f"Alerts to be {word}: {len(keys)}", "verb": verb, "word": word, "count": len(keys)}
    context |= {"shown": ",".join(keys), "capped": len(keys) == MOST, "back": back}
    return console.render(request, "interop/alerts/confirm.html", context)


def ticked(request: HttpRequest) -> QuerySet[Alert]:
    return visible(request).filter(pk__in=[uuid_of(one) for one in request.POST.getlist("alert")[:MOST]])


def _do_all(request: HttpRequest, verb: str, keys: list[UUID]) -> HttpResponse:
    word, service = VERBS[verb]

    def act() -> str:
        refused: Counter[str] = Counter()
        rows = list(visible(request).filter(pk__in=keys).order_by("pk"))
        for row in rows:
            _settle(request, verb, service, row, refused)
        done = len(rows) - refused.total()
        if not done:
            raise DomainError(" ".join(refused) or "There is no such alert.")
        left = "".join(f" {count} not: {why}" for why, count in refused.items())
        return f"{done} of {len(rows)} alert{'' if len(rows) == 1 else 's'} {word}.{left}"

    back = f"{reverse('console:alerts')}?{paging.handed_on(request.POST)}"
    return console.attempt(request, verb, "alert", act, back=back)


def _settle(request: HttpRequest, verb: str, service: Callable[..., Any], row: Alert, refused: Counter[str]) -> None:
    try:
        service(row, by=console.person(request))
    except DomainError as refusal:
        refused[str(refusal)] += 1
    else:
        console.note(request, verb, row)
