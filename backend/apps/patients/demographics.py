"""Lets other systems tell who a patient is; without it an old message could overwrite what was said later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from backend.apps.core import audit, closed_values
from backend.apps.patients import changes
from backend.apps.patients.models import Patient

ADDRESS = ("address_line1", "address_line2", "city", "state", "postal_code", "country")
PLAIN = ("first_name", "last_name", "date_of_birth", "gender", "phone", "email", "preferred_language")
KINDS: dict[str, tuple[str, ...]] = {**{name: (name,) for name in PLAIN}, "address": ADDRESS}
BY_A_PERSON = "~"  # comes after every source in the order of texts: of the same second, a person's word holds


@transaction.atomic
def update(patient: Patient, *, said: Mapping[str, Mapping[str, Any]], as_of: datetime, source: str) -> list[str]:
    """Take over what was said about a patient at `as_of`; return the kinds that were not taken because they are wrong.

    said: for a kind of KINDS the values of its fields, all of them. Each kind keeps when it was last said: what was
    said earlier changes nothing, so that any order and repetition of the same messages ends in the same record. Of two
    that spoke in the same second the greater `source` holds.
    """
    row = Patient.all_objects.select_for_update(no_key=True).get(pk=patient.pk)
    stamp, taken, wrong = f"{as_of.astimezone(UTC):%Y%m%dT%H%M%S} {source}", list[str](), list[str]()
    stood = dict(row.demographics_as_of)
    for kind, values in said.items():
        if not _acceptable(row, values):
            wrong.append(kind)
        elif row.demographics_as_of.get(kind, "") < stamp:
            row.demographics_as_of[kind] = stamp
            taken += [name for name, value in values.items() if closed_values.differs(row, name, value)]
            for name, value in values.items():
                setattr(row, name, value)
    if row.demographics_as_of != stood:
        row.save(update_fields=["demographics_as_of", *taken, *(["updated_at"] if taken else [])])
    if taken:
        audit.record(None, "update", "patient", str(row.pk), patient_id=row.pk, detail={"fields": sorted(taken)})
        changes.tell(row, taken)
    return wrong


def note(patient: Patient, changed: Iterable[str], *, at: datetime) -> None:
    """Note that a person said these fields at `at`; save separately."""
    names = set(changed)
    stamp = f"{at.astimezone(UTC):%Y%m%dT%H%M%S} {BY_A_PERSON}"
    told = {kind: stamp for kind, fields in KINDS.items() if names & set(fields)}
    patient.demographics_as_of = {**patient.demographics_as_of, **told}


def _acceptable(patient: Patient, values: Mapping[str, Any]) -> bool:
    """Return whether these values could stand in a record, whatever else is in it."""
    trial = copy(patient)
    for name, value in values.items():
        setattr(trial, name, value)
    others = {field.name for field in Patient._meta.fields} - set(values)
    try:
        trial.clean_fields(exclude=others)
        trial.clean()
    except ValidationError as error:
        return not set(error.message_dict) & set(values)
    return True
