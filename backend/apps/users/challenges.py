"""What stands between a right password and its code: signed, for five minutes, and good for nothing else."""

from __future__ import annotations

from uuid import UUID

from django.core import signing

from backend.apps.users.models import LoginSession
from backend.apps.users.models.sessions import CHALLENGE
from backend.apps.users.second_step import CodeRefused

SALT = "users.challenges"
LASTS_S = int(CHALLENGE.total_seconds())


def issue(session: LoginSession) -> str:
    """Return the challenge of a session that waits for a code. What ends the user's sessions ends it too."""
    return signing.dumps(str(session.pk), salt=SALT)


def read(text: str) -> UUID:
    """Return the session a challenge is about.

    Raises:
        CodeRefused: not signed by us for this purpose, or too old.
    """
    try:
        return UUID(signing.loads(text, salt=SALT, max_age=LASTS_S))
    except (signing.BadSignature, ValueError, AttributeError, TypeError) as error:
        raise CodeRefused from error
