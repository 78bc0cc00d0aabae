"""Finds messages of every kind; without it whoever knows only a key would have to know every table of messages."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Q

from backend.apps.messaging.models import OutgoingMessage

Kind = type[OutgoingMessage]


def kinds() -> list[Kind]:
    """Return the models of all messages to patients, always in the same order."""
    return [model for model in apps.get_models() if issubclass(model, OutgoingMessage)]


def find(pk: Any) -> OutgoingMessage | None:
    return next(iter(find_all([pk]).values()), None)


def find_all(pks: Collection[Any]) -> dict[UUID, OutgoingMessage]:
    """Return the messages of these keys, deleted ones too, in one query for each kind."""
    return {row.pk: row for model in kinds() if pks for row in model.all_objects.filter(pk__in=pks)}


def by_external_id(message_ids: Collection[str]) -> dict[str, OutgoingMessage]:
    """Return the messages the provider knows by these ids; a digest is its leader."""
    wanted = [name for name in message_ids if name]
    leaders = Q(external_id__in=wanted, digest_of__isnull=True) & ~Q(external_id="")  # told, so that the index serves
    return {row.external_id: row for model in kinds() if wanted for row in model.all_objects.filter(leaders)}


def locked(pks: Collection[Any]) -> dict[UUID, OutgoingMessage]:
    """Lock and return messages until the transaction ends; those somebody else has locked just now are left out."""
    return {
        row.pk: row
        for model in kinds()
        if pks
        for row in model.all_objects.filter(pk__in=pks).order_by("pk").select_for_update(skip_locked=True, of=("self",))
    }


def told_with(leaders: Collection[OutgoingMessage]) -> list[OutgoingMessage]:
    """Lock and return the messages that went out in the text of one of these; the leaders are locked already."""
    found: list[OutgoingMessage] = []
    for model in {type(leader) for leader in leaders}:
        keys = [leader.pk for leader in leaders if type(leader) is model]
        found += model.all_objects.filter(digest_of__in=keys).order_by("pk").select_for_update(of=("self",))
    return found


def addresses_of(keys: Collection[Any]) -> set[tuple[str, str]]:
    """Return channel and address of these messages; nothing of them is locked."""
    return {(row.channel, row.recipient) for row in find_all(keys).values()}


def has_replacement(message: OutgoingMessage) -> bool:
    """Whether another message was written to say the same instead."""
    return bool(type(message).all_objects.filter(fallback_of=message.pk).exists())


def ids_at(message: OutgoingMessage) -> set[str]:
    """Return the provider's ids of all messages that went to the same number, this one's earlier ones among them."""
    rows = [
        model.all_objects.filter(model.sent_to(message.recipient_phone)).exclude(external_id="")
        for model in kinds()
        if message.recipient_phone
    ]
    return {external_id for found in rows for external_id in found.values_list("external_id", flat=True)}
