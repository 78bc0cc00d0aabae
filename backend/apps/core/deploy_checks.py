"""Tells in `manage check --deploy` what production refuses; without it one would learn it start by start."""

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connection

from backend.apps.core import database_role, indexing
from backend.config import production

OF_ALL = ("web",)
OF_OTHERS = ("mllp", "flower")  # their settings need not be given where this runs


@register(Tags.security, deploy=True)
def is_production_safe(**_: Any) -> list[CheckMessage]:
    """Return an error for each setting that is unsafe, and a warning for each link that was let go without TLS."""
    if not settings.IN_PRODUCTION:
        return []
    sure = [*production.common(), *(fault for part in OF_ALL for fault in production.of_part(part, os.environ))]
    told: list[CheckMessage] = [Error(fault.wrong, fault.mend, id=f"carerelay.{fault.code}") for fault in sure]
    for part in OF_OTHERS:
        for fault in production.of_part(part, os.environ):
            told.append(
                Warning(
                    f"With these settings {part} does not start: {fault.wrong}",
                    fault.mend,
                    id=f"carerelay.{fault.code}",
                )
            )
    if settings.SECRET_KEY_FALLBACKS:
        sentence = "Keys in CARERELAY_SECRET_KEYS_OLD still count."
        told.append(Warning(sentence, "Take them out a week after the change.", id="carerelay.keys_old"))
    for link in production.plain():
        told.append(
            Warning(f"{link} is spoken to without TLS, as CARERELAY_PLAINTEXT_ALLOWED says.", id="carerelay.plain")
        )
    return told


@register(Tags.security, deploy=True)
def is_role_small(**_: Any) -> list[CheckMessage]:
    """Return an error where the parts work as who owns the tables: who takes one over could rewrite the audit log."""
    if not settings.IN_PRODUCTION:
        return []
    try:
        connection.ensure_connection()
        found = database_role.excess(connection.connection)
    except DatabaseError as error:
        sentence = f"The database could not be asked about the role of the parts: {type(error).__name__}."
        return [Warning(sentence, "Run this where DATABASE_URL is reached.", id="carerelay.role_unknown")]
    if not found:
        return []
    mend = "Name its user in DATABASE_OWNER_URL, another one in DATABASE_URL, and run `manage migrate`, which makes it."
    return [Error(f"The role of DATABASE_URL could change the audit log: {found}.", mend, id="carerelay.role")]


@register(Tags.security, deploy=True)
def are_indexes_whole(**_: Any) -> list[CheckMessage]:
    """Return an error for each blind index of which some rows are found by no key: opt-outs are found by one."""
    try:
        found = list(indexing.lost())
    except DatabaseError as error:
        sentence = f"The database could not be asked about blind indexes: {type(error).__name__}."
        return [Warning(sentence, "Run this where DATABASE_URL is reached.", id="carerelay.indexes_unknown")]
    return [Error(str(one), id="carerelay.index_keys") for one in found]
