"""Systems that sign in by themselves, on a terminal; without it the first one would need a browser."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.interop.fhir.smart import clients
from backend.apps.interop.models import SmartClient


class Command(BaseCommand):
    help = "Look after the systems that read FHIR: smart_client add NAME, smart_client list, smart_client revoke ID."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="what", required=True)
        adding = kinds.add_parser("add", help="register a system and print its client_id")
        adding.add_argument("name", help="who this is, as the accounting of disclosures says")
        known = adding.add_mutually_exclusive_group(required=True)
        known.add_argument("--jwks", type=Path, metavar="FILE", help="its public keys, a JWK set")
        known.add_argument("--jwks-url", metavar="URL", default="", help="or where they are published")
        adding.add_argument("--scopes", default="system/*.rs", help='what it may read (default "system/*.rs")')
        adding.add_argument("--purpose", default="", help="why data go there")
        adding.add_argument("--contact", default="", help="whom to ask there")
        kinds.add_parser("list", help="list the systems")
        revoking = kinds.add_parser("revoke", help="end every token of a system now")
        revoking.add_argument("id", type=UUID, metavar="ID", help="its client_id")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        try:
            {"add": self.add, "list": self.list, "revoke": self.revoke}[what](options)
        except DomainError as refusal:
            raise CommandError(str(refusal)) from refusal
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from refusal

    @transaction.atomic
    def add(self, options: dict[str, Any]) -> None:
        given = {name: options[name] for name in ("name", "jwks_url", "scopes", "purpose", "contact")}
        row = clients.register(by=None, jwks=_jwks(options["jwks"]), **given)
        audit.record(None, "create", "smartclient", str(row.pk))
        self.stdout.write(str(row.pk))

    def list(self, options: dict[str, Any]) -> None:
        for row in SmartClient.objects.order_by("name"):
            state = "active" if row.is_active else "closed"
            self.stdout.write(f"{row.pk}  {state}  {row.name}  {row.scopes}")

    @transaction.atomic
    def revoke(self, options: dict[str, Any]) -> None:
        row = SmartClient.objects.filter(pk=options["id"]).first()
        if row is None:
            raise CommandError("There is no such system.")
        clients.revoke_tokens(row, by=None)
        audit.record(None, "revoke_tokens", "smartclient", str(row.pk))
        self.stdout.write("Its tokens are no longer good.")


def _jwks(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON.") from error
