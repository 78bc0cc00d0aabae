"""The role the parts work under: it does all their work, and changes neither tables nor what only grows."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from backend.apps.clinical_notes.models import ClinicalNote, SOAPNote
from backend.apps.clinical_notes.tests.factories import make_note, make_soap
from backend.apps.core import audit, audit_sealing, database_role, resealing, sealed
from backend.apps.core.tests.audit_rows import settled
from backend.apps.insurance.models import InboundFile
from backend.apps.insurance.tests.factories import partner
from backend.apps.insurance.tests.sent_claims import inbound_file
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message
from tests.support.stage import database_url

DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture
def url(transactional_db: None) -> Iterator[str]:
    """Where a role of this test's own would connect; it and what it was granted are gone afterwards."""
    name = f"role_{secrets.token_hex(4)}"
    owner, _, rest = database_url().rpartition("@")
    yield f"{owner.split('//')[0]}//{name}:{secrets.token_urlsafe(12)}@{rest}"
    with psycopg.connect(database_url(), autocommit=True) as found:
        if found.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
            found.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def as_role(url: str, statement: str, *values: Any) -> Any:
    with psycopg.connect(url, autocommit=True) as found:
        cursor = found.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else cursor.rowcount


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        try:
            yield
        finally:
            cursor.execute("RESET ROLE")


def grant(url: str) -> list[str]:
    connection.ensure_connection()
    return database_role.grant(connection.connection, database_role.Account(url))


def test_the_role_adds_to_the_audit_log_and_can_neither_change_nor_empty_it_nor_any_table(url: str) -> None:
    grown = grant(url)
    assert {"core_auditlog", "core_auditseal", "core_rowtally"} <= set(grown)
    assert grant(url) == grown, "again changes nothing"
    audit.record(None, "read", "patients", "")
    settled()
    audit_sealing.seal()
    with acting_as(database_role.Account(url).name):
        audit.record(None, "read", "patients", "")
        settled()
        assert audit_sealing.seal() == 1, "in the chain the owner began"
    parts = [name for name in grown if name.startswith("core_auditlog")]
    assert len(parts) > 3, "each month is its own table"
    for table in grown:
        for verb in ("DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            with pytest.raises(DENIED):
                as_role(url, verb.format(table))
    for statement in (
        "UPDATE core_auditlog SET action = 'x'",
        "UPDATE core_auditseal SET n = n",
        "ALTER TABLE core_auditlog DISABLE TRIGGER ALL",
        "ALTER TABLE patients_patient ADD COLUMN x int",
        "CREATE TABLE public.x (y int)",
        "CREATE ROLE x",
        "TRUNCATE patients_patient",
        "DELETE FROM django_migrations",
        "SET session_replication_role = replica",
        "SELECT * FROM pg_authid",
        "COPY core_clinic TO PROGRAM 'true'",
    ):
        with pytest.raises(DENIED):
            as_role(url, statement)


@pytest.mark.django_db
def test_what_runs_as_the_owner_takes_no_table_of_whoever_calls_it_for_ours() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        )
        found = dict(cursor.fetchall())
    assert "core_auditlog_ahead" in found
    assert [name for name, told in found.items() if "search_path=public, pg_temp" not in told] == []


def test_the_role_rewrites_nothing_that_stays_also_where_it_says_that_it_seals_anew(url: str) -> None:
    grant(url)
    note, file = make_note(), inbound_file(partner(), content=b"ISA*00*")
    part = make_soap(clinical_note=note)
    note.sign(note.doctor.user)
    message = make_inbound_message(b"MSH|^~\\&|ELM")
    forged = [
        (ClinicalNote, "content", note.pk, "forged"),
        (SOAPNote, "plan", part.pk, "forged"),
        (InboundFile, "content", file.pk, b"forged"),
        (InboundMessage, "raw", message.pk, b"0123456789a"),
    ]
    shadow = (
        "CREATE TEMP TABLE pg_class AS SELECT oid, current_user::regrole::oid AS relowner FROM pg_catalog.pg_class",
        "CREATE TEMP TABLE clinical_notes_clinicalnote (id uuid, is_signed boolean)",
    )
    for model, name, key, text in forged:
        sql_of_ours = f"UPDATE public.{model._meta.db_table} SET {name} = %s WHERE id = %s"  # noqa: S608  # ours
        for before in ((), shadow):
            with psycopg.connect(url, autocommit=True) as found:
                for statement in before:
                    found.execute(statement)
                found.execute(resealing.TRIGGERS_LET.replace("true", "false"))
                with pytest.raises(psycopg.errors.IntegrityError, match=r"stays?|rewritten"):
                    found.execute(sql_of_ours, [sealed.column(model, name).seal(key, text), key])
    with acting_as(database_role.Account(url).name), pytest.raises(CommandError, match="who owns the tables"):
        call_command("keys", "rotate")


def test_the_role_reads_and_writes_every_other_table(url: str) -> None:
    grown = grant(url)
    tables = set(connection.introspection.table_names()) - {*grown, "django_migrations"}
    asked = "SELECT has_table_privilege(%s, 'SELECT, INSERT, UPDATE, DELETE'), has_table_privilege(%s, 'UPDATE')"
    with psycopg.connect(url) as found:
        for table in sorted(tables):
            assert found.execute(asked, [table, table]).fetchone() == (True, True), table
        assert found.execute("SELECT core_auditlog_ahead(3)").fetchone() is not None, (
            "partitions are made by a function"
        )


def test_another_password_in_the_url_is_the_roles_password_from_then_on(url: str) -> None:
    grant(url)
    other = url.replace(database_role.Account(url).password, "another-password-of-it")
    with pytest.raises(psycopg.OperationalError, match="password"):
        as_role(other, "SELECT 1")
    grant(other)
    assert as_role(other, "SELECT 1") == [(1,)]


@pytest.mark.django_db
def test_the_owner_is_not_taken_for_the_role_and_a_role_without_password_is_refused() -> None:
    for url, told in ((database_url(), "name one user"), ("postgresql://h/d", "no user with a password")):
        with pytest.raises(ImproperlyConfigured, match=told):
            grant(url)


@pytest.mark.django_db
def test_the_command_wants_the_owner_and_makes_the_role(url: str, settings: Any, capsys: Any) -> None:
    with pytest.raises(CommandError, match="DATABASE_OWNER_URL"):
        call_command("db_role")
    settings.DATABASE_OWNER_URL, settings.APP_DATABASE_URL = database_url(), url
    call_command("db_role")
    assert "may read and write, and only add to" in capsys.readouterr().out
    assert as_role(url, "SELECT count(*) FROM core_clinic")
