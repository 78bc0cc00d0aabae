"""Holds the depths of work: each number is read from an index by state, and none is counted without an end."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.core import depths
from backend.apps.core.work import work_models
from backend.apps.laboratory.tests.factories import make_inbound_message

pytestmark = pytest.mark.django_db
BY_STATE = re.compile(r"_(waiting|lane|running|stuck|work_state)$")


def test_every_number_is_read_from_an_index_by_state_and_so_without_the_rows_that_are_done() -> None:
    parts = [depths._asked(place, model) for place, model in enumerate(work_models())]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {' UNION ALL '.join(parts)}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    scans = re.findall(r"(?:Index Scan|Index Only Scan) using (\w+)|Bitmap Index Scan on (\w+)", plan)
    assert "Seq Scan" not in plan
    assert len(scans) >= len(work_models()) * (1 + len(depths.STATES))  # the oldest, and one for each count
    assert {name for name in map("".join, scans) if not BY_STATE.search(name)} == set()


def test_a_count_ends_where_it_says_more_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depths, "MOST", 2)
    for minutes in (1, 2, 3):
        make_inbound_message(due_at=timezone.now() - timedelta(minutes=minutes))
    (found,) = [depth for depth in depths.depths() if depth.task == "lab_results.file"]
    assert found.waiting == 2
    assert found.oldest_s(timezone.now()) == pytest.approx(180, abs=30)


def test_each_kind_of_work_has_its_three_small_indexes() -> None:
    for model in work_models():
        endings = {index.name.rpartition("_")[2] for index in model._meta.indexes if index.condition}
        assert {"running", "stuck", "lane" if model.lanes else "waiting"} <= endings, model
