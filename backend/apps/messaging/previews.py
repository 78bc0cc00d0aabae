"""Shows texts before a patient sees them; without it a clinic would learn from a patient how they read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.messaging import segments, shipped, template_checks, templates
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import EMAIL_ONLY, Channel, ContactRules, MessageKind, MessageTemplate
from backend.apps.messaging.rendering import Source, Words, write
from backend.apps.messaging.template_syntax import Unwritable
from backend.apps.messaging.wording import Wordings


class Preview(NamedTuple):
    """faults: by field, why the text could not be kept; the words are empty where it cannot even be filled."""

    subject: str
    text: str
    html: str
    language: str
    encoding: str
    segments: int
    faults: dict[str, list[str]]
    warnings: list[str]


class Effective(NamedTuple):
    """language: the patient's; written_in: the text's. id: of the clinic's own text, None for a shipped one."""

    kind: str
    channel: str
    language: str
    written_in: str
    id: UUID | None
    subject: str
    body: str


def preview(*, kind: str, channel: str, language: str, subject: str = "", body: str = "") -> Preview:
    """Return what a text would look like; without a body, the one that is used now."""
    source = Source(kind, channel, language, subject, body) if body else Wordings.load().best(kind, channel, language)
    words, facts = _filled(source), templates.current_facts()
    told = segments.count(words.text if channel == Channel.SMS else "")
    faults = templates.faults_of(source) if body else {}
    return Preview(
        *words[:3], source.language, told.encoding, told.segments, faults, template_checks.warnings(source, facts)
    )


def effective() -> list[Effective]:
    """Return which text is used for each kind and channel, in our languages, the default one and the own texts'."""
    rules, own = ContactRules.current(), list(MessageTemplate.objects.filter(is_active=True))
    wordings = Wordings(own, rules.default_language)
    languages = {*shipped.LANGUAGES, rules.default_language, *(row.language for row in own)}
    return list(_each(wordings, sorted(languages)))


def sample() -> Facts:
    """Return made-up facts under the clinic's own name: a visit in three days."""
    clinic = Clinic.current()
    starts_at = _at_ten_thirty(clinic.zone)
    page = f"{settings.PUBLIC_BASE_URL}/a/"
    return Facts(
        clinic=ContactRules.current().name_of(clinic), zone=clinic.zone, phone=clinic.phone or "+15185550100",
        starts_at=starts_at, visits=(starts_at, starts_at + timedelta(days=1)), link=f"{page}{'example' * 3}0",
        unsubscribe_link=f"{page}{'example' * 3}1", expires_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip


def _at_ten_thirty(zone: ZoneInfo) -> datetime:
    return (timezone.localtime(timezone=zone) + timedelta(days=3)).replace(hour=10, minute=30, second=0)


def _filled(source: Source) -> Words:
    try:
        return write(source, template_checks.of_kind(source.kind, sample()))
    except Unwritable:
        return Words("", "", "")


def _each(wordings: Wordings, languages: list[str]) -> Iterator[Effective]:
    for kind in MessageKind.values:
        for channel in (Channel.EMAIL,) if kind in EMAIL_ONLY else (Channel.SMS, Channel.EMAIL):
            for language in languages:
                source = wordings.best(kind, channel, language)
                key = UUID(source.row) if source.row else None
                yield Effective(kind, channel, language, source.language, key, source.subject, source.body)
