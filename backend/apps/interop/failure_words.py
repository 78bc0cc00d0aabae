"""Says what a provider's code asks of the front desk; without it a failure would be a number nobody looks up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from integrations.sms import twilio_codes

CODE = re.compile(r"(?P<provider>[a-z]+):(?P<code>[\w.]{1,40})")
NO_CODE = "No reason was given."
SORTS: Mapping[str, str] = MappingProxyType(
    {
        "bad_address": "The number or mailbox cannot take messages. Ask the patient for another one.",
        "opted_out": "The owner of the number or mailbox wants no messages. Only they can take that back.",
        "blocked": "Somebody on the way blocks our messages. Our registration or our words have to be looked at.",
        "expired": "It was not delivered in time. The telephone may have been off.",
        "transient": "The telephone could not be reached. It may work later; call if the visit is near.",
        "misconfigured": "Our own account with the provider is not in order. Tell whoever runs it.",
        "unknown": "Nobody knows whether it arrived. That is found out first.",
        "permanent": "The provider refused it for good. Call the patient.",
    }
)
PARTS: Mapping[str, str] = MappingProxyType(  # of a provider that tells words: code to sort
    {"blocked": "blocked", "bounce": "bad_address", "dropped": "permanent", "401": "misconfigured"}
)


def sentence(code: str) -> str:
    """Return what a code means for the desk; a text that is no code stands for itself."""
    found = CODE.fullmatch(code)
    if found is None:
        return SORTS.get(code, code) or NO_CODE
    return SORTS[_sort(found["provider"], found["code"])]


def _sort(provider: str, code: str) -> str:
    if provider == "twilio" and code.isdigit():
        return twilio_codes.sort_name(int(code)) or "permanent"
    return PARTS.get(code, "bad_address" if code.startswith("5.1.") else "permanent")
