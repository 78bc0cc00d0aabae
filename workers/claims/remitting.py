"""Weighs an 835 and hands it to the ledger; without it one that does not balance would be posted."""

from __future__ import annotations

from backend.apps.insurance import remitting, secondaries
from backend.apps.insurance.file_answers import Outcome
from backend.apps.insurance.remitting import Told
from backend.apps.insurance.standing import Source
from integrations.x12 import remittance_835
from integrations.x12.answer_records import Transaction
from integrations.x12.balance import Sheet, watched


def take(source: Source, transaction: Transaction) -> Outcome:
    """Post one 835, then make the claims to next payers that follow from it. Safe to repeat, both."""
    read = remittance_835.read(transaction)
    sheet = Sheet()
    claims = list(watched(read.claims, sheet))
    imbalances = sheet.close(read.payment, read.provider_adjustments)
    outcome = remitting.take(source, Told(read.payment, claims, read.provider_adjustments, imbalances))
    if not (outcome.is_refused or outcome.is_duplicate):
        secondaries.follow(remitting.claims_of(source))
    return outcome
