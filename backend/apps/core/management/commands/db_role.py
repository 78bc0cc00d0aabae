"""`manage db_role`: makes the role the parts work under; `migrate` runs it too where there is a DATABASE_OWNER_URL."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from backend.apps.core import database_role


class Command(BaseCommand):
    help = "Make the role of DATABASE_URL, which owns no table, and grant it what the parts need."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DATABASE_OWNER_URL:
            raise CommandError("Set DATABASE_OWNER_URL or DATABASE_OWNER_URL_FILE: who owns the tables makes the role.")
        account = database_role.Account(settings.APP_DATABASE_URL)
        connection.ensure_connection()
        grown = database_role.grant(connection.connection, account)
        self.stdout.write(f"{account.name} may read and write, and only add to {len(grown)} tables")
