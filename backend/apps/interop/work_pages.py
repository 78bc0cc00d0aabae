"""The pages of work: what waits and what stands still, of every kind; else a stuck row was found by its complaint."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.utils import timezone

from backend.apps.core import audit, depths
from backend.apps.core.permissions import may
from backend.apps.core.work import AT_REST, GIVEN_UP, WorkItem, WorkState
from backend.apps.interop import console, paging, work_kinds, work_words
from backend.apps.interop.permissions import WORK
from backend.apps.messaging.models import OutgoingMessage

LONGEST_CAUSE = 300
PLAIN = [field.name for field in WorkItem._meta.fields if field.name not in {"dedupe_key"}]
ENDED = Q(last_error__startswith=GIVEN_UP)
LOOKED_INTO = Q(uncertain_since__isnull=False)  # of messages that are held: a machine finds out whether they arrived
SOUGHT = {"yes": True, "no": False}
STATES: dict[str, Q] = {
    "held": Q(work_state=WorkState.HELD),
    "failed": Q(work_state=WorkState.FAILED) & ~ENDED,
    "given_up": Q(work_state=WorkState.FAILED) & ENDED,
    "waiting": Q(work_state=WorkState.WAITING, due_at__lte=Now()),
    "running": Q(work_state=WorkState.RUNNING),
    "lost": Q(work_state=WorkState.RUNNING, leased_until__lt=Now()),
}


@console.page(WORK, "list")
def kinds(request: HttpRequest) -> HttpResponse:
    """Show every kind of work with how much of it waits and stands still."""
    now = timezone.now()
    found = sorted(depths.depths(), key=lambda each: (-each.held - each.failed, work_kinds.kind_of(each.task).title))
    rows = [(each, work_kinds.kind_of(each.task), work_words.duration(each.oldest_s(now))) for each in found]
    return console.render(request, "interop/work/kinds.html", {"title": "Work", "rows": rows, "most": depths.MOST})


@console.page(WORK, "list")
def listing(request: HttpRequest, task: str) -> HttpResponse:
    """Show the rows of one kind in one state, those of one cause where one is named."""
    model, kind = model_of(task), work_kinds.kind_of(task)
    state, cause, sought = asked(request.GET)
    rows = rows_in(model, state, cause, sought).only(*PLAIN, *leads_by(kind))
    page = (paging.newest_first if state in AT_REST or state == "given_up" else paging.earliest_first)(
        rows, request.GET, "due_at"
    )
    note_list(request, model, page.rows, state=state)
    context = {
        "title": kind.title,
        "task": task,
        "kind": kind,
        "page": page,
        "rows": [(row, work_kinds.address_of(row), work_words.hint(row.last_error)) for row in page.rows],
        "state": state,
        "word": work_words.STATES[state],
        "cause": cause,
        "sought": sought,
        "states": states_of(task),
        "at_rest": state in AT_REST or state == "given_up",
        "retry": may(request.user, "retry", WORK),
        "give_up": may(request.user, "give_up", WORK) and not kind.gives_up and state != "given_up",
        "query": request.GET.urlencode(),
    }
    return console.render(request, "interop/work/list.html", context)


@console.page(WORK, "retrieve")
def row(request: HttpRequest, task: str, pk: UUID) -> HttpResponse:
    """Show how one row stands, what went wrong, and what can be done."""
    model, kind = model_of(task), work_kinds.kind_of(task)
    item = get_object_or_404(light(model).select_related(*kind.related), pk=pk)
    console.note(request, "retrieve", item)
    stuck = item.work_state in AT_REST
    context = {
        "title": f"{kind.title}: one row",
        "task": task,
        "kind": kind,
        "row": item,
        "word": work_words.word_of(item.work_state, item.last_error),
        "hint": work_words.hint(item.last_error),
        "address": work_kinds.address_of(item),
        "facts": facts(item),
        "twice": work_kinds.may_come_twice(item),
        "retry": stuck and may(request.user, "retry", WORK),
        "give_up": stuck and not kind.gives_up and may(request.user, "give_up", WORK),
        "corrects": work_kinds.corrects(item) if stuck and may(request.user, "correct", WORK) else None,
        "back": paging.handed_on(request.GET),
    }
    return console.render(request, "interop/work/row.html", context)


def facts(item: WorkItem) -> list[tuple[str, Any]]:
    """Return what a person wants to know of the row's way so far; no patient's data, no bytes."""
    told = [
        ("Row", item.pk),
        ("Made", item.created_at),
        ("Due", item.due_at),
        ("Last changed", item.updated_at),
        ("Tries", f"{item.attempts} of {item.max_attempts}"),
    ]
    for title, name in (("Status", "status"), ("Why", "status_reason"), ("Provider's id", "external_id")):
        if value := getattr(item, name, ""):
            told.append((title, value))
    if item.work_state == WorkState.RUNNING:
        told.append(("Leased until", item.leased_until))
    return told


def model_of(task: str) -> type[WorkItem]:
    model = work_kinds.model_of(task)
    if model is None:
        raise Http404
    return model


def asked(given: QueryDict) -> tuple[str, str | None, bool | None]:
    """Return the state, the cause and the `sought` of `rows_in` that a form or an address asks for.

    No cause: whatever it is, "": none was noted.
    """
    state, cause = given.get("state", ""), given.get("cause")
    known = state if state in STATES else "failed"
    return known, cause if cause is None else cause[:LONGEST_CAUSE], SOUGHT.get(given.get("sought", ""))


def rows_in(model: type[WorkItem], state: str, cause: str | None, sought: bool | None = None) -> QuerySet[Any]:
    """Return the rows of a state. sought: only those a machine looks into, or only the others, where it looks at all.

    It does where rows are messages to patients; all others wait for a person.
    """
    rows = model.work.filter(STATES[state])
    if sought is not None:
        looked_into = LOOKED_INTO if issubclass(model, OutgoingMessage) else Q(pk__in=[])
        rows = rows.filter(looked_into if sought else ~looked_into)
    return rows if cause is None else rows.filter(last_error__regex=depths.pattern_of(cause))


def light(model: type[WorkItem]) -> QuerySet[Any]:
    """Return the rows without what only machines read: the bytes of a message, the fields of a report."""
    heavy = [one.name for one in model._meta.concrete_fields if isinstance(one, models.BinaryField | models.JSONField)]
    return model.work.defer(*heavy)


def leads_by(kind: work_kinds.Kind) -> list[str]:
    return [kind.leads[1]] if kind.leads[1] else []


def states_of(task: str) -> list[tuple[str, str, int | None]]:
    """Return each state with its word and how many rows of this kind are in it; None where that is not counted."""
    depth = next((each for each in depths.depths() if each.task == task), None)
    return [(name, told.word, getattr(depth, name, None)) for name, told in work_words.STATES.items()]


def note_list(request: HttpRequest, model: type[WorkItem], rows: list[Any], **more: Any) -> None:
    ids = [str(one.pk) for one in rows]
    told = {"count": len(ids), "ids": ids, "filters": sorted(request.GET), **audit.patients_of(rows), **more}
    audit.record(request, "console.list", model._meta.model_name or "", detail=told)
