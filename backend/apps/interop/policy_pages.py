"""The pages of what is sent when and in which words; without them staff would learn it from patients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from backend.apps.appointments import permissions
from backend.apps.appointments.models import AppointmentType, ReminderPolicy
from backend.apps.appointments.reminder_policies import Policies
from backend.apps.appointments.timing import Rule
from backend.apps.core import audit
from backend.apps.core.models import Clinic
from backend.apps.core.permissions import may
from backend.apps.interop import console
from backend.apps.interop.reminder_states import CHANNELS, before
from backend.apps.messaging import contact_rules, previews
from backend.apps.messaging.models import Channel, ContactRules, MessageKind, MessageTemplate
from backend.apps.messaging.permissions import CONTACT_RULES, TEMPLATE

POLICIES = permissions.POLICY
FORMS = (  # what may be changed in the admin, and by whom
    (ReminderPolicy, POLICIES, "Change when reminders are sent"),
    (ContactRules, CONTACT_RULES, "Change hours and limits"),
    (MessageTemplate, TEMPLATE, "Change the words"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """All channels of one offset, in the order they are tried."""

    before: str
    rules: tuple[Rule, ...]

    @property
    def told(self) -> str:
        """Return "text, else e-mail"."""
        return ", else ".join(CHANNELS[Channel(rule.channel)] for rule in self.rules)

    @property
    def wording(self) -> str:
        return self._by_channel(str(MessageKind(rule.wording).label) for rule in self.rules)

    @property
    def when(self) -> str:
        return self._by_channel(rule.condition.replace("_", " ") for rule in self.rules)

    def _by_channel(self, words: Iterable[str]) -> str:
        """Return the words all channels share, or "text: these; e-mail: those"."""
        each = list(words)
        if len(set(each)) == 1:
            return each[0]
        channels = (CHANNELS[Channel(rule.channel)] for rule in self.rules)
        return "; ".join(f"{channel}: {said}" for channel, said in zip(channels, each, strict=True))


@console.page(POLICIES, "list")
def policies(request: HttpRequest) -> HttpResponse:
    """Show the table of reminders as it holds, and the texts as they are used."""
    texts = previews.effective() if may(request.user, "effective", TEMPLATE) else []
    rules = ContactRules.current()
    audit.record(request, "console.list", "reminderpolicy", detail={"texts": len(texts)})
    context = {
        "title": "When and in which words",
        "tables": _tables(),
        "rules": rules,
        "notices": contact_rules.notices(rules, Clinic.current()),
        "texts": texts,
        "forms": [
            (title, reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
            for model, table, title in FORMS
            if may(request.user, "create", table)
        ],
    }
    return console.render(request, "interop/reminders/policies.html", context)


def _tables() -> list[dict[str, Any]]:
    """Return the steps of each type of visit that has rows of its own, and those of all others."""
    by_type = Policies.load().by_type
    labels = {value: f"{label} visits" for value, label in AppointmentType.choices}
    titles = {**labels, "": "All other visits" if len(by_type) > 1 else "All visits"}
    return [
        {"title": titles[kind], "steps": [Step(before(same[0].minutes), same) for same in reversed(by_type[kind])]}
        for kind in sorted(by_type, reverse=True)
    ]
