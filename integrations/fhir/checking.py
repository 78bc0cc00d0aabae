"""Asks fhir.resources whether a resource has the shape R4 wants; its R4B models are the R4 ones for all we write."""

from __future__ import annotations

from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError


def faults(resource: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong, as (path, kind of fault) pairs that quote no value; none when it is right.

    It checks elements, cardinality, types and the form of primitives; not code sets, invariants or profiles.
    """
    try:
        model = get_fhir_model_class(str(resource.get("resourceType")))
    except (LookupError, ValueError):
        return [("resourceType", "unknown")]
    try:
        model.model_validate(resource)
    except ValidationError as error:
        return [(".".join(map(str, one["loc"])), str(one["type"])) for one in error.errors(include_input=False)]
    except (AttributeError, LookupError, TypeError):  # it trips over a "_name" that is no object, a contained Nonsense
        return [("", "value_error")]
    return []
