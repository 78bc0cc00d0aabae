"""Says of each kind of work what it is called, where its rows lead and how they are tried again; else one rule for all.

Where a part of the clinic has a rule of its own for trying again, that rule is asked. All others go back in line as
they are: their handlers read again and decide late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.urls import NoReverseMatch, reverse

from backend.apps.appointments import reminder_actions
from backend.apps.appointments.models import AppointmentReminder, FreedSlot
from backend.apps.core import on_call
from backend.apps.core.exceptions import DomainError
from backend.apps.core.work import AT_REST, WorkItem, WorkState, work_models
from backend.apps.insurance import inbound_files, interchanges
from backend.apps.interop.fhir.exports import services as exports
from backend.apps.laboratory import inbox, sending
from backend.apps.messaging.models import OutgoingMessage, PatientMessage
from backend.apps.patients import services as patients
from backend.apps.patients.models import Patient
from backend.apps.users.models import User

Refused = Counter[str]  # why rows stay as they are, as sentences, with how many
Retry = Callable[[Sequence[Any], User], tuple[int, Refused]]
REPLACED = "Another message has taken the place of this one."
WITHDRAWN = "This freed time was withdrawn when it failed; book it as any other."
MOVED = "Somebody or a machine has just moved it."


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work. leads: the page its rows belong to, and the attribute whose value that page is found by.

    retry: puts rows that are held or failed back in line and says how many stay, by why. gives_up: empty, or why its
    rows are not given up here but on their own page.
    """

    title: str
    leads: tuple[str, str] = ("", "")
    label: str = "Its page"
    retry: Retry | None = None
    gives_up: str = ""
    related: tuple[str, ...] = ()
    clears: Mapping[str, Any] = field(default_factory=dict)


def in_line(rows: Sequence[WorkItem], by: User) -> tuple[int, Refused]:
    return _moved(rows, [row.pk for row in rows], Counter())


def each_by(service: Callable[..., Any], *, reach: Callable[[Any], Any] = lambda row: row) -> Retry:
    """Return what asks `service` for each row, so that one refusal keeps no other here.

    reach: what of the row the service takes; where several rows share it, it is asked once.
    """

    def retry(rows: Sequence[Any], by: User) -> tuple[int, Refused]:
        refused: Refused = Counter()
        reached = {target.pk: target for target in map(reach, rows)}
        stay = {target.pk for target in reached.values() if not _done(service, target, by, refused)}
        return sum(reach(row).pk not in stay for row in rows), refused

    return retry


def _done(service: Callable[..., Any], target: Any, by: User, refused: Refused) -> bool:
    try:
        with transaction.atomic():
            service(target, by=by)
    except DomainError as refusal:
        refused[str(refusal)] += 1
        return False
    return True


def reminders(rows: Sequence[AppointmentReminder], by: User) -> tuple[int, Refused]:
    """Send those again that failed, by the rules of the reminder board; those whose outcome is unknown, as asked."""
    unknown = [row for row in rows if row.in_doubt]
    failed = [row for row in rows if not row.in_doubt]
    refused = reminder_actions.send_these(failed, by=by) if failed else {}
    moved, stay = _unreplaced(unknown) if unknown else (0, Counter[str]())
    return moved + len(failed) - len(refused), stay + Counter(refused.values())


def messages(rows: Sequence[PatientMessage], by: User) -> tuple[int, Refused]:
    """Send messages again, but none in whose place another one stands already."""
    return _unreplaced(rows)


def _unreplaced(rows: Sequence[OutgoingMessage]) -> tuple[int, Refused]:
    keys = [row.pk for row in rows]
    replaced = set(type(rows[0]).all_objects.filter(fallback_of__in=keys).values_list("fallback_of", flat=True))
    return _moved(rows, [key for key in keys if key not in replaced], Counter({REPLACED: len(replaced)}))


def freed_times(rows: Sequence[FreedSlot], by: User) -> tuple[int, Refused]:
    """Offer those again that are held; one that failed was withdrawn, and the time may be booked by now."""
    held = [row.pk for row in rows if row.work_state == WorkState.HELD]
    moved, refused = _moved(rows, held, Counter())
    return moved, refused + Counter({WITHDRAWN: len(rows) - len(held)})


def notices(rows: Sequence[WorkItem], by: User) -> tuple[int, Refused]:
    """Mail those on call again, but none of them to whom it went already."""
    moved = on_call.send_again(*(row.pk for row in rows))
    return moved, Counter({MOVED: len(rows) - moved})


def _moved(rows: Sequence[WorkItem], keys: Sequence[Any], refused: Refused) -> tuple[int, Refused]:
    moved = type(rows[0]).work.back_in_line(*keys, at_rest=AT_REST) if keys else 0
    return moved, refused + Counter({MOVED: len(keys) - moved})


OUTGOING: Mapping[str, Any] = MappingProxyType({"uncertain_since": None})
ADDRESSES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"sms": ("Telephone number, as +15551234567", "phone"), "email": ("Mailbox", "email")}
)
ON_ITS_PAGE = "An export is stopped on its own page, with all its parts."
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "reminders.deliver": Kind(
            "Reminders", ("console:reminder-visit", "appointment_id"), "The visit", reminders,
            related=("appointment__patient",), clears=OUTGOING,
        ),
        "reminders.deliver_messages": Kind(
            "Other messages to patients", ("admin:patients_patient_change", "patient_id"), "The patient", messages,
            related=("patient",), clears=OUTGOING,
        ),
        "reminders.replan": Kind(
            "Visits to plan anew", ("console:reminder-visit", "appointment_id"), "The visit", in_line,
        ),
        "waitlist.offer": Kind("Freed times to offer", retry=freed_times),
        "provider_events.apply": Kind("Reports of providers", retry=in_line),
        "lab_results.file": Kind(
            "Messages of laboratories", ("console:lab-message", "pk"), "The message", each_by(inbox.retry),
        ),
        "lab_replays.run": Kind("Replays", ("console:lab-replay", "pk"), "The replay", in_line),
        "lab_orders.send": Kind(
            "Orders to laboratories", ("admin:laboratory_laborder_change", "lab_order_id"), "The order",
            each_by(sending.resend), related=("lab_order",),
        ),
        "critical_results.page": Kind(
            "Pages about critical results", ("console:lab-critical-result", "critical_result_id"), "The result",
            in_line, related=("critical_result",),
        ),
        "claims.transmit": Kind(
            "Files to partners", ("console:claim-files", ""), "The files", each_by(interchanges.send_again),
            "Whether a file arrived is said on the page of the files: the claims in it wait for that.",
            ("partner",),
        ),
        "claims.read": Kind(
            "Files from partners", ("console:claim-inbound", ""), "The files", each_by(inbound_files.retry)
        ),
        "fhir_export.run": Kind(
            "Exports", ("console:export", "pk"), "The export", each_by(exports.retry), ON_ITS_PAGE
        ),
        "fhir_export.write": Kind(
            "Parts of exports", ("console:export", "job_id"), "The export",
            each_by(exports.retry, reach=lambda chunk: chunk.job), ON_ITS_PAGE, ("job",),
        ),
        "credentials.notify": Kind("Notices about credentials", retry=in_line),
        "alerts.notify": Kind("Notices to whoever is on call", ("console:alerts", ""), "The alerts", notices),
        "alerts.tell_owner": Kind("Notices to owners of logins", retry=in_line, related=("user",)),
        "reconcile.run": Kind("Closings of the books", ("console:reconcile-run", "pk"), "The books", in_line),
    }
)  # fmt: skip


def model_of(task: str) -> type[WorkItem] | None:
    return next((model for model in work_models() if model.task_name == task), None)


def kind_of(task: str) -> Kind:
    """Return what is known of a kind of work; one that is not listed goes by the name of its task."""
    return KINDS.get(task) or Kind(task.replace(".", ": ").replace("_", " ").capitalize(), retry=in_line)


def may_come_twice(row: WorkItem) -> bool:
    """Whether trying it again may reach somebody a second time: its outcome is unknown, and its partner cannot tell."""
    return row.in_doubt and not row.replay_safe


def address_of(row: WorkItem) -> str:
    """Return the page a row belongs to, else its page in the admin, else nothing."""
    name, attribute = kind_of(row.task_name).leads
    options = row._meta
    wanted = [(name, attribute)] if name else []
    wanted.append((f"admin:{options.app_label}_{options.model_name}_change", "pk"))
    for page, by in wanted:
        try:
            return reverse(page, args=[getattr(row, by)] if by else [])
        except NoReverseMatch:
            continue
    return ""


def give_up(rows: Sequence[WorkItem], *, reason: str) -> int:
    """End rows of one kind that are held or failed; return how many were. Of each it stays known if it is in doubt."""
    kind = kind_of(rows[0].task_name)
    if kind.gives_up:
        raise DomainError(kind.gives_up)
    return type(rows[0]).work.given_up(*(row.pk for row in rows), reason=reason, **kind.clears)


def retry(rows: Sequence[WorkItem], *, by: User) -> tuple[int, Refused]:
    """Try rows of one kind again that are held or failed; return how many are back in line, and why the others stay."""
    return (kind_of(rows[0].task_name).retry or in_line)(rows, by)


def corrects(row: WorkItem) -> tuple[str, str] | None:
    """Return the label of the address a person may put right, and the field of the patient it stands in; else None."""
    if not isinstance(row, OutgoingMessage):
        return None
    return ADDRESSES.get(row.channel)


def correct(row: WorkItem, address: str, *, by: User) -> None:
    """Write a patient's number or mailbox anew, as somebody told it who looked at a message that did not get there."""
    asked = corrects(row)
    if asked is None or not isinstance(row, OutgoingMessage):
        raise DomainError("This has no address to put right.")
    if not address:
        raise DomainError("Write the number or mailbox that is right.")
    patient = Patient.objects.select_for_update(of=("self",), no_key=True).get(pk=row.patient.pk)
    fields: dict[str, Any] = {asked[1]: address}
    patients.correct(patient, by=by, **fields)
