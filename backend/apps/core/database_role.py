"""The role the parts work under, which owns no table; without it a worker taken over could empty the audit log."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg import sql

# What only grows has this trigger, by which the database refuses its owner too.
INSERT_ONLY = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%%\\_no\\_truncate'"
LOGIN = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD"
# Of whose schema they are may drop all tables in it: of "public" that is the owner of the database.
EXCESS = """
    SELECT rolsuper, rolcreaterole OR rolbypassrls, EXISTS (
        SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND pg_has_role(current_user, relowner, 'MEMBER')),
        pg_has_role(current_user, (SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'MEMBER'), EXISTS (
        SELECT 1 FROM pg_trigger WHERE tgname LIKE '%\\_no\\_truncate'
        AND has_table_privilege(tgrelid, 'UPDATE, DELETE, TRUNCATE'))
    FROM pg_roles WHERE rolname = current_user
"""
GRANTS = """
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    REVOKE CREATE ON SCHEMA public FROM {role};
    GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
    GRANT USAGE ON SCHEMA public TO {role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
    GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {role};
    REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role};
"""


class Account:
    """Name and password of the role, out of the URL the parts connect with."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        if not self.name or not self.password:
            raise ImproperlyConfigured("DATABASE_URL names no user with a password, so that no role can be made.")


def grant(connection: psycopg.Connection[Any], account: Account) -> list[str]:
    """Make the role or give it its password again, and grant what it needs and no more; return what it may only add to.

    Safe to run again, and run after each `migrate`, for new tables are nobody else's. The connection is the owner's.

    Raises:
        ImproperlyConfigured: the role of the parts is the owner itself.
    """
    if connection.info.user == account.name:
        raise ImproperlyConfigured("DATABASE_URL and DATABASE_OWNER_URL name one user. Name another in DATABASE_URL.")
    role, database = sql.Identifier(account.name), sql.Identifier(connection.info.dbname)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('core_database_role'))")
        verb = "ALTER" if _exists(connection, account.name) else "CREATE"
        secret = connection.pgconn.encrypt_password(account.password.encode(), account.name.encode(), b"scram-sha-256")
        made = sql.SQL(f"{verb} ROLE {{}} {LOGIN} {{}}").format(role, sql.Literal(secret.decode()))
        connection.execute(made)  # a digest of the password: the server's log has nothing to show
        for statement in filter(str.strip, GRANTS.split(";")):
            connection.execute(sql.SQL(statement).format(role=role, database=database))
        grown = insert_only(connection)
        for table in grown:
            connection.execute(sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}").format(sql.SQL(table), role))
    return grown


def excess(connection: psycopg.Connection[Any]) -> str:
    """Return what the role of a connection has that no part needs, as "it owns tables"; "" where there is nothing."""
    found = connection.execute(EXCESS).fetchone() or ()
    told = (
        "it is a superuser", "it makes roles or sees past their limits", "it owns tables",
        "it owns the schema or the database, so that it may drop tables", "it may change what only grows",
    )  # fmt: skip
    return next((words for words, is_so in zip(told, found, strict=False) if is_so), "")


def insert_only(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the tables whose rows are never changed nor removed, as PostgreSQL writes their names."""
    return sorted(name for (name,) in connection.execute(INSERT_ONLY).fetchall())


def _exists(connection: psycopg.Connection[Any], name: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None
