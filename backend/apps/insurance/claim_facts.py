"""Reads the facts of many claims in few statements; without it a file of ten thousand claims would take minutes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.db import connection

from backend.apps.core import closed_values
from backend.apps.core.sealed import CannotOpen, column
from backend.apps.insurance import fact_parts
from backend.apps.insurance.edits.forms import medicare_number
from backend.apps.insurance.facts import UNREADABLE, Adjustment, Claim, Line, LineAdjudication, OtherPayer, Parts
from backend.apps.insurance.models import InsuranceClaim, PatientInsurance

Closed = dict[str, CannotOpen]  # why the member's number of a coverage does not open, by its id
MEMBER_ID = column(PatientInsurance, "member_id")
UUID_TEXT = 36  # characters
PRIOR_MEMBER_AT = OtherPayer._fields.index("member_id")
SECTION = 10_000  # claims of one COPY: each plans its joins anew, and holds the text of their lines

FILING = """CASE WHEN plan.claim_filing_code <> '' THEN plan.claim_filing_code ELSE CASE plan.plan_type
    WHEN 'hmo' THEN 'HM' WHEN 'ppo' THEN '12' WHEN 'epo' THEN '14' WHEN 'pos' THEN '13' WHEN 'medicare' THEN 'MB'
    WHEN 'medicaid' THEN 'MC' WHEN 'tricare' THEN 'CH' ELSE 'CI' END END"""
RELATIONSHIP = """CASE cover.policy_holder_relationship
    WHEN 'self' THEN '18' WHEN 'spouse' THEN '01' WHEN 'child' THEN '19' ELSE 'G8' END"""
GROUP = "CASE WHEN cover.group_number <> '' THEN cover.group_number ELSE plan.group_number END"
LAST = """CASE
    WHEN cover.policy_holder_last_name <> '' OR cover.policy_holder_name = '' THEN cover.policy_holder_last_name
    WHEN cover.policy_holder_name LIKE '%%,%%' THEN btrim(split_part(cover.policy_holder_name, ',', 1))
    ELSE regexp_replace(cover.policy_holder_name, '^.*\\s', '') END"""
FIRST = """CASE
    WHEN cover.policy_holder_last_name <> '' OR cover.policy_holder_name = '' THEN cover.policy_holder_first_name
    WHEN cover.policy_holder_name LIKE '%%,%%' THEN btrim(split_part(cover.policy_holder_name, ',', 2))
    WHEN cover.policy_holder_name ~ '\\s' THEN regexp_replace(cover.policy_holder_name, '\\s+\\S*$', '') ELSE '' END"""
# Laboratory services, 80000 to 89999, are what CLIA certifies.
CLIA = """CASE WHEN claim.procedure_codes @? '$[*].code ? (@ starts with "8")'
    THEN COALESCE(NULLIF((SELECT place.clia_number FROM insurance_servicefacility place
                          WHERE place.id = claim.service_facility_id), ''), billing.clia_number) ELSE '' END"""
# Medicare's numbers are written with hyphens on the card and without them in a file: `_member` is told by a mark.
OF_CARD = "="
MEMBER = f"""CASE WHEN plan.claim_filing_code IN ('MA', 'MB')
        OR (plan.claim_filing_code = '' AND plan.plan_type = 'medicare')
    THEN '{OF_CARD}' || cover.member_id ELSE cover.member_id END"""
# JSON without its signs; translate() takes twice as long.
DIAGNOSES = """replace(replace(replace(btrim(claim.diagnosis_codes::text, '[]'), '"', ''), '.', ''), ' ', '')"""


def _day(column: str) -> str:
    return f"to_char({column}, 'YYYYMMDD')"


def _yes(column: str, no: str = "") -> str:
    return f"CASE WHEN {column} THEN 'Y' ELSE '{no}' END"


def _digits(column: str) -> str:
    return f"translate({column}, '- ', '')"


def _holder(expression: str) -> str:
    """The holder's, but where each dependent has a number of its own and is billed as the subscriber."""
    other = "plan.dependents_are_members AND cover.policy_holder_relationship <> 'self'"
    return f"CASE WHEN {other} THEN '' ELSE {expression} END"


CLAIM_COLUMNS: dict[str, str] = {
    "id": "claim.id",
    "rendering": "COALESCE(claim.rendering_doctor_id, visit.doctor_id)",
    "referring": "claim.referring_provider_id",
    "facility": "claim.service_facility_id",
    "group_number": GROUP,
    "member_id": MEMBER,
    "holder_last": _holder(LAST),
    "holder_first": _holder(FIRST),
    "holder_birth": _holder(_day("cover.policy_holder_dob")),
    "holder_sex": _holder("cover.policy_holder_sex"),
    "holder_line1": _holder("cover.policy_holder_address_line1"),
    "holder_line2": _holder("cover.policy_holder_address_line2"),
    "holder_city": _holder("cover.policy_holder_city"),
    "holder_state": _holder("cover.policy_holder_state"),
    "holder_postal_code": _holder(_digits("cover.policy_holder_postal_code")),
    "patient_last": "patient.last_name",
    "patient_first": "patient.first_name",
    "patient_birth": _day("patient.date_of_birth"),
    "patient_sex": """CASE WHEN cover.patient_sex <> '' THEN cover.patient_sex
        ELSE CASE patient.gender WHEN 'female' THEN 'F' WHEN 'male' THEN 'M' ELSE 'U' END END""",
    "patient_line1": "patient.address_line1",
    "patient_line2": "patient.address_line2",
    "patient_city": "patient.city",
    "patient_state": "patient.state",
    "patient_postal_code": _digits("patient.postal_code"),
    "control_number": "claim.control_number",
    "total": "claim.billed_amount",
    "accident_on": _day("claim.accident_on"),
    "onset_on": _day("claim.onset_on"),
    "initial_treatment_on": _day("claim.initial_treatment_on"),
    "last_menstrual_on": _day("claim.last_menstrual_on"),
    "admission_on": _day("claim.admission_on"),
    "discharge_on": _day("claim.discharge_on"),
    "patient_paid": "NULLIF(claim.patient_paid, 0)",
    "original_reference": "CASE WHEN claim.frequency <> '1' THEN original.insurance_reference_number END",
    "prior_authorization": "claim.prior_authorization",
    "referral_number": "claim.referral_number",
    "trace": "CASE WHEN route.wants_trace THEN claim.control_number END",
    "record_number": "patient.medical_record_number",
    "note": "claim.note",
    "diagnoses": DIAGNOSES,
    "patient": "patient.id",
    "coverage": "cover.id",
    "coverage_from": _day("cover.effective_date"),
    "coverage_to": _day("cover.termination_date"),
    "service_on": _day("claim.service_date"),
    "original": "claim.original_id",
    "secondary_to": "claim.secondary_to_id",
    "billing": "billing.id",
    "payer": "plan.provider_id",
    "plan": "plan.id",
    "sequence": "substr('PST', cover.priority, 1)",
    "filing_code": FILING,
    "plan_name": "plan.plan_name",
    "medicare_secondary": "cover.medicare_secondary_code",
    "relationship": f"CASE WHEN plan.dependents_are_members THEN '18' ELSE {RELATIONSHIP} END",
    "place_of_service": "claim.place_of_service",
    "frequency": "claim.frequency",
    "signature": _yes("claim.signature_on_file", "N"),
    "assignment": "CASE WHEN claim.accepts_assignment THEN 'A' ELSE 'C' END",
    "benefits": _yes("claim.assigns_benefits", "N"),
    "release": _yes("claim.releases_information", "I"),
    "accident": "claim.accident",
    "accident_state": "claim.accident_state",
    "delay_reason": "claim.delay_reason",
    "clia": CLIA,
    "coverage_is_deleted": _yes("cover.is_deleted"),
    "gender": "patient.gender",
    "is_secondary": _yes("cover.priority > 1 OR claim.secondary_to_id IS NOT NULL"),
}
LINE_COLUMNS: dict[str, str] = {
    "number": "line.number",
    "code": "line.code",
    "modifiers": "line.modifiers",
    "description": "line.description",
    "charge": "line.charge",
    "units": "line.units",
    "unit_basis": "line.unit_basis",
    "pointers": "line.pointers",
    "from_on": _day("line.service_from"),
    "to_on": _day("line.service_to"),
    "place_of_service": "line.place_of_service",
    "emergency": _yes("line.is_emergency"),
    "ndc": "line.ndc",
    "ndc_quantity": "line.ndc_quantity",
    "ndc_unit": "line.ndc_unit",
    "prior_authorization": "line.prior_authorization",
    "note": "line.note",
    "rendering": "line.rendering_doctor_id",
    "control_number": "CASE WHEN claim.control_number <> '' THEN claim.control_number || 'L' || line.number END",
}
MEMBER_AT, COVERAGE_AT = (list(CLAIM_COLUMNS).index(name) for name in ("member_id", "coverage"))
OWN_TO_A_CLAIM = list(CLAIM_COLUMNS).index("billing")  # columns; many claims have those behind in common
OF_A_LINE = ("charge", "control_number")
OF_A_SERVICE = [name for name in LINE_COLUMNS if name not in OF_A_LINE]
BEFORE_CHARGE = list(LINE_COLUMNS).index("charge")
# One text: to quote each key of an array costs more than to take it apart again.
GIVEN = "unnest(string_to_array(%s, ',')::uuid[]) WITH ORDINALITY AS given (id, place)"
CLAIMS = f"""COPY (
    SELECT given.place, {", ".join(CLAIM_COLUMNS.values())}
    FROM {GIVEN}
    JOIN insurance_insuranceclaim claim ON claim.id = given.id
    JOIN insurance_patientinsurance cover ON cover.id = claim.patient_insurance_id
    JOIN insurance_insuranceplan plan ON plan.id = cover.insurance_plan_id
    JOIN patients_patient patient ON patient.id = cover.patient_id
    LEFT JOIN appointments_appointment visit ON visit.id = claim.appointment_id
    LEFT JOIN insurance_insuranceclaim original ON original.id = claim.original_id
    LEFT JOIN insurance_billingentity billing ON billing.id = COALESCE(claim.billing_entity_id, (
        SELECT usual.id FROM insurance_billingentity usual WHERE usual.is_default AND NOT usual.is_deleted))
    LEFT JOIN (
        SELECT way.provider_id, partner.wants_trace FROM insurance_partnerpayer way
        JOIN insurance_tradingpartner partner ON partner.id = way.partner_id
        WHERE way.is_active AND NOT way.is_deleted) route ON route.provider_id = plan.provider_id
    ORDER BY given.place
) TO STDOUT WITH (NULL '')"""  # noqa: S608  # our own names only
LINES = f"""COPY (
    SELECT given.place, {", ".join(LINE_COLUMNS[name] for name in (*OF_A_LINE, *OF_A_SERVICE))}
    FROM {GIVEN}
    JOIN insurance_insuranceclaim claim ON claim.id = given.id
    JOIN insurance_claimline line ON line.claim_id = given.id
    ORDER BY given.place, line.number
) TO STDOUT WITH (NULL '')"""  # noqa: S608  # our own names only
PRIORS = f"""
    SELECT prior.claim_id::text, prior.id, substr('PST', cover.priority, 1), {RELATIONSHIP}, {GROUP}, plan.plan_name,
        {FILING}, cover.medicare_secondary_code,
        CASE WHEN ({LAST}) = '' THEN patient.last_name ELSE {LAST} END,
        CASE WHEN ({LAST}) = '' THEN patient.first_name ELSE {FIRST} END,
        cover.policy_holder_address_line1, cover.policy_holder_address_line2, cover.policy_holder_city,
        cover.policy_holder_state, {_digits("cover.policy_holder_postal_code")}, cover.id || ({MEMBER}),
        provider.company_name, COALESCE(way.payer_id, NULLIF(provider.electronic_claims_id, ''), provider.payer_id),
        prior.paid::text, COALESCE(prior.remaining::text, ''),
        {_yes("claim.assigns_benefits", "N")}, {_yes("claim.releases_information", "I")},
        {_day("prior.adjudicated_on")}, prior.reference, prior.adjustments
    FROM insurance_prioradjudication prior
    JOIN insurance_insuranceclaim claim ON claim.id = prior.claim_id
    JOIN insurance_patientinsurance cover ON cover.id = prior.coverage_id
    JOIN insurance_insuranceplan plan ON plan.id = cover.insurance_plan_id
    JOIN insurance_insuranceprovider provider ON provider.id = plan.provider_id
    JOIN patients_patient patient ON patient.id = cover.patient_id
    LEFT JOIN insurance_partnerpayer way ON way.provider_id = provider.id AND way.is_active AND NOT way.is_deleted
    WHERE prior.claim_id = ANY(%s::uuid[]) AND NOT prior.is_deleted
    ORDER BY cover.priority, prior.id"""  # noqa: S608  # our own names only
PRIOR_LINES = """
    SELECT prior_id, number::text, paid::text, code, modifiers, units::text, COALESCE(remaining::text, ''), adjustments
    FROM insurance_claimlineadjudication WHERE prior_id = ANY(%s) ORDER BY prior_id, number"""


def of(claim: InsuranceClaim) -> tuple[Claim, Parts]:
    """Return what one claim says and what it shares with others."""
    (found,) = of_many([claim.pk])
    return found, fact_parts.of([found])


def of_many(keys: Iterable[Any]) -> list[Claim]:
    """Return what claims say, in the order of their keys; those that are not there are left out."""
    every, found, closed = [str(key) for key in keys], list[Claim](), Closed()
    with connection.cursor() as cursor:
        for start in range(0, len(every), SECTION):
            some = every[start : start + SECTION]
            claims = [claim for chunk in decode(read(cursor.cursor, some, SECTION), closed) for claim in chunk]
            found += with_priors(cursor.cursor, claims, closed)
    tell(closed)
    return found


def tell(closed: Closed) -> None:
    """Open the alert of numbers that do not open; the connection must be free."""
    for one in closed.values():
        closed_values.tell(one)


def read(cursor: Any, keys: Sequence[str], size: int) -> Iterator[str]:
    """Yield the text of the lines of all, then that of the claims, `size` at a time and while others are on their way.

    cursor: of psycopg itself, so that another thread may wait for it. It is free when nothing more is to come.
    """
    given = [",".join(keys)]
    with cursor.copy(LINES, given) as rows:
        yield b"".join(rows).decode()
    with cursor.copy(CLAIMS, given) as rows:
        claims = iter(rows)
        while text := b"".join(islice(claims, size)).decode():
            yield text


def decode(texts: Iterator[str], closed: Closed) -> Iterator[list[Claim]]:
    """Yield the claims of what `read` yields, chunk by chunk, without decisions of earlier payers.

    A number that does not open is UNREADABLE, which an edit finds, and noted in `closed`: it costs no other claim.
    """
    lines = _lines(next(texts, ""))
    shared, new = _Shared(), tuple.__new__
    for text in texts:
        yield [
            new(Claim, (*_opened(own, closed), *shared[common], tuple(lines.pop(place, ())), ()))
            for place, *own, common in _rows(text, 1 + OWN_TO_A_CLAIM)
        ]


def _opened(own: list[str], closed: Closed) -> list[str]:
    own[MEMBER_AT] = _member(own[COVERAGE_AT], own[MEMBER_AT], closed)
    return own


def _member(coverage: str, told: str, closed: Closed) -> str:
    """Return a member's number as claims send it, of what `MEMBER` gives. coverage: whose it is."""
    try:
        if told.startswith(OF_CARD):
            return medicare_number(MEMBER_ID.open(coverage, told.removeprefix(OF_CARD)))
        return str(MEMBER_ID.open(coverage, told))
    except CannotOpen as error:
        closed[coverage] = error
        return UNREADABLE


def _lines(text: str) -> dict[str, list[Line]]:
    """Return lines by the place of their claim; what lines of one service on one day have in common is theirs once."""
    lines: defaultdict[str, list[Line]] = defaultdict(list)
    shared, new = _Shared(), tuple.__new__
    for place, charge, control_number, service in _rows(text, 1 + len(OF_A_LINE)):
        values = shared[service]
        lines[place].append(new(Line, (*values[:BEFORE_CHARGE], charge, *values[BEFORE_CHARGE:], control_number, ())))
    return lines


class _Shared(dict[str, tuple[str, ...]]):
    """The values of a text of several, the same objects for the same text: most of the time goes into making them."""

    def __missing__(self, text: str) -> tuple[str, ...]:
        self[text] = found = tuple(_plain(value) for value in text.split("\t"))
        return found


def with_priors(cursor: Any, claims: list[Claim], closed: Closed) -> list[Claim]:
    """Return the claims with what earlier payers decided; asks nothing where no claim goes to a second payer."""
    keys = [claim.id for claim in claims if claim.is_secondary]
    if not keys:
        return claims
    cursor.execute(PRIORS, [keys])
    rows = cursor.fetchall()
    cursor.execute(PRIOR_LINES, [[row[1] for row in rows]])
    decided = _decided({row[1]: (row[17], row[22]) for row in rows}, cursor.fetchall())
    others: defaultdict[str, list[OtherPayer]] = defaultdict(list)
    lines: defaultdict[tuple[str, str], list[LineAdjudication]] = defaultdict(list)
    for claim, prior, *values in rows:
        on_lines = decided.get(prior, {})
        values[20] = "" if on_lines else values[20]  # DTP*573 stands at the lines, or here
        values[-1] = _adjustments(values[-1])
        values[PRIOR_MEMBER_AT] = _member(
            values[PRIOR_MEMBER_AT][:UUID_TEXT], values[PRIOR_MEMBER_AT][UUID_TEXT:], closed
        )
        others[claim].append(OtherPayer._make(values))
        for number, decision in on_lines.items():
            lines[claim, number].append(decision)
    return [_joined(claim, others, lines) if claim.id in others else claim for claim in claims]


def _joined(claim: Claim, others: Any, lines: Any) -> Claim:
    decided = tuple(line._replace(adjudications=tuple(lines[claim.id, line.number])) for line in claim.lines)
    return claim._replace(other_payers=tuple(others[claim.id]), lines=decided)


def _decided(priors: dict[Any, tuple[str, str]], rows: list[Any]) -> dict[Any, dict[str, LineAdjudication]]:
    """Return by prior adjudication, then by line, what it decided."""
    found: defaultdict[Any, dict[str, LineAdjudication]] = defaultdict(dict)
    for prior, number, paid, code, modifiers, units, remaining, adjustments in rows:
        payer, day = priors[prior]
        found[prior][number] = LineAdjudication(
            payer, paid, code, modifiers, units, day, remaining, _adjustments(adjustments)
        )
    return found


def _adjustments(given: str | list[list[Any]]) -> tuple[Adjustment, ...]:
    """Return [[group, reason, amount, quantity or null], ...] as text; Django leaves JSON to whoever reads it."""
    return tuple(_four(one) for one in (json.loads(given) if isinstance(given, str) else given))


def _four(one: list[Any]) -> Adjustment:
    group, reason, amount, *quantity = one
    return str(group), str(reason), str(amount), str(quantity[0]) if quantity and quantity[0] is not None else ""


ESCAPES = {"\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v", "\\\\": "\\"}


def _rows(text: str, own: int) -> Iterable[list[str]]:
    """Return the first `own` values of each row, and those behind together as COPY wrote them.

    COPY escapes what separates values and rows, and the backslash itself.
    """
    rows = (row.split("\t", own) for row in text.split("\n")[:-1])
    if "\\" not in text:
        return rows
    return ([*map(_plain, row[:own]), row[own]] for row in rows)


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    parts, place = [], 0
    while (found := value.find("\\", place)) >= 0:
        parts += [value[place:found], ESCAPES.get(value[found : found + 2], value[found + 1 : found + 2])]
        place = found + 2
    return "".join([*parts, value[place:]])
