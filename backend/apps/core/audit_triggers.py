"""Holds what guards the audit log to what the migrations made; else one emptied function would open it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

LOG, BESIDE = "core_auditlog", ("core_auditseal", "core_auditarchive")
INSERT, REWRITE, TRUNCATE = 7, 27, 34  # pg_trigger.tgtype: before, and for each row but where it is TRUNCATE
STAMP, REFUSE, OFFSET = "core_auditlog_stamp", "core_auditlog_refuse", "core_auditlog_offset"
DIGESTS = {  # SHA-256 of language, rights and body
    STAMP: "18c903fa26a01b252905002646274b16c2dd09a3b65f4e951341daff03b8d360",
    REFUSE: "dc1844ed83be48e65b15f81d3df457b9e4f85577f1c4abab45cbc6f6b91501f7",
}
COUNTS_FROM = re.compile(r"SELECT -?\d+::bigint")  # `manage audit adopt` writes another number
TABLES = """
WITH tables AS (
    SELECT oid, relname, relnamespace, relkind, relrowsecurity FROM pg_class WHERE oid = ANY(%s::regclass[])
       OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'core_auditlog'::regclass))
"""
THERE = f"""{TABLES}
SELECT t.relname, coalesce(g.tgname, ''), coalesce(g.tgtype, 0), g.tgenabled IN ('O', 'A'), p.proname,
       p.pronamespace = t.relnamespace AND g.tgqual IS NULL AND g.tgnargs = 0 AND g.tgattr = ''::int2vector
FROM tables t LEFT JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal LEFT JOIN pg_proc p ON p.oid = g.tgfoid
ORDER BY 1, 2"""  # noqa: S608  # our own names only
SHAPES = f"""{TABLES}
SELECT relname, relkind = (CASE relname WHEN '{LOG}' THEN 'p' ELSE 'r' END)::"char", relrowsecurity FROM tables
ORDER BY 1"""  # noqa: S608  # too
RULES = f"""{TABLES}
SELECT t.relname, r.rulename FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid ORDER BY 1, 2"""  # noqa: S608  # too
FUNCTIONS = """
SELECT p.proname, p.prosrc, l.lanname,
       encode(sha256(convert_to(concat_ws(E'\\n', l.lanname, p.prosecdef, p.prosrc), 'UTF8')), 'hex')
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.proname = ANY(%s)
  AND p.pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'core_auditlog'::regclass)"""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a trigger has to be: when it fires, as pg_trigger.tgtype has it, and what it runs."""

    kind: int
    runs: str


def of_path() -> Iterator[str]:
    """Yield a sentence where another schema comes before PostgreSQL's own: then not even SHA-256 is what it says."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.current_schemas(true)")
        path = [name for name in cursor.fetchone()[0] if not name.startswith("pg_temp_")]  # has no functions
    if path[0] != "pg_catalog":
        yield f"The search path {', '.join(path)} puts functions of others before those of PostgreSQL."


def faults() -> Iterator[str]:
    """Yield a sentence for all that guards the log, its seals and its archives and is not as we made it."""
    with connection.cursor() as cursor:
        cursor.execute(SHAPES, [[LOG, *BESIDE]])
        shapes = cursor.fetchall()
        cursor.execute(THERE, [[LOG, *BESIDE]])
        there = cursor.fetchall()
        cursor.execute(RULES, [[LOG, *BESIDE]])
        rules = cursor.fetchall()
        cursor.execute(FUNCTIONS, [[*DIGESTS, OFFSET]])
        functions = cursor.fetchall()
    yield from (f"{table} is no table of ours." for table, is_table, _ in shapes if not is_table)
    yield from (f"Rows of {table} are hidden by a policy." for table, _, hides in shapes if hides)
    yield from _of_triggers(there)
    yield from (f"The rule {rule} of {table} is none of ours." for table, rule in rules)
    yield from _of_functions(functions)


def _of_triggers(there: list[tuple[str, str, int, bool, str, bool]]) -> Iterator[str]:
    missing = {(table, name): trigger for table in {row[0] for row in there} for name, trigger in _wanted(table)}
    for table, name, kind, is_on, runs, is_plain in there:
        if not name:
            continue
        wanted = missing.pop((table, name), None)
        if wanted is None:
            yield f"The trigger {name} of {table} is none of ours."
        elif not is_on:
            yield f"The trigger {name} of {table} is switched off."
        elif wanted != Trigger(kind, runs) or not is_plain:
            yield f"The trigger {name} of {table} was altered."
    for table, name in sorted(missing):
        yield f"The trigger {name} of {table} is gone."


def _wanted(table: str) -> Iterator[tuple[str, Trigger]]:
    if table not in BESIDE:
        yield STAMP, Trigger(INSERT, STAMP)
    yield f"{table if table in BESIDE else LOG}_no_rewrite", Trigger(REWRITE, REFUSE)
    yield f"{table}_no_truncate", Trigger(TRUNCATE, REFUSE)


def _of_functions(functions: list[tuple[str, str, str, str]]) -> Iterator[str]:
    missing = {*DIGESTS, OFFSET}
    for name, body, language, digest in functions:
        missing.discard(name)
        counts = name == OFFSET and language == "sql" and COUNTS_FROM.fullmatch(body)
        if not counts and digest != DIGESTS.get(name):
            yield f"The function {name} was altered."
    yield from (f"The function {name} is gone." for name in sorted(missing))
