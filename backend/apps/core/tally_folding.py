"""Adds old tallies of work together by day and by month; else the sums that monitoring asks for would read ever more.

What is summed stays the same to the row at every moment, so no counter ever seems to fall.
"""

from __future__ import annotations

from django.db import connection

FOLDS = (("day", 48), ("month", 400 * 24))  # into what, and of how many hours ago

# One period in one statement: whoever reads sees all of it before, or all after. The row at the beginning of the period
# is where the others go. Another worker that folds the same finds them gone.
OLDEST = """
    SELECT date_trunc(%(unit)s, min(starts_at), 'UTC') FROM core_worktally
    WHERE starts_at < date_trunc(%(unit)s, now() - make_interval(hours => %(hours)s), 'UTC')
      AND starts_at <> date_trunc(%(unit)s, starts_at, 'UTC')"""
FOLD = """
    WITH gone AS (DELETE FROM core_worktally WHERE starts_at > %(begin)s
                  AND starts_at < %(begin)s + ('1 ' || %(unit)s)::interval
                  RETURNING task, outcome, count, seconds, waited_s),
         kept AS (INSERT INTO core_worktally AS tally (task, outcome, starts_at, count, seconds, waited_s)
                  SELECT task, outcome, %(begin)s, sum(count), sum(seconds), sum(waited_s)
                  FROM gone GROUP BY 1, 2 ORDER BY 1, 2
                  ON CONFLICT (starts_at, task, outcome) DO UPDATE SET count = tally.count + excluded.count,
                      seconds = tally.seconds + excluded.seconds, waited_s = tally.waited_s + excluded.waited_s)
    SELECT count(*) FROM gone"""


def fold() -> int:
    """Fold what is older than two days into days, and those of more than a year ago into months; return how many rows.

    Safe to run twice, late, and to be broken off between two periods: what is folded already is in no other row.
    """
    return sum(_fold_all(unit, hours) for unit, hours in FOLDS)


def _fold_all(unit: str, hours: int) -> int:
    folded = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(OLDEST, {"unit": unit, "hours": hours})
            (begin,) = cursor.fetchone()
            if begin is None:
                return folded
            cursor.execute(FOLD, {"unit": unit, "begin": begin})
            folded += cursor.fetchone()[0]
