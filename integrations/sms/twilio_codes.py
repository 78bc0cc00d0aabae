"""What Twilio's numbers and words mean; without it a refused call and a late report would be judged by two tables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from integrations.errors import (
    BadAddress,
    Blocked,
    Expired,
    IntegrationError,
    Misconfigured,
    OptedOut,
    Permanent,
    Transient,
)

Sort = type[Transient] | type[Permanent]

# Twilio error and warning dictionary. A number of no row is the message's own fault: Permanent. Misconfigured stops the
# whole sender, so only account and sender are that; what is missing for one number, pair or region is Blocked.
_CODES: Mapping[Sort, tuple[int, ...]] = {
    Transient: (20429, 20500, 20503, 21611, 30001, 30003, 30008),
    Misconfigured: (20003, 20005, 20403, 21212, 21603, 21606, 21659, 21660, 21701, 21703, 21704, 21705, 30002),
    BadAddress: (21211, 21214, 21614, 21635, 30005, 30006),
    OptedOut: (21610,),
    Blocked: (21408, 21608, 21612, 30004, 30007, 30022, 30023, 30032, 30034),
    Expired: (30036,),
}
SORTS: Mapping[int, Sort] = MappingProxyType({code: sort for sort, codes in _CODES.items() for code in codes})

_MESSAGES: Mapping[Sort, str] = {
    Transient: "refused for now",
    Misconfigured: "our account or sender is not set up for this",
    BadAddress: "the number cannot take texts",
    OptedOut: "the owner of the number does not want texts",
    Blocked: "filtered on the way, or not open to us",
    Expired: "not delivered in time",
    Permanent: "refused",
}

# Message status, API 2010-04-01. None: no change of ours; "undelivered" depends on its error code.
WORDS: Mapping[str, str | None] = MappingProxyType(
    {
        **dict.fromkeys(("queued", "accepted", "scheduled", "sending", "sent", "partially_delivered"), "sent"),
        **dict.fromkeys(("delivered", "read"), "delivered"),
        **dict.fromkeys(("failed", "canceled"), "failed"),
        "undelivered": "bounced",
        **dict.fromkeys(("receiving", "received"), None),
    }
)
FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "partially_delivered": "partial",
        "read": "read",
        "canceled": "cancelled_by_us",
        "receiving": "inbound",
        "received": "inbound",
    }
)
MAY_COME_YET = frozenset({"", "transient", "misconfigured", "expired"})  # sorts that say nothing against the number


def error_for(code: int, *, retry_after_s: float | None = None) -> IntegrationError:
    """Return what Twilio's error `code` means, whether it refused a call or told of a message later."""
    sort = SORTS.get(code, Permanent)
    if issubclass(sort, Transient):
        waits = {} if retry_after_s is None else {"retry_after_s": retry_after_s}
        return sort(_MESSAGES[sort], code=f"twilio:{code}", **waits)
    return sort(_MESSAGES[sort], code=f"twilio:{code}")


def sort_name(code: int | None) -> str:
    """Return the name of the sort of `code`, as "bad_address"; empty when there is no code."""
    return "" if code is None else SORTS.get(code, Permanent).sort


def status_of(word: str, code: int | None = None) -> str | None:
    """Return our word for Twilio's: sent, delivered, failed or bounced; None when nothing of ours changes.

    An undelivered text bounced when its code says that it never can be, and failed when it may be sent again.
    """
    if word == "undelivered" and sort_name(code) in MAY_COME_YET:
        return "failed"
    return WORDS.get(word)


def flag_of(word: str) -> str:
    """Return what `status_of` cannot say: partial, read, cancelled_by_us, inbound or unknown; mostly empty."""
    return FLAGS.get(word, "") if word in WORDS else "unknown"
