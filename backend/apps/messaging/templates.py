"""Keeps the clinic's own words; without it API and admin would each check a text by rules of their own."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from backend.apps.core import alerts
from backend.apps.core.models import Clinic
from backend.apps.messaging import template_checks, wording
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import ContactRules, MessageTemplate
from backend.apps.messaging.rendering import Source


@transaction.atomic
def add(*, by: Any, **fields: Any) -> MessageTemplate:
    """Keep a new text in place of the shipped one.

    Raises:
        ValidationError: by field, each word or variable that cannot be sent and why.
    """
    return save(MessageTemplate(), by=by, **fields)


@transaction.atomic
def save(template: MessageTemplate, *, by: Any, **fields: Any) -> MessageTemplate:
    """Change a text; what cannot be sent is refused as in `add`."""
    for name, value in fields.items():
        setattr(template, name, value)
    template.language = canonical(template.language)
    refuse(source_of(template))
    template.full_clean()
    template.save()
    alerts.clear(wording.cause(template.pk))
    return template


@transaction.atomic
def discard(template: MessageTemplate, *, by: Any) -> None:
    """Delete a text: the shipped one speaks again."""
    template.delete()
    alerts.clear(wording.cause(template.pk))


def refuse(source: Source) -> None:
    """Raise what is wrong with a text, by field."""
    if found := faults_of(source):
        raise ValidationError({field: list(sentences) for field, sentences in found.items()})


def faults_of(source: Source) -> template_checks.Faults:
    """Return by field why a text cannot be kept, judged under the clinic's name and by who works here."""
    found = template_checks.faults(source, current_facts())
    for field, sentences in template_checks.faults_on_file(source).items():
        found.setdefault(field, []).extend(sentences)
    return found


def current_facts() -> Facts:
    """Return the longest usual facts, under the name patients are told now; they are nobody's."""
    return template_checks.longest(ContactRules.current().name_of(Clinic.current()))


def source_of(template: MessageTemplate) -> Source:
    return Source(template.kind, template.channel, template.language, template.subject, template.body, str(template.pk))


def canonical(tag: str) -> str:
    """Return a language tag in its usual case, as es-MX or zh-Hant: one language is one row."""
    first, *others = tag.split("-")
    cased = (part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part.lower() for part in others)
    return "-".join([first.lower(), *cased])
