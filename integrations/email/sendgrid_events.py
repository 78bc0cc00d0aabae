"""What SendGrid's events mean; without it a bounce, a block and a complaint would all be "failed"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from integrations.errors import BadAddress, Blocked, IntegrationError, Misconfigured, OptedOut, Permanent

Sort = type[Permanent] | type[Misconfigured]

# Event Webhook reference. None: nothing changes for the message; it may still be its reader's wish (`OPT_OUTS`).
STATUSES: Mapping[str, str | None] = MappingProxyType(
    {
        "processed": "sent",
        "deferred": "sent",  # it tries again for up to 72 hours
        "delivered": "delivered",
        "bounce": "bounced",
        "dropped": "failed",
        **dict.fromkeys(("spamreport", "unsubscribe", "group_unsubscribe", "group_resubscribe", "open", "click"), None),
    }
)
OPT_OUTS = frozenset({"spamreport", "unsubscribe", "group_unsubscribe"})
_DROPPED: tuple[tuple[re.Pattern[str], Sort], ...] = (
    (re.compile(r"unsubscribed|spam report", re.I), OptedOut),
    (re.compile(r"invalid smtpapi", re.I), Permanent),
    (re.compile(r"bounced address|invalid", re.I), BadAddress),
    (re.compile(r"spam content", re.I), Blocked),
    (re.compile(r"quota", re.I), Misconfigured),
)
_SENTENCES: Mapping[Sort, str] = {
    Misconfigured: "our account may not send more",
    BadAddress: "the address cannot take mail",
    OptedOut: "the owner of the address does not want mail",
    Blocked: "the receiving side blocks us",
    Permanent: "not delivered",
}
_TAIL = re.compile(r"\.(?:filter|recvd)")
ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")  # RFC 3463


def status_of(kind: str) -> str | None:
    """Return our word for an event: sent, delivered, failed or bounced; None when nothing of ours changes."""
    return STATUSES.get(kind)


def error_for(kind: str, *, bounce_type: str = "", reason: str = "", enhanced: str = "") -> IntegrationError | None:
    """Return why a mail did not arrive; None for events that are no failure.

    bounce_type, reason, enhanced: an event's `type`, `reason` and `status` (as "5.1.1"). The reason may hold the
    address, so it is read and not kept.
    """
    if kind not in ("bounce", "dropped"):
        return None
    sort = _bounced(bounce_type) if kind == "bounce" else _dropped(reason)
    code = enhanced if ENHANCED.fullmatch(enhanced) else "blocked" if sort is Blocked else kind
    return sort(_SENTENCES[sort], code=f"sendgrid:{code}")


def _bounced(bounce_type: str) -> Sort:
    return Blocked if bounce_type == "blocked" else BadAddress


def _dropped(reason: str) -> Sort:
    return next((sort for pattern, sort in _DROPPED if pattern.search(reason)), Permanent)


def short_id(sg_message_id: str) -> str:
    """Return the part of an event's id that Mail Send answered with as X-Message-Id."""
    return _TAIL.split(sg_message_id, maxsplit=1)[0]
