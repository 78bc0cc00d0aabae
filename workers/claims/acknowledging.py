"""Hands answers from the reader to billing; without it the one would have to know the other."""

from __future__ import annotations

from backend.apps.insurance import claim_answers, eligibility_answers, file_answers
from backend.apps.insurance.file_answers import Outcome
from backend.apps.insurance.standing import Source
from integrations.x12 import ack_999, eligibility_271, status_277, ta1
from integrations.x12.answer_records import Transaction


def take_ta1(source: Source, transaction: Transaction) -> Outcome:
    return file_answers.take_ta1(source, ta1.read(transaction))


def take_999(source: Source, transaction: Transaction) -> Outcome:
    return file_answers.take_999(source, ack_999.read(transaction))


def take_277(source: Source, transaction: Transaction) -> Outcome:
    """Take a 277CA, or the answer to a question of ours: both are told apart by what they say they are."""
    report = status_277.read(transaction)
    take = claim_answers.take_277ca if report.kind == "277CA" else claim_answers.take_277
    return take(source, report.statuses)


def take_271(source: Source, transaction: Transaction) -> Outcome:
    """Take the answers about all persons; one that names no question of ours costs only itself."""
    found = eligibility_answers.take_each(eligibility_271.read(transaction), file=source.file)
    unknown = found.count(eligibility_answers.UNKNOWN)
    return Outcome((f"{unknown} answers name no question of ours.",) if unknown else (), is_partly=bool(unknown))
