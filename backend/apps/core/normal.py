"""What of a value its blind index is made of; without it one number written in two ways would not be found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

NUMBER = re.compile(r"[\s+0-9().\-/]*")  # a telephone number however it is written


def _email(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).lower()


def _phone(text: str) -> str:
    if not NUMBER.fullmatch(text):
        return text.strip()  # "whatsapp:+1..." is not the number
    digits = "".join(filter(str.isdigit, text))
    return f"1{digits}" if len(digits) == 10 and not text.lstrip().startswith("+") else digits


NORMAL: dict[str, Callable[[str], str]] = {
    "exact": str.strip,
    "whole": str,  # as it was written
    "code": lambda text: "".join(filter(str.isalnum, text)).upper(),  # a number however it is grouped
    "email": _email,
    "phone": _phone,  # the digits of E.164; ten digits are a number of the US
}
