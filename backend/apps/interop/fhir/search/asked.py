"""What a search asks for, read from its parameters; what is not supported is refused or, when lenient, left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from backend.apps.interop.fhir.outcomes import BadSearch
from backend.apps.interop.fhir.search.kinds import Date, ToldDate
from backend.apps.interop.fhir.search.query import cannot_be_searched, known, of_type, pointers
from backend.apps.interop.fhir.search.values import within_bounds
from backend.apps.interop.fhir.sources import SOURCES
from integrations.fhir.resource import element_of

PAGE, MOST = 50, 500
MOST_INCLUSIONS = 20
LONGEST = 4_000  # characters of a search, as the links of its pages hold it: servers take no line of more than 8 kB
TOTALS = frozenset({"none", "estimate", "accurate"})
SILENT = frozenset({"_format", "_pretty", "_cursor"})  # said to the door, or to nobody
Pairs = Sequence[tuple[str, str]]
Inclusion = tuple[str, str, str]  # type, parameter, target type or ""


@dataclass(frozen=True)
class Asked:
    """One search. `params` filter; the rest says how the answer looks. sort: a parameter, "-" before it: backwards.

    exact: count all that is found, however many they are.
    """

    type: str
    params: tuple[tuple[str, str], ...] = ()
    count: int = PAGE
    includes: tuple[Inclusion, ...] = ()
    revincludes: tuple[Inclusion, ...] = ()
    elements: frozenset[str] = field(default_factory=frozenset)
    sort: str = ""
    only_count: bool = False
    total: bool = True
    exact: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "params": self.params,
            "count": self.count,
            "includes": self.includes,
            "revincludes": self.revincludes,
            "elements": sorted(self.elements),
            "sort": self.sort,
            "only_count": self.only_count,
            "total": self.total,
            "exact": self.exact,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Asked:
        pairs = {name: tuple(map(tuple, told[name])) for name in ("params", "includes", "revincludes")}
        return cls(**{**told, **pairs, "elements": frozenset(told["elements"])})

    @property
    def shown(self) -> frozenset[str]:
        """The elements to answer, none where all are: those asked for, and those that name what is brought along."""
        if not self.elements:
            return frozenset()
        told = (param.element for of, name, _ in self.includes for param in pointers(of, name))
        return self.elements | {element.partition(".")[0] for element in told}

    @property
    def private(self) -> bool:
        """Whether a link that says all this would name a person."""
        table = of_type(self.type)
        return any((param := table.get(name.partition(":")[0])) and param.private for name, _ in self.params)

    def query(self) -> str:
        """Return the parameters that were used, as a query string."""
        pairs = [*self.params, ("_count", str(self.count))]
        pairs += [("_include", ":".join(filter(None, one))) for one in self.includes]
        pairs += [("_revinclude", ":".join(filter(None, one))) for one in self.revincludes]
        pairs += [("_elements", ",".join(sorted(self.elements)))] if self.elements else []
        pairs += [("_sort", self.sort)] if self.sort else []
        pairs += [("_summary", "count")] if self.only_count else []
        pairs += [("_total", "accurate" if self.exact else "none")] if self.exact or not self.total else []
        return urlencode(pairs, safe=":,/|")


def read(resource_type: str, pairs: Pairs, *, strict: bool) -> Asked:
    """Return what the parameters ask for.

    Raises:
        BadSearch: a value that cannot be used; when strict, also a parameter that is not supported.
    """
    reader = _Reader(resource_type, strict=strict)
    for name, value in pairs:
        if value and name not in SILENT:
            reader.take(name, value)
    within_bounds(reader.params)
    asked = Asked(resource_type, tuple(reader.params), **reader.told)
    if len(asked.query()) > LONGEST:
        raise BadSearch("This search is too long for the links of its pages: ask in several.", code="too-costly")
    return asked


class _Reader:
    """Collects what the parameters say, one at a time."""

    def __init__(self, resource_type: str, *, strict: bool) -> None:
        self.type, self.strict = resource_type, strict
        self.params: list[tuple[str, str]] = []
        self.told: dict[str, Any] = {}

    def take(self, name: str, value: str) -> None:
        plain, _, modifier = name.partition(":")
        match plain:
            case "_count":
                self._count(value)
            case "_include" | "_revinclude":
                self._inclusion(f"{plain[1:]}s", value, modifier)
            case "_elements":
                self._elements(value)
            case "_summary":
                self._summary(value)
            case "_total":
                self._total(value)
            case "_sort":
                self._sort(value)
            case _:
                self._filter(name, value)

    def _elements(self, value: str) -> None:
        names = frozenset(filter(None, (one.strip() for one in value.split(","))))
        known = frozenset(name for name in names if is_element(self.type, name))
        if names - known:
            self._unsupported(f"_elements names what no {self.type} has.")
        self.told["elements"] = known | self.told.get("elements", frozenset())

    def _total(self, value: str) -> None:
        if value not in TOTALS:
            raise BadSearch("_total: none, estimate or accurate.")
        self.told |= {"total": value != "none", "exact": value == "accurate"}

    def _count(self, value: str) -> None:
        if not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise BadSearch(f"_count: a number up to {MOST}.")
        if int(value) == 0:  # R4: as _summary=count
            self.told["only_count"] = True
        else:
            self.told["count"] = min(int(value), MOST)

    def _filter(self, name: str, value: str) -> None:
        if "." in name or name.startswith("_has"):
            raise BadSearch("Searches over other resources (chains, _has) are not supported.", code="not-supported")
        if known(self.type, name):
            self.params.append((name, value))
        else:
            self._unsupported(cannot_be_searched(self.type))

    def _unsupported(self, sentence: str) -> None:
        if self.strict:
            raise BadSearch(sentence, code="not-supported")

    def _summary(self, value: str) -> None:
        if value not in {"count", "false"}:
            self._unsupported("Of _summary only count is supported; _elements names what to answer.")
        self.told["only_count"] = value == "count"

    def _sort(self, value: str) -> None:
        param = of_type(self.type).get(value.removeprefix("-"))
        sortable = value.removeprefix("-") == "_lastUpdated" or (isinstance(param, Date | ToldDate) and param.column)
        if not sortable:
            return self._unsupported("The answer cannot be sorted so; by one date or _lastUpdated it can.")
        self.told["sort"] = value
        return None

    def _inclusion(self, name: str, value: str, modifier: str) -> None:
        parts = (*value.split(":"), "", "")
        one: Inclusion = (parts[0], parts[1], parts[2])
        if modifier or not _includes(self.type, one, back=name == "revincludes"):
            return self._unsupported(f"_{name[:-1]}: this is not supported.")
        self.told[name] = tuple(dict.fromkeys((*self.told.get(name, ()), one)))
        if len(self.told.get("includes", ())) + len(self.told.get("revincludes", ())) > MOST_INCLUSIONS:
            raise BadSearch(f"A search may bring along by {MOST_INCLUSIONS} references.", code="too-costly")
        return None


def _includes(resource_type: str, one: Inclusion, *, back: bool) -> bool:
    """Return whether this can be brought along with (`back`: because it refers to) resources of the type."""
    of, name, target = one
    targets = {target for param in pointers(of, name) for target in param.targets}
    if back:
        return resource_type in targets and target in {"", resource_type}
    return of == resource_type and bool(targets) and target in {"", *targets}


def is_element(resource_type: str, name: str) -> bool:
    """Return whether this is a root element of the type, as `value` or `valueQuantity`."""
    return any(element_of(name) in source.resource.elements for source in SOURCES[resource_type])


def inclusions(resource_type: str, *, back: bool) -> Iterable[str]:
    """Return all that can be brought along, as "Type:parameter"; for the CapabilityStatement."""
    for of in SOURCES if back else (resource_type,):
        for name in of_type(of):
            if _includes(resource_type, (of, name, ""), back=back):
                yield f"{of}:{name}"
