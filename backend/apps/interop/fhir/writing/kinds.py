"""What makes a type writable; without it each of them would check, refuse and answer in its own way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError
from django.db.models import Model
from psycopg.errors import UniqueViolation

from backend.apps.core.problems import CROSSED, model_errors
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.source import Source, by_uuid
from integrations.fhir.ingress.element import Refused
from integrations.fhir.outcomes import Issue, issue

# By the code of a model's refusal: the code of an issue, and words instead of those that quote the value.
REASONS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "unique": ("duplicate", ""),
    "invalid_choice": ("code-invalid", "This code is none that we keep here."),
    "blank": ("required", ""),
    "null": ("required", ""),
})  # fmt: skip
REFUSED = "Some elements cannot be taken over."
TAKEN = "Another record has this, or had it."
CONTRADICTS = "This contradicts what is already stored."
CROSSING = "Somebody changed the same rows at the same moment; try again."


@dataclass(frozen=True, eq=False)
class Kind:
    """A type that others may write.

    read: a body, the texts of `door.given` and the resource as it stands (None: a new one) -> what the body says.
    create, update: do it by the services, for a user; they return the row. An update is told what is said and what
        stands, both as `read`: what a body says no otherwise is not changed, looked up or checked again.
    paths: for each field of the model that a service may refuse, the element it came from.
    """

    source: Source
    read: Callable[[dict[str, Any], Mapping[str, str], dict[str, Any] | None], Any]
    create: Callable[..., Any]
    update: Callable[..., Any]
    paths: Mapping[str, str]

    @property
    def type(self) -> str:
        return self.source.type

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Turn what readers, models and the database refuse into issues that name elements."""
        try:
            yield
        except Refused as refused:
            raise Refusal(REFUSED, status=422, issues=refused.issues) from None
        except ValidationError as error:
            issues = list(self._told(error))
            taken = any(one["code"] == "duplicate" for one in issues)
            raise Refusal(REFUSED, status=409 if taken else 422, issues=issues) from None
        except IntegrityError as error:
            raise Refusal(CONTRADICTS, status=409, issues=[self._contradicted(error)]) from None
        except OperationalError as error:
            if not isinstance(error.__cause__, CROSSED):
                raise
            raise Refusal(CROSSING, status=409) from None

    def _contradicted(self, error: IntegrityError) -> Issue:
        """Return the issue of a value that another row has, one that is no longer on file perhaps."""
        table = self.source.model._meta.db_table
        name = error.__cause__.diag.constraint_name if isinstance(error.__cause__, UniqueViolation) else None
        for field, path in self.paths.items():
            if name == f"{table}_{field}_key":
                return issue("duplicate", TAKEN, at=[path])
        return issue("conflict", CONTRADICTS)

    def _told(self, error: ValidationError) -> Iterator[Issue]:
        """Return the issues of what a model refused; Django's own words for a wrong choice would quote it."""
        for field, errors in (error.error_dict if hasattr(error, "error_dict") else {"": [error]}).items():
            path = self.paths.get(field)
            for one in errors:
                code, quoting = REASONS.get(str(one.code), ("value", ""))
                sentences = [quoting] if quoting else [told["message"] for told in model_errors(one)]
                for sentence in sentences:
                    yield issue(code, sentence, at=[path] if path else [])


def fitting(row: Model, field: str, text: str, path: str) -> str:
    """Return a text that a verb takes as it is, if the field it ends in holds it."""
    longest = getattr(row._meta.get_field(field), "max_length", None)
    if longest is not None and len(text) > longest:
        refuse(f"This has at most {longest} characters.", path, code="too-long")
    return text


def refuse(sentence: str, path: str, *, code: str = "not-supported") -> NoReturn:
    raise Refused([issue(code, sentence, at=[path])])


def target(model: type[Model], fhir_id: str, user: Any, path: str) -> Any:
    """Return the row that a reference points to.

    Raises:
        Refused: it says nothing, there is no such row, or it is not the caller's to see.
    """
    if not fhir_id:
        refuse("This is said by a reference.", path, code="required")
    wanted = by_uuid(fhir_id)
    rows: Any = model._default_manager.all()
    row = rows.visible_to(user).filter(wanted).first() if wanted is not None else None
    if row is None:
        refuse("There is no such resource, or it is not yours to see.", path, code="not-found")
    return row


def optional(model: type[Model], fhir_id: str, user: Any, path: str) -> Any:
    """Return the row that a reference points to, None where there is no reference; else as `target`."""
    return target(model, fhir_id, user, path) if fhir_id else None
