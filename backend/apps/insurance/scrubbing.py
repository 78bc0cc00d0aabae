"""Holds claims of the database against the edits; without it a clearinghouse would say no days later."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db import connection

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import chains, claim_facts, code_sets, edits, fact_parts
from backend.apps.insurance.edits import Context, Finding, Severity
from backend.apps.insurance.facts import Claim, Parts
from backend.apps.insurance.models import InsuranceClaim

OF_FILES = frozenset(  # a form has no such rule
    {
        "billing-po-box", "billing-zip", "facility-zip", "payer-identifier", "member-id-not-writable",
        "text-not-writable", "line-text-not-writable", "earlier-text-not-writable",
    }
)  # fmt: skip
TOLD = 3  # messages in the sentence of a refusal; all stand beside it

# Another claim of the patient to the same payer in the same place, on its way or judged, with the same service by the
# same doctor on the same day, and whether a modifier of both says "once more". Not counted are a claim that the payer
# has taken back, for a void or for a correction (which counts itself); and one that was denied unpaid and cannot
# be corrected by a file, because none goes to its payer, or with no corrections, or nobody knows the payer's number of
# it: a new claim puts that right, unless a correction is being written. Nor does such a claim count, once it can be
# corrected, against the correction of a claim that was not denied: its services were billed anew before.
BILLED_BEFORE = """
    SELECT DISTINCT claim.id::text, other.id::text,
        string_to_array(line.modifiers, ',') && '{76,77,91,59,XE,XP,XS,XU}'::text[]
    FROM insurance_insuranceclaim claim
    JOIN insurance_claimline line ON line.claim_id = claim.id
    JOIN insurance_patientinsurance cover ON cover.id = claim.patient_insurance_id
    JOIN insurance_insuranceplan plan ON plan.id = cover.insurance_plan_id
    JOIN insurance_patientinsurance other_cover
        ON other_cover.patient_id = cover.patient_id AND other_cover.priority = cover.priority
    JOIN insurance_insuranceplan other_plan
        ON other_plan.id = other_cover.insurance_plan_id AND other_plan.provider_id = plan.provider_id
    JOIN insurance_insuranceclaim other
        ON other.patient_insurance_id = other_cover.id AND other.id <> claim.id
    JOIN insurance_claimline same
        ON same.claim_id = other.id AND same.code = line.code AND same.service_from = line.service_from
        AND string_to_array(same.modifiers, ',') @> string_to_array(line.modifiers, ',')
        AND string_to_array(same.modifiers, ',') <@ string_to_array(line.modifiers, ',')
    LEFT JOIN appointments_appointment visit ON visit.id = claim.appointment_id
    LEFT JOIN appointments_appointment other_visit ON other_visit.id = other.appointment_id
    WHERE claim.id = ANY(%s::uuid[]) AND claim.frequency <> '8' AND other.frequency <> '8' AND NOT other.is_deleted
        AND claim.secondary_to_id IS DISTINCT FROM other.id AND other.secondary_to_id IS DISTINCT FROM claim.id
        AND COALESCE(line.rendering_doctor_id, claim.rendering_doctor_id, visit.doctor_id)
            IS NOT DISTINCT FROM COALESCE(same.rendering_doctor_id, other.rendering_doctor_id, other_visit.doctor_id)
        AND (other.status NOT IN ('draft', 'rejected')
            OR EXISTS (SELECT FROM insurance_submission sent
                       WHERE sent.claim_id = other.id AND sent.status IN ('queued', 'batched')))
        AND NOT EXISTS (SELECT FROM insurance_insuranceclaim follower
                        WHERE follower.original_id = other.id AND NOT follower.is_deleted
                            AND (follower.status = 'paid' AND follower.frequency = '8'
                                OR follower.status NOT IN ('draft', 'rejected', 'denied') AND other.status = 'accepted'
                                    AND EXISTS (SELECT FROM insurance_posting back
                                                WHERE back.claim_id = other.id AND back.is_reversal)))
        AND NOT (other.status = 'denied' AND COALESCE(other.paid_amount, 0) = 0
            AND NOT EXISTS (SELECT FROM insurance_insuranceclaim correction
                            WHERE correction.original_id = other.id AND NOT correction.is_deleted
                                AND correction.frequency = '7' AND correction.status = 'draft')
            AND (other.insurance_reference_number = ''
                OR NOT EXISTS (SELECT FROM insurance_partnerpayer way
                               WHERE way.provider_id = plan.provider_id AND way.is_active AND NOT way.is_deleted
                                   AND way.takes_corrections)
                OR claim.frequency = '7'
                    AND EXISTS (SELECT FROM insurance_insuranceclaim corrected
                                WHERE corrected.id = claim.original_id AND corrected.status <> 'denied')))"""


class HasErrors(DomainError):
    """Edits keep the claim here; `findings` are all that they found."""

    code = "claim_has_errors"

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        messages = list(dict.fromkeys(one.message for one in findings if one.severity == Severity.ERROR))
        more = f" And {len(messages) - TOLD} more." if len(messages) > TOLD else ""
        super().__init__(" ".join(messages[:TOLD]) + more)

    def details(self) -> dict[str, Any]:
        return {"findings": [told(one) for one in self.findings]}


def told(finding: Finding) -> dict[str, str]:
    return {**finding._asdict(), "severity": str(finding.severity)}


def scrub(claim: InsuranceClaim) -> list[Finding]:
    """Return what edits find in a claim as it is stored: errors keep it here, warnings do not."""
    return scrub_each([claim.pk]).get(str(claim.pk), [])


def scrub_each(keys: Collection[Any]) -> dict[str, list[Finding]]:
    """Return the findings by claim id, of claims that have any; the number of statements does not grow with them."""
    claims = claim_facts.of_many(keys)
    held_against = context(keys, fact_parts.of(claims))
    found = edits.scrub(claims, held_against)
    return _for_paper(found, claims, held_against.parts) if found else found


def _for_paper(found: dict[str, list[Finding]], claims: Collection[Claim], parts: Parts) -> dict[str, list[Finding]]:
    """Let what only a file needs be a warning where no partner reaches the payer."""
    reached = {payer.id for payer in parts.payers.values() if payer.route}
    on_paper = {claim.id for claim in claims if claim.payer not in reached}
    return {key: [_milder(one) for one in ones] if key in on_paper else ones for key, ones in found.items()}


def _milder(finding: Finding) -> Finding:
    return finding._replace(severity=Severity.WARNING) if finding.rule in OF_FILES else finding


def context(keys: Collection[Any], parts: Parts | None = None) -> Context:
    """Return what claims are held against. keys: of the claims, to find what was billed before."""
    before, once_more = _billed(keys)
    return Context(parts or fact_parts.parts(), code_sets.book(), f"{Clinic.today():%Y%m%d}", before, once_more)


def billed_before(keys: Iterable[Any]) -> frozenset[str]:
    """Return the ids of those claims of which a service was billed before, or beside what a correction replaces."""
    return _billed(keys)[0]


def _billed(keys: Iterable[Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids of claims with a service billed before, and of those where it is said to be once more.

    What a correction follows counts for it, and not against it.
    """
    asked = [str(key) for key in keys]
    corrections = chains.of(asked)
    counts_for = {key: chains.in_place_of(key, corrections) for key in asked}
    with connection.cursor() as cursor:
        cursor.execute(BILLED_BEFORE, [sorted({one for ones in counts_for.values() for one in ones})])
        pairs = cursor.fetchall()
    kin = chains.of({one for mine, other, _ in pairs for one in (mine, other)}) if pairs else {}
    apart = [(mine, is_meant) for mine, other, is_meant in pairs if chains.first(mine, kin) != chains.first(other, kin)]
    before, once_more = ({mine for mine, is_meant in apart if is_meant == each} for each in (False, True))
    return (
        frozenset(key for key, ones in counts_for.items() if not before.isdisjoint(ones)),
        frozenset(key for key, ones in counts_for.items() if not once_more.isdisjoint(ones)),
    )
