"""Edits of the billed lines: code, modifiers, units, drugs and the diagnoses they point to."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.ages import conflicts_with_age, conflicts_with_sex
from backend.apps.insurance.edits.rules import Batch, Claim, Line, On, Severity, edit, repeatable
from backend.apps.insurance.models.code_sets import CodeSetKind

ERROR, WARNING = Severity.ERROR, Severity.WARNING
MOST_LINES = 50
MOST_MODIFIERS = 4
MOST_POINTERS = 4
MOST_DECIMALS = 3
MOST_UNITS_TEXT = 15  # SV104
MINUTES = "MJ"
ANESTHESIA = ("00100", "01999")
LABORATORY = ("80000", "89999")
NO_DRUG = frozenset({"", "00000000000"})
MEANT = "KX"  # the service is right though the sex on record says otherwise
PRIOR = frozenset({"medicare", "medicaid"})


@edit("line-missing", ERROR, On.CLAIM, "lines", "Enter at least one service.")
def line_missing(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in batch.claims if not claim.lines] if () in batch.of_claims["lines"] else ()


@edit("line-too-many", ERROR, On.CLAIM, "lines", "A claim carries at most fifty services; split it.")
def line_too_many(batch: Batch) -> Iterable[Claim]:
    return [
        claim for claim, lines in zip(batch.claims, batch.of_claims["lines"], strict=True) if len(lines) > MOST_LINES
    ]


@edit("procedure-form", ERROR, On.LINE, "code", "Write the service as five characters of CPT or HCPCS.")
def procedure_form(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("code", lambda code: not forms.is_procedure(code))


@edit(
    "procedure-not-valid",
    ERROR,
    On.LINE,
    "code",
    "This code was not valid on the day of service; code the service anew.",
    of_voids=False,
)
def procedure_not_valid(batch: Batch) -> Iterable[Line]:
    if not (batch.codes.has(CodeSetKind.CPT) or batch.codes.has(CodeSetKind.HCPCS)):
        return ()
    asked = {(code, day) for code, _, day in batch.services}
    wrong = {(code, day) for code, day in asked if not batch.codes.is_valid(list_of(code), code, day)}
    return [line for line in batch.lines if (line.code, line.from_on) in wrong] if wrong else ()


def list_of(code: str) -> CodeSetKind:
    """Return which list a code stands in: level II begins with a letter."""
    return CodeSetKind.HCPCS if code[:1].isalpha() else CodeSetKind.CPT


@edit(
    "procedure-sex", ERROR, On.LINE, "code", "This service does not fit the patient's sex; check both.", of_voids=False
)
def procedure_sex(batch: Batch) -> Iterable[Line]:
    told = _told(batch, "sex")
    pairs = batch.pairs if told else ()
    return [
        line
        for claim, line in pairs
        if line.code in told
        and MEANT not in line.modifiers.split(",")
        and conflicts_with_sex(batch, claim, list_of(line.code), line.code, line.from_on)
    ]


@edit(
    "procedure-age",
    ERROR,
    On.LINE,
    "code",
    "This service does not fit the patient's age; check it and the birth date.",
    of_voids=False,
)
def procedure_age(batch: Batch) -> Iterable[Line]:
    told = _told(batch, "age_from", "age_to")
    pairs = batch.pairs if told else ()
    return [
        line
        for claim, line in pairs
        if line.code in told and conflicts_with_age(batch, claim, list_of(line.code), line.code, line.from_on)
    ]


def _told(batch: Batch, *names: str) -> set[str]:
    """Return the codes of the batch of which a loaded list says one of `names`."""
    if not (batch.codes.has(CodeSetKind.CPT) or batch.codes.has(CodeSetKind.HCPCS)):
        return set()
    codes = batch.values("code")
    return batch.codes.told(CodeSetKind.CPT, codes, *names) | batch.codes.told(CodeSetKind.HCPCS, codes, *names)


@edit("modifier-form", ERROR, On.LINE, "modifiers", "A modifier has two capital letters or digits.")
def modifier_form(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("modifiers", lambda text: not forms.are_modifiers(text))


@edit("modifier-too-many", ERROR, On.LINE, "modifiers", "A service takes at most four modifiers.")
def modifier_too_many(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("modifiers", lambda text: text.count(",") >= MOST_MODIFIERS)


@edit("modifier-twice", ERROR, On.LINE, "modifiers", "A modifier stands there twice; take one away.")
def modifier_twice(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("modifiers", lambda text: text and len(set(text.split(","))) <= text.count(","))


@edit("units-not-positive", ERROR, On.LINE, "units", "Enter how many units were given, more than none.")
def units_not_positive(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("units", lambda units: not forms.is_positive(units))


@edit("units-too-long", ERROR, On.LINE, "units", "Units have at most three decimals.")
def units_too_long(batch: Batch) -> Iterable[Line]:
    return batch.lines_with(
        "units",
        lambda units: len(units) > MOST_UNITS_TEXT or len(units.partition(".")[2].rstrip("0")) > MOST_DECIMALS,
    )


@edit("unit-basis-unknown", ERROR, On.LINE, "unit_basis", "Units are counted as units (UN) or minutes (MJ).")
def unit_basis_unknown(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("unit_basis", lambda basis: basis not in {"UN", MINUTES})


@edit(
    "anesthesia-minutes",
    WARNING,
    On.LINE,
    "unit_basis",
    "Anesthesia is billed by the minute; check the unit.",
    of_voids=False,
)
def anesthesia_minutes(batch: Batch) -> Iterable[Line]:
    first, last = ANESTHESIA
    codes = {code for code in batch.values("code") if first <= code <= last}
    return [line for line in batch.lines if line.code in codes and line.unit_basis != MINUTES] if codes else ()


@edit("pointer-missing", ERROR, On.LINE, "diagnosis_pointers", "Say which diagnosis this service was for.")
def pointer_missing(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("pointers", lambda text: not text)


@edit("pointer-too-many", ERROR, On.LINE, "diagnosis_pointers", "A service points to at most four diagnoses.")
def pointer_too_many(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("pointers", lambda text: text.count(",") >= MOST_POINTERS)


@edit("pointer-twice", ERROR, On.LINE, "diagnosis_pointers", "A service points to one diagnosis twice.")
def pointer_twice(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("pointers", lambda text: text and len(set(text.split(","))) <= text.count(","))


@edit(
    "pointer-unknown",
    ERROR,
    On.LINE,
    "diagnosis_pointers",
    "This service points to a diagnosis that is not in the list.",
)
def pointer_unknown(batch: Batch) -> Iterable[Line]:
    highest = {text: _highest(text) for text in batch.values("pointers")}
    commas = max(highest.values(), default=0) - 1
    short = batch.claims_with("diagnoses", lambda codes: codes.count(",") < commas) if commas > 0 else ()
    return [line for claim in short for line in claim.lines if highest[line.pointers] > claim.diagnoses.count(",") + 1]


def _highest(pointers: str) -> int:
    """Return the highest pointer; one that is no number from 1 on is beyond any list."""
    numbers = [int(one) if one.isdigit() and one.isascii() else 0 for one in pointers.split(",") if one]
    return 99 if 0 in numbers else max(numbers, default=0)


@edit("ndc-form", ERROR, On.LINE, "ndc", "An NDC has eleven digits (5-4-2) without hyphens.")
def ndc_form(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("ndc", lambda ndc: ndc and (ndc in NO_DRUG or not forms.NDC.fullmatch(ndc)))


@edit("ndc-quantity", ERROR, On.LINE, "ndc_quantity", "Enter how much of the drug was given.")
def ndc_quantity(batch: Batch) -> Iterable[Line]:
    return [line for line in _drugs(batch) if not forms.is_positive(line.ndc_quantity)]


@edit("ndc-unit", ERROR, On.LINE, "ndc_unit", "Say what the drug is measured in: F2, GR, ME, ML or UN.")
def ndc_unit(batch: Batch) -> Iterable[Line]:
    return [line for line in _drugs(batch) if line.ndc_unit not in forms.NDC_UNITS]


def _drugs(batch: Batch) -> list[Line]:
    return [line for line in batch.lines if line.ndc] if batch.values("ndc") - {""} else []


@edit("ndc-missing", WARNING, On.LINE, "ndc", "Medicaid wants the NDC of a drug that was given.", of_voids=False)
def ndc_missing(batch: Batch) -> Iterable[Line]:
    drugs = {code for code in batch.values("code") if code[:1] == "J"}
    claims = batch.of_plans(lambda plan: plan.kind == "medicaid") if drugs else ()
    return [line for claim in claims for line in claim.lines if line.code in drugs and not line.ndc]


@edit(
    "clia-missing",
    WARNING,
    On.CLAIM,
    "clia",
    "This payer wants the CLIA number of who did the laboratory test.",
    of_voids=False,
)
def clia_missing(batch: Batch) -> Iterable[Claim]:
    first, last = LABORATORY
    tests = {code for code in batch.values("code") if first <= code <= last}
    claims = batch.of_plans(lambda plan: plan.kind in PRIOR) if tests else ()
    return [claim for claim in claims if not claim.clia and any(line.code in tests for line in claim.lines)]


@edit(
    "procedure-repeated",
    WARNING,
    On.CLAIM,
    "lines",
    "One service stands there twice on a day; add a modifier, or units to one line.",
    of_voids=False,
)
def procedure_repeated(batch: Batch) -> Iterable[Claim]:
    if not batch.repeated:
        return ()
    patients = {patient for patient, *_ in batch.repeated}
    return [claim for claim in batch.claims if claim.patient in patients and _has_twin(claim)]


def _has_twin(claim: Claim) -> bool:
    return len({repeatable(claim, line) for line in claim.lines}) < len(claim.lines)
