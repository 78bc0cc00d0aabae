"""Takes off a second step whose device is lost, and says who of the staff has none."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Exists, OuterRef

from backend.apps.core import audit
from backend.apps.core.roles import STAFF
from backend.apps.users import services
from backend.apps.users.models import Authenticator, User


class Command(BaseCommand):
    help = "reset EMAIL: take off the second step of a login; missing: list the staff without one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["reset", "missing"])
        parser.add_argument("email", nargs="?", default="")

    def handle(self, *args: Any, what: str, email: str, **options: Any) -> None:
        if what == "missing":
            self.missing()
        else:
            self.reset(email)

    def reset(self, email: str) -> None:
        user = login_of(email)
        with transaction.atomic():
            services.reset_second_step(user, by=None)
            audit.record(None, "mfa.reset", "user", str(user.pk))
        self.stdout.write("The second step is off, every sign-in has ended, and the owner is told by mail.")

    def missing(self) -> None:
        devices = Authenticator.objects.filter(user=OuterRef("pk"), confirmed_at__isnull=False)
        for user in User.objects.filter(~Exists(devices), is_active=True, role__in=STAFF).order_by("email"):
            self.stdout.write(f"{user.email}  {user.role}")


def login_of(email: str) -> User:
    """Return the login of this address; refuse in a sentence that does not repeat it."""
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise CommandError("There is no login of this e-mail address.")
    return user
