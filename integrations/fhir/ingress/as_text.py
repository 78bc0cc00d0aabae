"""Finds text where R4 wants an element; the library would read such text as JSON, past every bound that is set here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args

from fhir.resources.R4B.resource import Resource
from fhir_core.types import FhirBase
from pydantic import BaseModel

from integrations.fhir.ingress.element import Steps, expression
from integrations.fhir.outcomes import Issue, issue

Model = type[BaseModel]
NamedModel = Callable[[Any], Model | None]


def elements_as_text(model: Model, said: Mapping[str, Any], steps: Steps, named: NamedModel) -> Iterator[Issue]:
    """Find them in this element and those within. named: the model of a resource by its type, None if R4 has none.

    What is of no type that R4 knows is not looked into, for the library does not take it.
    """
    known = _elements(model)
    for name in (name for name in said if name in known):
        value = said[name]
        several = [((*steps, name, place), one) for place, one in enumerate(value)] if isinstance(value, list) else []
        for where, one in several or [((*steps, name), value)]:
            if isinstance(one, str):
                yield issue("structure", "An element is an object, not text.", at=[expression(where)])
            elif isinstance(one, dict):
                kind = known[name].get_model_klass()
                inner = named(one.get("resourceType")) if kind is Resource else kind
                yield from elements_as_text(inner, one, where, named) if inner else ()


@lru_cache(maxsize=1024)
def _elements(model: Model) -> dict[str, type[FhirBase]]:
    """Return the types of those members that are elements or resources, by their names in JSON.

    The library takes its own names for them too.
    """
    found = [(name, about.alias, _element(about.annotation)) for name, about in model.model_fields.items()]
    return {each: kind for name, alias, kind in found if kind is not None for each in (name, alias or name)}


def _element(annotation: Any) -> type[FhirBase] | None:
    if isinstance(annotation, type) and issubclass(annotation, FhirBase):
        return annotation
    return next((kind for inner in get_args(annotation) if (kind := _element(inner))), None)
