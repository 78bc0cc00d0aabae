"""What of a value its blind index is made of; without it one number written in two ways would not be found."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable


def _phone(text: str) -> str:
    digits = "".join(filter(str.isdigit, text))
    return f"1{digits}" if len(digits) == 10 and not text.lstrip().startswith("+") else digits


NORMAL: dict[str, Callable[[str], str]] = {
    "exact": str.strip,
    "whole": str,  # as it was written
    "code": lambda text: "".join(filter(str.isalnum, text)).upper(),  # a number however it is grouped
    "email": lambda text: unicodedata.normalize("NFC", text.strip()).casefold(),
    "phone": _phone,  # the digits of E.164; ten digits are a number of the US
}
