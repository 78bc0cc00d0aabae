"""Holds that whoever owns the database cannot rewrite the audit log unnoticed, in whichever way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from backend.apps.core import audit_anchors, audit_keys, audit_verifying, merkle
from backend.apps.core.audit_verifying import AGAIN, TEXT
from backend.apps.core.models import AuditLog, AuditSeal
from backend.apps.core.tests.audit_rows import run, sealed, unwatched, written

Rows = list[AuditLog]
INSERT = """INSERT INTO core_auditlog
    (id, "timestamp", action, resource_type, resource_id, outcome, user_agent, request_id, detail, xid, digest)
    SELECT '0195e000-0000-7000-8000-000000000001', "timestamp", 'view', 'patient', '', 'allowed', '', '', '{}', xid, ''
    FROM core_auditlog WHERE id = %s"""


def alter(rows: Rows) -> None:
    run("UPDATE core_auditlog SET detail = '{}' WHERE id = %s", rows[2].pk)


def alter_with_its_digest(rows: Rows) -> None:
    run("UPDATE core_auditlog SET user_id = gen_random_uuid() WHERE id = %s", rows[2].pk)
    run(f"UPDATE core_auditlog SET digest = {AGAIN} WHERE id = %s", rows[2].pk)  # noqa: S608  # ours


def alter_only_the_digest(rows: Rows) -> None:
    run("UPDATE core_auditlog SET digest = '' WHERE id = %s", rows[2].pk)


def move_in_time(rows: Rows) -> None:
    run('UPDATE core_auditlog SET "timestamp" = "timestamp" - interval \'1 hour\' WHERE id = %s', rows[2].pk)


def move_to_another_range(rows: Rows) -> None:
    run("UPDATE core_auditlog SET xid = (SELECT max(xid) FROM core_auditlog) WHERE id = %s", rows[2].pk)


def delete(rows: Rows) -> None:
    run("DELETE FROM core_auditlog WHERE id = %s", rows[2].pk)


def add_late(rows: Rows) -> None:
    run(INSERT, rows[2].pk)
    run(f"UPDATE core_auditlog SET digest = {AGAIN} WHERE digest = ''")  # noqa: S608  # ours


def add_before_all(rows: Rows) -> None:
    add_late(rows)
    run("UPDATE core_auditlog SET xid = -7 WHERE id = '0195e000-0000-7000-8000-000000000001'")
    run(f"UPDATE core_auditlog SET digest = {AGAIN} WHERE xid = -7")  # noqa: S608  # ours


def empty(rows: Rows) -> None:
    run("DELETE FROM core_auditlog")


def alter_what_is_not_sealed_yet(rows: Rows) -> None:
    run("UPDATE core_auditlog SET detail = '{}' WHERE id = %s", rows[-1].pk)


def alter_a_seal(rows: Rows) -> None:
    run("UPDATE core_auditseal SET rows = 3 WHERE n = 2")


def delete_a_seal(rows: Rows) -> None:
    run("DELETE FROM core_auditseal WHERE n = 2")


def cut_seals_off(rows: Rows) -> None:
    run("DELETE FROM core_auditseal WHERE n > 1")


def delete_all_there_is(rows: Rows) -> None:
    run("DELETE FROM core_auditseal")
    run("DELETE FROM core_auditlog")


def rewrite_the_chain_without_the_key(rows: Rows) -> None:
    """Delete a row and make all seals anew from there on, right in everything but the signatures."""
    delete(rows)
    before = AuditSeal.objects.get(n=1)
    for seal in AuditSeal.objects.filter(n__gt=1).order_by("n"):
        seal.leaves, _ = audit_verifying.found(seal.from_xid, seal.to_xid)
        seal.rows, seal.root = len(seal.leaves) // merkle.LEAF, merkle.root(seal.leaves)
        seal.prev = bytes(before.hash)
        seal.hash = merkle.link(seal)
        seal.save()
        before = seal


def rewrite_the_chain_with_the_key(rows: Rows) -> None:
    rewrite_the_chain_without_the_key(rows)
    for seal in AuditSeal.objects.filter(n__gt=1):
        seal.signature = audit_keys.sign(bytes(seal.hash))
        seal.save()


def switch_triggers_off(rows: Rows) -> None:
    run("ALTER TABLE core_auditlog DISABLE TRIGGER core_auditlog_no_rewrite")


def switch_a_trigger_of_truncate_off(rows: Rows) -> None:
    run("ALTER TABLE core_auditseal DISABLE TRIGGER core_auditseal_no_truncate")


def drop_a_trigger_of_truncate(rows: Rows) -> None:
    run("DROP TRIGGER core_auditlog_default_no_truncate ON core_auditlog_default")


def let_the_refusing_function_allow(rows: Rows) -> None:
    run(
        "CREATE OR REPLACE FUNCTION core_auditlog_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NEW; END $$"
    )


def count_transactions_as_one_likes(rows: Rows) -> None:
    run(
        "CREATE OR REPLACE FUNCTION core_auditlog_offset() RETURNS bigint LANGUAGE sql STABLE AS "
        "'SELECT -pg_current_xact_id()::text::bigint'"
    )


def let_a_trigger_run_another_function(rows: Rows) -> None:
    run("CREATE FUNCTION allow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")
    run(
        "CREATE OR REPLACE TRIGGER core_auditseal_no_rewrite BEFORE UPDATE OR DELETE ON core_auditseal "
        "FOR EACH ROW EXECUTE FUNCTION allow()"
    )


def swallow_rows_as_they_come(rows: Rows) -> None:
    run("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    run(
        "CREATE TRIGGER a_swallow BEFORE INSERT ON core_auditlog FOR EACH ROW WHEN (NEW.action = 'export') "
        "EXECUTE FUNCTION swallow()"
    )


def swallow_rows_by_a_rule(rows: Rows) -> None:
    run("CREATE RULE swallow AS ON INSERT TO core_auditlog WHERE NEW.action = 'export' DO INSTEAD NOTHING")


def put_ones_own_sha256_first(rows: Rows) -> None:
    """Alter a row, and work its digest out of what stood there before."""
    asked = f"SELECT {TEXT} FROM core_auditlog WHERE id = %s"  # noqa: S608  # ours
    ((before,),) = run(asked, rows[2].pk)
    alter(rows)
    ((after,),) = run(asked, rows[2].pk)
    run("CREATE SCHEMA liar")
    run("CREATE TABLE liar.texts AS SELECT %s::text AS before, %s::text AS after", before, after)
    run(
        "CREATE FUNCTION liar.sha256(data bytea) RETURNS bytea LANGUAGE sql STABLE AS $$ SELECT pg_catalog.sha256("
        "(SELECT convert_to(replace(convert_from(data, 'UTF8'), after, before), 'UTF8') FROM liar.texts)) $$"
    )
    run("SET LOCAL search_path = liar, pg_catalog, public")


def hide_rows_by_a_policy(rows: Rows) -> None:
    run("ALTER TABLE core_auditlog ENABLE ROW LEVEL SECURITY")
    run("CREATE POLICY hides ON core_auditlog USING (current_query() LIKE '%%sha256%%')")


def put_a_view_in_its_place(rows: Rows) -> None:
    run("ALTER TABLE core_auditarchive RENAME TO core_auditarchive_own")
    run("CREATE VIEW core_auditarchive AS SELECT * FROM core_auditarchive_own")


WAYS: list[tuple[Callable[[Rows], None], str]] = [
    (alter, r"Row {2} of seal 2 was altered\."),
    (alter_with_its_digest, r"Row {2} of seal 2 was altered\."),
    (alter_only_the_digest, r"The digest of row {2} was altered\."),
    (move_in_time, r"Row {2} of seal 2 was altered\."),
    (move_to_another_range, r"Row {2} of seal 2 (was altered|is gone)\."),
    (delete, r"Row {2} of seal 2 is gone\."),
    (add_late, r"Row 0195e000-0000-7000-8000-000000000001 was added late, into the range of seal 2\."),
    (add_before_all, r"Row 0195e000-0000-7000-8000-000000000001 was added late, into the range of seal 1."),
    (empty, r"Row {2} of seal 2 is gone\."),
    (alter_what_is_not_sealed_yet, r"Row {-1}, which is not sealed yet, was altered\."),
    (alter_a_seal, r"Seal 2 was altered\."),
    (delete_a_seal, r"The seals between 1 and 3 are gone\."),
    (cut_seals_off, r"Seal 3 was anchored outside and is gone: seals were cut off\."),
    (delete_all_there_is, r"Seal 1 was anchored outside and is gone: seals were cut off\."),
    (rewrite_the_chain_without_the_key, r"Seal 2 is not signed by a key of ours\."),
    (rewrite_the_chain_with_the_key, r"Seal 2 is not the one that was anchored outside: it was rewritten\."),
    (switch_triggers_off, r"The trigger core_auditlog_no_rewrite of core_auditlog_before is switched off\."),
    (switch_a_trigger_of_truncate_off, r"The trigger core_auditseal_no_truncate of core_auditseal is switched off\."),
    (drop_a_trigger_of_truncate, r"The trigger core_auditlog_default_no_truncate of core_auditlog_default is gone\."),
    (let_the_refusing_function_allow, r"The function core_auditlog_refuse was altered\."),
    (count_transactions_as_one_likes, r"The function core_auditlog_offset was altered\."),
    (let_a_trigger_run_another_function, r"The trigger core_auditseal_no_rewrite of core_auditseal was altered\."),
    (swallow_rows_as_they_come, r"The trigger a_swallow of core_auditlog is none of ours\."),
    (swallow_rows_by_a_rule, r"The rule swallow of core_auditlog is none of ours\."),
    (put_ones_own_sha256_first, r"The search path liar, pg_catalog, public puts functions of others before .*"),
    (hide_rows_by_a_policy, r"Rows of core_auditlog are hidden by a policy\."),
    (put_a_view_in_its_place, r"core_auditarchive is no table of ours\."),
]


@pytest.mark.django_db(transaction=True)
def test_every_way_to_rewrite_the_log_is_found_and_named(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_ANCHOR = f"file:{tmp_path}/anchors.log"
    rows = sealed(6) + written(1)
    audit_anchors.anchor()
    for way, told in WAYS:
        with transaction.atomic():
            with unwatched():
                way(rows)
            wanted = re.sub(r"\{(-?\d)\}", lambda at: str(rows[int(at[1])].pk), told)
            findings = audit_verifying.verify().findings
            assert any(re.fullmatch(wanted, one) for one in findings), (way.__name__, findings)
            transaction.set_rollback(True)
        assert audit_verifying.verify().findings == [], way.__name__
    (tmp_path / "anchors.log").write_text("")
    assert "ends at seal 0, and was written up to seal 3. Put the lines" in audit_verifying.verify().findings[0]
