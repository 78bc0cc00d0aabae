"""Finds the claim to the next payer where the first one passed it on; else its payment would look like a second one.

The payers among themselves go on using the number of the first claim (CLP01); CLP02 says as which payer they decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.apps.insurance import ledger, posting, secondaries
from backend.apps.insurance.models import RemittanceClaim
from backend.apps.insurance.posting import RANKS, Case
from backend.apps.insurance.standing import Source

MOST = 2  # payers after the first one that CLP02 can tell


def meant(source: Source, cases: Sequence[Case]) -> list[Case]:
    """Return the cases with the claims they are about, which stay locked; belongs into the 835's transaction."""
    found = posting.of_originals(cases)
    posting.lock(source, found)
    return _of_next_payers(found)


def _of_next_payers(cases: Sequence[Case]) -> list[Case]:
    """Return the cases, a next payer's decision with the claim to that payer, made where there is none."""
    told = {case.row_id: case for case in cases if case.claim_id and _may_be_next(case)}
    for _ in range(MOST) if told else ():
        turns = posting.turns({case.claim_id for case in told.values() if case.claim_id})
        late = {
            key: case for key, case in told.items() if case.claim_id and _is_beyond(case, turns[case.claim_id].first)
        }
        decided = {case.claim_id for case in late.values() if case.claim_id and not _is_taken_back(case)}
        after = secondaries.passed_on({case.claim_id for case in late.values() if case.claim_id}, makes_for=decided)
        moved = {
            key: case._replace(claim_id=after[case.claim_id]) for key, case in late.items() if case.claim_id in after
        }
        told = {**told, **_decided_there(moved)}
        if not moved:
            break
    return [told.get(case.row_id, case) for case in cases]


def _is_taken_back(case: Case) -> bool:
    return case.told.status == ledger.REVERSAL


def _may_be_next(case: Case) -> bool:
    return RANKS.get(case.told.status, 1) > 1 or _is_taken_back(case)


def _is_beyond(case: Case, rank: int) -> bool:
    return _is_taken_back(case) or rank < RANKS[case.told.status]


def _decided_there(moved: Mapping[str, Case]) -> dict[str, Case]:
    """Leave out what is taken back but was not decided by the next payer: it is the first one's."""
    back = {case.claim_id for case in moved.values() if _is_taken_back(case)}
    rows = RemittanceClaim.objects.filter(claim__in=back, state=RemittanceClaim.State.POSTED) if back else ()
    decided = {(row.claim_id, row.charge, row.paid) for row in rows}
    return {
        key: case
        for key, case in moved.items()
        if not _is_taken_back(case) or (case.claim_id, -case.told.charge, -case.told.paid) in decided
    }
