"""Opens a login that was guessed too often, for an owner who cannot wait."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from backend.apps.core import audit
from backend.apps.users import services
from backend.apps.users.management.commands.mfa import login_of


class Command(BaseCommand):
    help = "Open a login that is locked; its owner may try again at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        user = login_of(email)
        with transaction.atomic():
            services.unlock(user, by=None)
            audit.record(None, "unlock", "user", str(user.pk))
        self.stdout.write("The login is open.")
