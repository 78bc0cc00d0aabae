"""What a person does to work that stands still; each change is a form, for many rows after a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.core.work import AT_REST, WorkItem
from backend.apps.interop import console, paging, work_kinds, work_pages
from backend.apps.interop.lab_actions import uuid_of
from backend.apps.interop.permissions import WORK

POST = ("POST",)
MOST = 500  # rows that one form changes
LONGEST_REASON = 150
VERBS = {"retry": "back in line", "give_up": "given up"}
SAY_WHY = "Say why, without a patient's data."
WAITS_NO_MORE = "This does not wait for a person any more."
TICK = "Some of these may have arrived. Tick that they may come twice, or leave them."


@console.page(WORK, "list", methods=POST)
def bulk(request: HttpRequest, task: str) -> HttpResponse:
    """Tell how many rows a form is about; do it to exactly these once that number was confirmed."""
    model, kind = work_pages.model_of(task), work_kinds.kind_of(task)
    verb = request.POST.get("verb", "")
    if verb not in VERBS or not may(request.user, verb, WORK):
        return console.refused(request, 403, "Your role may not do this.")
    confirmed = request.POST.get("confirmed", "")
    if confirmed:
        return _do_all(request, task, verb, _confirmed(confirmed))
    if not request.POST.get("every") and not request.POST.getlist("row"):
        messages.error(request, console.TICK_FIRST)
        return redirect(back(request, task))
    keys = _chosen(request, model)
    rows = list(stuck(model, kind, keys))
    context = {
        "title": f"{kind.title}: {len(rows)} to be {VERBS[verb]}",
        "task": task,
        "kind": kind,
        "verb": verb,
        "count": len(rows),
        "shown": ",".join(str(row.pk) for row in rows),
        "twice": sum(map(work_kinds.may_come_twice, rows)) if verb == "retry" else 0,
        "capped": len(keys) >= MOST,
        "most": MOST,
        "refused": kind.gives_up if verb == "give_up" else "",
        "back": paging.handed_on(request.POST),
    }
    return console.render(request, "interop/work/confirm.html", context)


def _confirmed(text: str) -> list[UUID]:
    return [uuid_of(one) for one in text.split(",")[:MOST]]


def _chosen(request: HttpRequest, model: type[WorkItem]) -> list[Any]:
    """Return the keys of the ticked rows, or of every row that the list was cut to, the newest first."""
    if not request.POST.get("every"):
        return [uuid_of(one) for one in request.POST.getlist("row")[:MOST]]
    rows = work_pages.rows_in(model, *work_pages.asked(request.POST))
    return list(rows.order_by("-due_at", "id").values_list("pk", flat=True)[:MOST])


def stuck(model: type[WorkItem], kind: work_kinds.Kind, keys: Sequence[Any]) -> QuerySet[Any]:
    """Return those of these rows that still wait for a person."""
    rows = work_pages.light(model).select_related(*kind.related)
    return rows.filter(pk__in=keys, work_state__in=AT_REST).order_by("pk")


def _do_all(request: HttpRequest, task: str, verb: str, keys: Sequence[UUID]) -> HttpResponse:
    model, kind = work_pages.model_of(task), work_kinds.kind_of(task)

    def act() -> str:
        rows = list(stuck(model, kind, keys).select_for_update(of=("self",), no_key=True))
        if not rows:
            raise DomainError("None of these waits for a person any more; nothing was changed.")
        done, refused = CHANGES[verb](request, rows)
        if not done:
            raise DomainError(" ".join(refused) or "Nothing was changed.")
        _note(request, verb, rows)
        left = "".join(f" {count} not: {why}" for why, count in refused.most_common(5) if count)
        return f"{done} of {len(rows)} {VERBS[verb]}.{left}"

    return console.attempt(request, verb, model._meta.model_name or "work", act, back=back(request, task))


def _note(request: HttpRequest, verb: str, rows: Sequence[Any]) -> None:
    """Write down of which rows it was done, and of no other: we have held them since we looked at their state.

    Why a person gave a row up stands in the row and not here: what people write may hold a patient's data.
    """
    if verb == "retry":
        stay = type(rows[0]).work.filter(pk__in=[row.pk for row in rows], work_state__in=AT_REST)
        left = set(stay.values_list("pk", flat=True))
        rows = [row for row in rows if row.pk not in left]
    audit.record_rows(request, f"console.{verb}", rows, detail={"bulk": len(rows) > 1, "reason": verb == "give_up"})


def _retry(request: HttpRequest, rows: Sequence[Any]) -> tuple[int, Counter[str]]:
    if any(map(work_kinds.may_come_twice, rows)) and not request.POST.get("twice"):
        raise DomainError(TICK)
    return work_kinds.retry(rows, by=console.person(request))


def _give_up(request: HttpRequest, rows: Sequence[Any]) -> tuple[int, Counter[str]]:
    reason = " ".join(request.POST.get("reason", "").split())[:LONGEST_REASON]
    if not reason:
        raise DomainError(SAY_WHY)
    return work_kinds.give_up(rows, reason=reason), Counter()


CHANGES: dict[str, Callable[[HttpRequest, Sequence[Any]], tuple[int, Counter[str]]]] = {
    "retry": _retry,
    "give_up": _give_up,
}


@console.page(WORK, "correct", methods=POST)
def correct(request: HttpRequest, task: str, pk: UUID) -> HttpResponse:
    """Put right the number or mailbox a message is for, on the patient's own record, and send the message again."""
    model, kind = work_pages.model_of(task), work_kinds.kind_of(task)
    get_object_or_404(model.work.only("pk"), pk=pk)

    def act() -> str:
        if (row := stuck(model, kind, [pk]).first()) is None:
            raise DomainError(WAITS_NO_MORE)
        work_kinds.correct(row, request.POST.get("address", "").strip(), by=console.person(request))
        rows = list(stuck(model, kind, [pk]).select_for_update(of=("self",), no_key=True))
        if not rows:  # who corrected it at the same moment held the patient until now
            raise DomainError(WAITS_NO_MORE)
        done, refused = _retry(request, rows)
        console.note(request, "correct", row)
        return "Corrected and back in line." if done else f"Corrected. {' '.join(refused)}"

    return console.attempt(request, "correct", model._meta.model_name or "", act, back=back(request, task, pk))


def back(request: HttpRequest, task: str, pk: UUID | None = None) -> str:
    """Return the list somebody came from, cut and turned to the page it was at, or the row's own page."""
    query = paging.handed_on(request.POST)
    if pk is not None:
        return f"{reverse('console:work-row', args=[task, pk])}?back={quote(query, safe='')}"
    return f"{reverse('console:work-list', args=[task])}?{query}"
