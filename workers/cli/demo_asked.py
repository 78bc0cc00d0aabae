"""What a demo day asks of the stack, kept as it is asked for; without it our rows would be held against themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True)
class Invited:
    """A patient with a visit, who is to get one message on one channel: "sms" or "email"."""

    patient: str
    visit: str
    phone: str
    email: str
    channel: str

    @property
    def address(self) -> str:
        return self.phone if self.channel == "sms" else self.email


@dataclass
class LabAsked:
    """What one laboratory sends: how each message has to end by its control id, how often it went, what answered it."""

    facility: str
    endings: dict[str, str] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)


@dataclass
class ClaimsAsked:
    """The claims that were submitted, by id; what the clearinghouse took and what it paid, by its control numbers."""

    ids: list[str] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    paid: dict[str, Decimal] = field(default_factory=dict)


@dataclass
class ExportAsked:
    """One export: what of it has come. fits: all is as its manifest says."""

    resources: int = 0
    files: int = 0
    doubled: int = 0
    missing: int = 0
    finished: bool = False
    fits: bool = False

    def came(self, ids: Mapping[str, Counter[str]], files: int, wanted: Mapping[str, Collection[str]]) -> None:
        """Count what came by type and id. wanted: ids of what was there before it was asked for."""
        self.resources, self.files = sum(found.total() for found in ids.values()), files
        self.doubled = self.resources - sum(map(len, ids.values()))
        self.missing = sum(len(set(some) - set(ids.get(name, ()))) for name, some in wanted.items())
        self.finished = True


@dataclass
class Asked:
    """All that the bulk of a day asked for."""

    invited: list[Invited] = field(default_factory=list)
    labs: list[LabAsked] = field(default_factory=list)
    claims: ClaimsAsked = field(default_factory=ClaimsAsked)
    exports: list[ExportAsked] = field(default_factory=list)
