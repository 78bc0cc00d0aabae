"""People who sign in, their sessions, and what they prove themselves by."""

from backend.apps.users.models.guards import LoginGuard
from backend.apps.users.models.notices import LoginNotice, Notice
from backend.apps.users.models.people import User, UserManager
from backend.apps.users.models.second_step import Authenticator, RecoveryCode
from backend.apps.users.models.sessions import Ended, Kind, LoginSession, LoginSessionQuerySet, Stage

__all__ = [
    "Authenticator", "Ended", "Kind", "LoginGuard", "LoginNotice", "LoginSession", "LoginSessionQuerySet", "Notice",
    "RecoveryCode", "Stage", "User", "UserManager",
]  # fmt: skip
