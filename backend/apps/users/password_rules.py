"""How long a password may be, wherever one is set or typed; else some could be set that no form takes."""

from __future__ import annotations

from django.core.exceptions import ValidationError

LONGEST = 256  # characters
TOO_LONG = f"A password has at most {LONGEST} characters."


class LongestPasswordValidator:
    """Refuses what is too long to be typed at every door."""

    def validate(self, password: str, user: object = None) -> None:
        typed(password)

    def get_help_text(self) -> str:
        return TOO_LONG


def typed(password: str) -> str:
    """Return a password as it was typed, never cut.

    Raises:
        ValidationError: it is too long.
    """
    if len(password) > LONGEST:
        raise ValidationError(TOO_LONG, code="password_too_long")
    return password
