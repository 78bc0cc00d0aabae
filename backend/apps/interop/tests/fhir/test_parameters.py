"""Proves of every search parameter of every source that its SQL runs and that it finds what the resource says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from backend.apps.appointments.models import Appointment
from backend.apps.core.roles import Role
from backend.apps.doctors.tests.factories import make_doctor, make_specialization
from backend.apps.insurance.models import ClaimLine
from backend.apps.insurance.tests.factories import make_claim, referring_provider, rendering_doctor
from backend.apps.interop.fhir.door import given
from backend.apps.interop.fhir.search import pages
from backend.apps.interop.fhir.search.asked import is_element
from backend.apps.interop.fhir.search.includes import references
from backend.apps.interop.fhir.search.kinds import Date
from backend.apps.interop.fhir.search.parameters import PARAMETERS
from backend.apps.interop.fhir.search.query import COMMON, Found, filtered, find, parameters
from backend.apps.interop.fhir.search.references import Pointer
from backend.apps.interop.fhir.search.tokens import within
from backend.apps.interop.fhir.source import Source, count_among
from backend.apps.interop.fhir.sources import ALL, BY_NAME
from backend.apps.interop.tests.fhir.clinical_makers import full_result, full_specimen, measured_note
from backend.apps.interop.tests.fhir.makers import MAKERS
from backend.apps.interop.tests.fhir.makers_of_papers import amendment, bare_claim, full_claim, signed_note
from backend.apps.interop.tests.fhir.makers_of_people import full_payer, make_group
from backend.apps.laboratory.models import LabOrder, LabResult
from backend.apps.laboratory.tests.factories import NOON, make_lab_result, make_lab_specimen, make_lab_test
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.fhir.resource import element_of
from integrations.fhir.terms import LOINC, NUCC, SNOMED

pytestmark = pytest.mark.django_db
VALUES = {"token": ("a-code", "urn:none|", "http://loinc.org|1-8,x"), "string": (r"a\,b",), "reference": ("Patient/1",)}
VALUES |= {"date": ("2024", "ne2024-05", "gt2024-05-06", "le2024-05-06T10:00:00Z", "sa2024", "eb2024-01-01T10:00")}


def test_every_source_says_what_it_is_searched_by() -> None:
    assert set(PARAMETERS) == set(BY_NAME)


def number(source: Source, params: list[tuple[str, str]]) -> int:
    """Return how many resources the parameters find."""
    found = find(source, params)
    return count_among(source, found.rows, also=found.also, values=found.values) if found else 0


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)
def test_each_parameter_runs_with_any_value_and_finds_what_the_resource_says(source: Source) -> None:
    for turn in range(6):
        number(source, list(anything(source, turn)))
    row, user = MAKERS[source.name][0](), make_user(role="admin")
    hits = pages.some(source, Found(source.visible(user)), user, 20)
    hit = next(one for one in hits if str(row.pk) in {one.place.key, one.id})
    body = json.loads(hit.entry(given()).line)
    searches = [("_id", body["id"]), *said(source, body, hit.row)]
    for search in searches:
        assert number(source, [search, ("_id", body["id"])]) == 1, search
    rows = filtered(source, searches, user)
    assert rows is not None
    assert list(rows.values_list("pk", flat=True).distinct()) == [row.pk]


def anything(source: Source, turn: int) -> Iterator[tuple[str, str]]:
    """Yield a search by all parameters at once: PostgreSQL reads and plans each, whatever it finds."""
    for name, param in parameters(source).items():
        modifiers = ("", *sorted(param.modifiers))
        values = VALUES[param.kind]
        pair = f"{name}:{modifiers[turn % len(modifiers)]}".rstrip(":"), values[turn % len(values)]
        if find(source, [pair]) is not None:
            yield pair


def said(source: Source, body: dict[str, Any], row: tuple[str | None, ...]) -> Iterator[tuple[str, str]]:
    """Yield searches that must find this resource, for it says so itself."""
    columns = dict(zip(source.resource.columns, row, strict=False))
    yield "_lastUpdated", body["meta"]["lastUpdated"]
    for name, param in parameters(source).items():
        if isinstance(param, Pointer) and param.element:
            kinds = [one for one in references(body, param.element) if one.partition("/")[0] in param.targets]
            yield from ((name, one) for one in kinds[:1])
        elif isinstance(param, Date) and param.column and columns[param.column]:
            yield name, f"{'le' if param.end else ''}{columns[param.column]}"
        elif name in {"type", "category", "code", "specialty", "status", "gender", "intent", "use", "identifier"}:
            yield from ((name, value) for value in tokens(body.get(name)))


def tokens(value: Any) -> Iterator[str]:
    """Yield what a code, a concept, an identifier or a list of them is searched by."""
    if isinstance(value, str):
        yield value
    for one in value if isinstance(value, list) else [value]:
        codings = one.get("coding", [one]) if isinstance(one, dict) else ()
        for coding in codings:
            code = coding.get("code", coding.get("value"))
            if code:
                yield f"{coding['system']}|{code}" if "system" in coding else code


def finds(name: str, *params: tuple[str, str]) -> int:
    """Return how many resources of a source the parameters find."""
    return number(BY_NAME[name], list(params))


def test_a_document_that_nobody_reported_is_found_by_the_date_it_tells() -> None:
    row = make_lab_result(file_attachment="lab_results/0124.pdf", reported_at=None, sent_at=NOON)
    assert finds("document-result", ("date", NOON.date().isoformat())) == 1
    LabResult.objects.filter(pk=row.pk).update(sent_at=None)
    assert finds("document-result", ("date", row.created_at.isoformat())) == 1
    assert finds("document-result", ("date", NOON.date().isoformat())) == 0


def test_a_claim_is_found_by_each_doctor_it_names() -> None:
    claim = full_claim()
    make_claim(rendering_doctor=rendering_doctor())
    doctors = [claim.rendering_doctor_id, ClaimLine.objects.get(claim=claim, number=2).rendering_doctor_id]
    assert [finds("claim", ("care-team", str(pk))) for pk in doctors] == [1, 1]
    assert finds("claim", ("care-team", ",".join(map(str, doctors)))) == 1


def test_what_is_missing_is_what_the_resource_does_not_tell() -> None:
    full_claim(), make_claim(referring_provider=referring_provider()), bare_claim()
    make_group(make_patient()), make_group(gone := make_patient())
    gone.delete()
    make_lab_result(file_attachment="lab_results/0124.pdf", reported_at=None, sent_at=NOON)
    for name, param, told, untold in (
        ("claim", "care-team", 2, 1),
        ("group", "member", 1, 1),
        ("document-result", "date", 1, 0),
        ("claim", "created", 3, 0),
    ):
        counts = [finds(name, (f"{param}:missing", missing)) for missing in ("false", "true")]
        assert counts == [told, untold], (name, param)


def test_of_what_a_role_is_not_told_nothing_is_learnt_by_what_is_missing() -> None:
    users = [make_user(role) for role in (Role.DOCTOR, Role.RECEPTIONIST)]
    found = [find(BY_NAME["claim"], [("care-team:missing", "true")], user) for user in users]
    assert ["referring" in one.also for one in found if one] == [False, True]


def test_the_visit_of_a_note_is_told_and_found_once_the_patient_came() -> None:
    note = signed_note()
    day = note.appointment.appointment_datetime.isoformat()
    searches = ("period", f"ge{day}"), ("encounter:missing", "false"), ("period:missing", "false")
    assert [finds("document-note", one) for one in searches] == [1, 1, 1]
    assert finds("document-note", ("encounter:missing", "true")) == 0
    Appointment.objects.update(status="no_show")
    assert [finds("document-note", one) for one in searches] == [0, 0, 0]
    assert finds("document-note", ("encounter:missing", "true"), ("period:missing", "true")) == 1


def test_the_codes_of_a_laboratory_are_those_that_are_told_as_its_own() -> None:
    row, plain = full_result(), make_lab_result(code_as_sent="  ")
    named = make_lab_result(code_as_sent="271062006", code_system_as_sent="SCT")
    LabOrder.objects.filter(pk__in=(plain.lab_order_id, named.lab_order_id)).update(feed=row.source_message.feed)
    system = f"{within('CodeSystem/laboratory-')()}{row.source_message.feed_id}"
    wanted = {"": 1, "K plus": 1, "2823-3": 0, "K": 0, "271062006": 0}
    assert {code: finds("observation-lab", ("code", f"{system}|{code}")) for code in wanted} == wanted
    assert finds("observation-lab", ("code", f"{SNOMED}|271062006")) == 1


def test_a_code_is_found_under_the_system_that_it_is_told_with() -> None:
    for number, (code, system) in enumerate((
        ("271062006", " sct"), ("R5-K", "SCT"), ("2823-3", "Loinc "), ("KPLUS", "LN"), ("718-7", "L"),
    )):  # fmt: skip
        place = "other_" if number % 2 else ""
        sent = {f"{place}code_as_sent": code, f"{place}{'' if place else 'code_'}system_as_sent": system}
        make_lab_result(lab_test=None, **{"code_text_as_sent": "Kalium", "code_as_sent": "", **sent})
    make_lab_result(lab_test=make_lab_test(test_code="POTASSIUM", code_system="loinc"))
    ours = within("CodeSystem/tests")()
    wanted = {
        f"{SNOMED}|271062006": 1, f"{SNOMED}|R5-K": 0, f"{SNOMED}|": 1, f"{LOINC}|2823-3": 1, f"{LOINC}|KPLUS": 0,
        f"{LOINC}|718-7": 0, f"{LOINC}|": 1, "R5-K": 1, f"{LOINC}|POTASSIUM": 0, f"{ours}|POTASSIUM": 1, f"{ours}|": 1,
    }  # fmt: skip
    assert {code: finds("observation-lab", ("code", code)) for code in wanted} == wanted


def test_what_was_collected_over_a_while_is_found_by_the_end_of_it() -> None:
    full_specimen()
    make_lab_specimen(collected_at=NOON)
    moments = {"ge2026-03-02T12:04:00Z": 1, "ge2026-03-02T12:06:00Z": 0, "2026-03-02T12:00:00Z": 1, "2026-03-02": 2}
    assert {moment: finds("specimen", ("collected", moment)) for moment in moments} == moments


def test_a_doctor_is_found_by_the_specialties_that_are_told_in_codes() -> None:
    make_doctor(specializations=[make_specialization(medical_code="LOCAL"), make_specialization(medical_code="")])
    make_doctor(specializations=[])
    coded = rendering_doctor()
    code = coded.specializations.get().medical_code
    wanted = {f"{NUCC}|": 1, f"{NUCC}|{code}": 1, f"{NUCC}|LOCAL": 0, "LOCAL": 0, code: 1}
    assert {value: finds("practitioner-role", ("specialty", value)) for value in wanted} == wanted


def test_a_group_is_found_by_the_members_it_tells() -> None:
    stays, goes = make_patient(), make_patient()
    make_group(stays, goes)
    goes.delete()
    assert [finds("group", ("member", f"Patient/{one.pk}")) for one in (stays, goes)] == [1, 0]


def test_a_place_is_found_by_the_second_line_of_its_address() -> None:
    full_payer()
    assert finds("organization-payer", ("address", "suite 4")) == 1


def test_the_origin_of_a_vital_sign_is_found_while_it_holds() -> None:
    old = measured_note()
    searches = [
        ("target", f"Observation/{old.pk}-bp"),
        ("target", f"{old.pk}-bp"),
        ("target:Observation", f"{old.pk}-bp"),
    ]
    assert [finds("provenance-note", one) for one in searches] == [1, 1, 1]
    amendment(old.clinical_note)
    assert [finds("provenance-note", one) for one in searches] == [0, 0, 0]
    assert finds("provenance-note", ("target", f"Composition/{old.pk}")) == 1


def test_an_element_with_a_choice_of_types_is_asked_for_by_its_one_name() -> None:
    result, report = (BY_NAME[name].resource for name in ("observation-lab", "report"))
    values = {name for name in pages.cut(result, frozenset({"value"})).tree if element_of(name) == "value"}
    assert {"valueQuantity", "valueString"} <= values
    for asked in ("effective", "effectiveDateTime"):
        assert {"effectiveDateTime", "_effectiveDateTime"} <= set(pages.cut(report, frozenset({asked})).tree)
    assert not values & set(pages.cut(result, frozenset({"issued"})).tree)
    assert all(is_element(*one) for one in (("Observation", "value"), ("Patient", "deceased")))
    assert not is_element("Patient", "value")


def test_common_parameters_are_there_for_all() -> None:
    assert set(COMMON) == {"_id", "_lastUpdated"}
