"""Refuses passwords that leaked somewhere; without it the first guess of everybody would be good here."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import string
from functools import cache
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

log = logging.getLogger(__name__)

LINE = re.compile(rb"[0-9A-Fa-f]{40}(:[0-9]+)?\r?\n?")
LONGEST = 80  # bytes of a line
SAMPLES = 64  # lines of a file that are looked at before it is believed
UNCHECKED = "The list of leaked passwords cannot be read, so no password can be set. Tell the clinic's administrator."
ENDS = string.digits + string.punctuation


class WrongFile(ValueError):
    """Not a list of hashes as it can be searched: the message says what is wrong with it."""


class BreachedPasswordValidator:
    """Looks a new password up in a file of leaked ones, without a network; else in Django's list of common ones.

    The file is of the format of Pwned Passwords: a SHA-1 in hexadecimal and a count on each line, sorted by hash. The
    short list is asked in small letters, and again without what people put at the end to make a password longer.
    """

    def validate(self, password: str, user: object = None) -> None:
        try:
            known = is_known(password)
        except OSError as error:
            log.error("leaked passwords cannot be looked up: %s", error.strerror)
            raise ValidationError(UNCHECKED, code="password_unchecked") from error
        if known:
            raise ValidationError(
                "This password is known from a leak or easy to guess. Take another one.", code="password_breached"
            )

    def get_help_text(self) -> str:
        return "Not a password that is known from a leak."


def is_known(password: str) -> bool:
    if settings.BREACHED_PASSWORDS:
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        with Path(settings.BREACHED_PASSWORDS).open("rb") as file:
            if holds(file, digest):
                return True
    folded = password.strip().lower()
    return not {folded, folded.rstrip(ENDS), folded.strip(ENDS)}.isdisjoint(_common())


def holds(file: BinaryIO, digest: bytes) -> bool:
    """Return whether a sorted file has a line that begins with `digest`, by reading a few dozen lines of it."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while low < high:
        middle = (low + high) // 2
        start, line = _line_at(file, middle)
        if not line or start >= high:
            high = middle
            continue
        found = line[:40].upper()
        if found == digest:
            return True
        if found < digest:
            low = start + len(line)
        else:
            high = middle
    return False


def check(path: str) -> None:
    """Read some lines of the file.

    Raises:
        WrongFile: it is not there, empty, not of this format, or not sorted by hash.
    """
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            spread = [_line_at(file, size * number // SAMPLES)[1] for number in range(SAMPLES)]
            file.seek(0)
            first = [file.readline(LONGEST) for _ in range(SAMPLES)]
    except OSError as error:
        raise WrongFile(f"it cannot be read: {error.strerror}") from error
    if not size:
        raise WrongFile("it is empty")
    for lines in (spread, first):
        found = [line for line in lines if line]
        if not all(LINE.fullmatch(line) for line in found):
            raise WrongFile("a line is not a SHA-1 in hexadecimal, a colon and a count")
        hashes = [line[:40].upper() for line in found]
        if hashes != sorted(hashes):
            raise WrongFile("its lines are not sorted by hash")


def _line_at(file: BinaryIO, at: int) -> tuple[int, bytes]:
    """Return the first line that begins at or after `at`, and where; an empty one at the end."""
    file.seek(max(at - 1, 0))
    if at:
        file.readline(LONGEST)
    start = file.tell()
    return start, file.readline(LONGEST)


@cache
def _common() -> frozenset[str]:
    return frozenset(CommonPasswordValidator().passwords)
