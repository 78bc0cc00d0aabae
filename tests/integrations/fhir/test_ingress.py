"""A body that is wrong is told all that is wrong with it, and nothing that it says is lost without a word."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.fhir.ingress import appointment, checks, patient, service_request
from integrations.fhir.ingress.element import Refused
from integrations.fhir.resources.appointment import APPOINTMENT, KINDS
from integrations.fhir.resources.patient import PATIENT
from integrations.fhir.resources.service_request import SERVICE_REQUEST
from integrations.fhir.terms import BCP_47, CDC_RACE, US_CORE, V2, V3
from integrations.fhir.values import fit

GIVEN = {"base": "https://clinic.example/fhir/R4", "mrn_system": "urn:oid:1.2.3"}
LEAST = {"resourceType": "Patient", "name": [{"family": "Okafor", "given": ["Ada"]}], "gender": "female"}
FULL = {
    **dict.fromkeys(PATIENT.columns),
    "id": "0199-a", "version": "20260302120000000000", "updated": "2026-03-02T12:00:00.000Z", "active": "true",
    "races": '["2028-9", "2106-3"]', "ethnicity": "2186-5", "birth_sex": "F",
    "needs_interpreter": "false", "mrn": "MRN0000007", "family": "Okafor", "given": "Ada", "middle": "Obi",
    "suffix": "III", "phone": "+14155550100", "email": "ada@example.org", "gender": "female",
    "birth_date": "1980-05-17", "deceased": "2026-03-01T10:00:00.000Z", "has_address": "x", "line1": "12 Elm Street",
    "line2": "Flat 2", "city": "Albany", "state": "NY", "postal_code": "12207", "country": "US",
    "has_contact": "x", "contact_name": "Obi Okafor", "contact_relationship": "brother",
    "contact_phone": "+14155550101", "language": "pt-BR",
}  # fmt: skip


def observation(**over: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "Potassium"}, **over}


def told(resource: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["code"], one.get("expression", [""])[0]) for one in checks.issues(resource)}


def refused(resource: dict[str, Any], held: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(Refused) as caught:
        patient.read(resource, GIVEN, held)
    return [one["expression"][0] for one in caught.value.issues]


@pytest.mark.parametrize(
    ("resource", "code", "path"),
    [
        ({"resourceType": "Nope"}, "structure", "resourceType"),
        ({"resourceType": "HumanName", "family": "x"}, "structure", "resourceType"),
        ({"resourceType": ["Patient"]}, "structure", "resourceType"),
        ({**LEAST, "gender": "M"}, "code-invalid", "Patient.gender"),
        ({**LEAST, "telecom": [{"system": "banana"}]}, "code-invalid", "Patient.telecom[0].system"),
        ({**LEAST, "telecom": [{"value": "1"}]}, "invariant", "Patient.telecom[0]"),
        ({**LEAST, "birthDate": "1980-13-01"}, "value", "Patient.birthDate"),
        ({**LEAST, "nickname": "x"}, "structure", "Patient.nickname"),
        ({**LEAST, "name": []}, "value", "Patient.name"),
        ({**LEAST, "name": [{"family": "  "}]}, "value", "Patient.name[0].family"),
        ({**LEAST, "name": [{"family": None, "text": "x"}]}, "structure", "Patient.name[0].family"),
        ({**LEAST, "_birthDate": 1}, "structure", "Patient._birthDate"),
        ({**LEAST, "name": [{"family": "x", "_given": [7]}]}, "structure", "Patient.name[0]._given"),
        ({**LEAST, "id": "x" * 65}, "value", "Patient.id"),
        ({**LEAST, "extension": [{"url": "urn:x"}]}, "invariant", "Patient.extension[0]"),
        ({**LEAST, "contact": [{"gender": "male"}]}, "invariant", "Patient.contact[0]"),
        ({**LEAST, "generalPractitioner": [{"reference": "x y"}]}, "value", "Patient.generalPractitioner[0].reference"),
        ({**LEAST, "generalPractitioner": [{"reference": "#a"}]}, "not-found",
         "Patient.generalPractitioner[0].reference"),
        ({"resourceType": "Appointment", "status": "booked"}, "required", "Appointment.participant"),
        (observation(status="amended+"), "code-invalid", "Observation.status"),
        (observation(valueQuantity={"value": 1.5, "comparator": "~"}), "code-invalid",
         "Observation.valueQuantity.comparator"),
        (observation(valueString="x", dataAbsentReason={"text": "x"}), "invariant", "Observation"),
        (observation(valueString="x", code={"coding": [{"system": "s", "code": "c"}]},
                     component=[{"code": {"coding": [{"system": "s", "code": "c"}]}}]), "invariant", "Observation"),
        ({**LEAST, "birthDate": 1980}, "value", "Patient.birthDate"),
        ({**LEAST, "deceasedDateTime": 0}, "value", "Patient.deceasedDateTime"),
        ({**LEAST, "active": "true"}, "value", "Patient.active"),
        ({**LEAST, "multipleBirthInteger": "2"}, "value", "Patient.multipleBirthInteger"),
        ({**LEAST, "contained": [{"resourceType": "Nonsense", "id": "a"}]}, "value", "Patient"),
        ({**LEAST, "contained": [{"resourceType": "Group", "id": "a b", "type": "person", "actual": True}]}, "value",
         "Patient.contained[0].id"),
        ({**LEAST, "name": [{"family": "x", "id": "a b"}]}, "value", "Patient.name[0].id"),
        ({**LEAST, "gender__ext": {"id": "a"}}, "structure", "Patient.gender__ext"),
        ({**LEAST, "fhir_comments": ["x"]}, "structure", "Patient.fhir_comments"),
        ({**LEAST, "name": [{"family": "x", "given": ["Ada", None]}]}, "structure", "Patient.name[0].given"),
        ({**LEAST, "name": [{"family": "a\u0007b"}]}, "value", "Patient.name[0].family"),
        ({**LEAST, "nick name": "x"}, "structure", "Patient"),
        ({"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"},
          "statusHistory": [{"status": "banana", "period": {"start": "2026-01-01"}}]}, "code-invalid",
         "Encounter.statusHistory[0].status"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_path(resource: dict[str, Any], code: str, path: str) -> None:
    assert (code, path) in told(resource)


@pytest.mark.parametrize(
    "resource",
    [
        LEAST,
        {**LEAST, "birthDate": "1980", "deceasedBoolean": False, "multipleBirthInteger": 2},
        {**LEAST, "name": [{"id": "name_1", "family": "x", "given": ["Ada", None], "_given": [None, {"id": "a"}]}]},
        observation(status="corrected", valueQuantity={"value": 1.50}),
        observation(valueString="x", code={"coding": [{"display": "a"}]},
                    component=[{"code": {"coding": [{"display": "b"}]}}]),
    ],
)  # fmt: skip
def test_a_right_resource_has_no_issues(resource: dict[str, Any]) -> None:
    assert checks.issues(resource) == []


def test_no_value_of_a_body_is_repeated() -> None:
    body = {
        **LEAST,
        "gender": "Rumpelstiltskin",
        "birthDate": "Rumpelstiltskin",
        "name": [{"family": 7, "x": "Rumpel"}],
    }
    assert "Rumpel" not in json.dumps(checks.issues(body))


def test_a_body_of_values_without_end_is_refused_before_the_library_sees_it() -> None:
    assert told({**LEAST, "contact": [{}] * checks.LARGEST}) == {("too-costly", "Patient")}
    assert len(checks.issues({**LEAST, "contact": [{}] * (checks.LARGEST - 10)})) == checks.MOST


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"name": ['{"family": "x"}']}, "Patient.name[0]"),
        ({"name": ['{"\\u0066amily": "x"}']}, "Patient.name[0]"),
        ({"maritalStatus": '{"text": "x"}'}, "Patient.maritalStatus"),
        ({"name": [{"family": "x", "period": '{"start": "2026-01-01"}'}]}, "Patient.name[0].period"),
        ({"_birthDate": {"extension": ['{"url": "urn:x"}']}}, "Patient._birthDate.extension[0]"),
        ({"contained": ['{"resourceType": "Group"}']}, "Patient.contained[0]"),
        ({"contained": [{"resourceType": "Group", "id": "a", "code": "{}"}]}, "Patient.contained[0].code"),
        ({"contact": ["[" * 100_000]}, "Patient.contact[0]"),
    ],
)  # fmt: skip
def test_an_element_that_is_told_as_text_is_refused_and_not_read_as_json(over: dict[str, Any], path: str) -> None:
    assert told({**LEAST, **over}) == {("structure", path)}
    assert checks.issues({**LEAST, "name": [{"text": '{"family": "x"}'}]}) == []


AS_TEXT = json.dumps({"extension": [{"url": "urn:x", "valueDate": "never"}]})
VISIT = {"resourceType": "Encounter", "id": "a", "status": "banana"}


@pytest.mark.parametrize(
    ("over", "paths"),
    [
        ({"birthDate__ext": AS_TEXT}, {"Patient.birthDate__ext"}),
        ({"birthDate__ext": {"extension": [AS_TEXT]}},
         {"Patient.birthDate__ext", "Patient.birthDate__ext.extension[0]"}),
        ({"contained": [{**VISIT, "class_fhir": AS_TEXT}]}, {"Patient.contained[0].class_fhir"}),
        ({"contained": [{**VISIT, "class_fhir": {"code": 7}}]}, {"Patient.contained[0].class_fhir"}),
    ],
)  # fmt: skip
def test_what_stands_under_a_name_of_the_librarys_own_is_not_read(over: dict[str, Any], paths: set[str]) -> None:
    assert told({**LEAST, **over}) == {("structure", path) for path in paths}


def test_a_body_nested_without_end_is_refused_and_not_walked() -> None:
    body: dict[str, Any] = {"url": "urn:x"}
    for _ in range(2000):
        body = {"url": "urn:x", "extension": [body]}
    assert {code for code, _ in told({**LEAST, "extension": [body]})} == {"too-costly"}


def test_a_patient_as_we_write_one_is_read_back_whole() -> None:
    said = json.loads(PATIENT.line(GIVEN)([FULL[name] for name in PATIENT.columns]))
    read = patient.read(said, GIVEN)
    for name in patient.PATHS.keys() - {"races", "birth_date", "deceased"}:
        assert getattr(read, name) == FULL[name], name
    assert read.races == ("2028-9", "2106-3")
    assert read.birth_date == date(1980, 5, 17)
    assert read.deceased == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert read.needs_interpreter is False


OPTIONAL = sorted({"middle", "suffix", "phone", "email", "deceased", "language", "ethnicity", "birth_sex", "line2"})
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map(lambda text: fit(text).strip())


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(left_out=st.sets(st.sampled_from(OPTIONAL)), family=WORDS.filter(bool), city=WORDS.filter(bool))
def test_whatever_a_patient_lacks_is_read_as_absent(left_out: set[str], family: str, city: str) -> None:
    row = {**FULL, **dict.fromkeys(left_out), "family": family, "city": city}
    read = patient.read(json.loads(PATIENT.line(GIVEN)([row[name] for name in PATIENT.columns])), GIVEN)
    assert (read.family, read.city) == (family, city)
    for name in left_out:
        assert not getattr(read, name), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_visit_as_we_write_one_is_read_back_whole(kind: str) -> None:
    row = {
        "id": "a", "version": "1", "updated": "2026-03-02T12:00:00.000Z", "status": "confirmed", "kind": kind,
        "reason": "Cough", "start": "2026-03-02T12:00:00.000Z", "end": "2026-03-02T12:45:00.000Z", "minutes": "45",
        "created": "2026-03-01T12:00:00.000Z", "patient": "p", "doctor": "d", "has_place": "c", "place": "c",
        "room": "Room 2",
    }  # fmt: skip
    said = json.loads(APPOINTMENT.line(GIVEN)([row.get(name) for name in APPOINTMENT.columns]))
    read = appointment.read(said, GIVEN, held={**said})
    for name in ("kind", "reason", "patient", "doctor", "place", "room"):
        assert getattr(read, name) == row[name], name
    assert (read.start, read.minutes, read.is_confirmed) == (datetime(2026, 3, 2, 12, tzinfo=UTC), 45, True)
    with pytest.raises(Refused):
        appointment.read(said, GIVEN)  # it says when it was written down, which is ours to say


@pytest.mark.parametrize(
    "who",
    [
        {"actor": {"display": "Dr. Obi"}},
        {"actor": {"display": "Dr. Obi"}, "type": [{"coding": [{"system": f"{V3}ParticipationType", "code": "ATND"}]}]},
        {"actor": {"display": "Dr. Obi", "type": "Practitioner"}},
    ],
)
def test_somebody_who_is_only_named_is_not_taken_for_the_room(who: dict[str, Any]) -> None:
    times = {"start": "2026-03-02T12:00:00Z", "end": "2026-03-02T12:45:00Z"}
    people = [{"actor": {"reference": "Patient/p"}, "status": "accepted"}, {**who, "status": "accepted"}]
    body = {"resourceType": "Appointment", "status": "booked", **times, "participant": people}
    with pytest.raises(Refused) as caught:
        appointment.read(body, GIVEN)
    assert {one["expression"][0].split("].")[0] for one in caught.value.issues} == {"Appointment.participant[1"}
    place = {"actor": {"display": "Room 2", "type": "Location"}, "status": "accepted"}
    assert appointment.read({**body, "participant": [people[0], place]}, GIVEN).room == "Room 2"


def test_an_order_as_we_write_one_is_read_back_whole() -> None:
    row = {
        "id": "a", "version": "1", "updated": "2026-03-02T12:00:00.000Z", "status": "ordered", "priority": "urgent",
        "number": "LO0000001", "authored": "2026-03-01T12:00:00.000Z", "test_name": "Potassium, Sodium",
        "tests": '[["2823-3","loinc","Potassium"],["NA-7","local","Sodium"]]', "patient": "p", "doctor": "d",
        "encounter": "e", "feed": "f", "diagnosis": "E87.5", "indication": "Weak",
    }  # fmt: skip
    said = json.loads(SERVICE_REQUEST.line(GIVEN)([row.get(name) for name in SERVICE_REQUEST.columns]))
    read = service_request.read(said, GIVEN, held={**said})
    for name in ("priority", "patient", "doctor", "encounter", "feed", "diagnosis", "indication"):
        assert getattr(read, name) == row[name], name
    assert [(one.loinc, one.own, one.words) for one in read.tests] == [
        ("2823-3", "", "Potassium"),
        ("", "NA-7", "Sodium"),
    ]
    assert (read.status, read.summary) == ("active", "Potassium, Sodium")


@pytest.mark.parametrize(
    "reference", ["Practitioner/a", "http://elsewhere.example/Patient/a", "Patient/a/_history/1", "#a", "urn:uuid:a"]
)
def test_a_reference_points_to_one_of_ours_of_the_right_type(reference: str) -> None:
    base = {"resourceType": "ServiceRequest", "status": "draft", "intent": "order", "subject": {"reference": reference}}
    with pytest.raises(Refused) as caught:
        service_request.read(base, GIVEN)
    assert {"ServiceRequest.subject.reference"} <= {one["expression"][0] for one in caught.value.issues}
    whole = {**base, "subject": {"reference": f"{GIVEN['base']}/Patient/a"}, "code": {"coding": [
        {"system": "http://loinc.org", "code": "2823-3"}]}}  # fmt: skip
    assert service_request.read(whole, GIVEN).patient == "a"


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"photo": [{"url": "http://x"}]}, "Patient.photo"),
        ({"active": False}, "Patient.active"),
        ({"deceasedBoolean": True}, "Patient.deceasedBoolean"),
        ({"contained": [{"resourceType": "Patient"}]}, "Patient.contained"),
        ({"implicitRules": "urn:x"}, "Patient.implicitRules"),
        ({"modifierExtension": [{"url": "urn:x", "valueCode": "x"}]}, "Patient.modifierExtension"),
        ({"extension": [{"url": "urn:x", "valueCode": "x"}]}, "Patient.extension[0]"),
        ({"_birthDate": {"extension": [{"url": "urn:x", "valueCode": "x"}]}}, "Patient._birthDate"),
        ({"meta": {"security": [{"code": "R"}]}}, "Patient.meta.security"),
        ({"identifier": [{"system": "urn:other", "value": "1"}]}, "Patient.identifier[0]"),
        ({"name": [*LEAST["name"], {"family": "Obi"}]}, "Patient.name[1]"),
        ({"name": [{"family": "O", "given": ["A", "B", "C"]}]}, "Patient.name[0].given[2]"),
        ({"name": [{"family": "O", "given": ["A"], "prefix": ["Dr."]}]}, "Patient.name[0].prefix"),
        ({"name": [{"family": "O", "given": ["A"], "text": "B O"}]}, "Patient.name[0].text"),
        ({"name": [{"family": "O"}]}, "Patient.name[0]"),
        ({"telecom": [{"system": "phone", "value": "+1", "use": "home"}]}, "Patient.telecom[0].use"),
        ({"telecom": [{"system": "fax", "value": "+1"}]}, "Patient.telecom[0]"),
        ({"birthDate": "1980"}, "Patient.birthDate"),
        ({"deceasedDateTime": "2026-03-01"}, "Patient.deceasedDateTime"),
        ({"deceasedDateTime": "9999-12-31T23:59:59-12:00"}, "Patient.deceasedDateTime"),
        ({"deceasedDateTime": "0001-01-01T00:00:00+12:00"}, "Patient.deceasedDateTime"),
        ({"deceasedDateTime": "1299-01-01T00:00:00Z"}, "Patient.deceasedDateTime"),
        ({"gender": 7}, "Patient.gender"),
        ({"address": [{"country": "CA"}]}, "Patient.address[0]"),
        ({"contact": [{"relationship": [{"text": "brother"}]}]}, "Patient.contact[0].name.text"),
        ({"communication": [{"language": {"coding": [{"system": BCP_47, "code": "en"}], "text": "British"}}]},
         "Patient.communication[0].language"),
        ({"communication": [{"language": {"coding": [{"system": BCP_47, "code": code} for code in ("en", "fr")]}}]},
         "Patient.communication[0].language"),
        ({"identifier": [{"system": "urn:oid:1.2.3", "value": "1", "type": {"coding": [
            {"system": f"{V2}0203", "code": "MR"}, {"system": f"{V2}0203", "code": "SS"}]}}]},
         "Patient.identifier[0].type"),
        ({"identifier": [{"system": "urn:oid:1.2.3", "value": "1", "type": {"coding": [
            {"system": f"{V2}0203", "code": "MR"}], "text": "Old number"}}]}, "Patient.identifier[0].type"),
        ({"extension": [{"url": f"{US_CORE}race", "extension": [
            {"url": "ombCategory", "valueCoding": {"system": CDC_RACE, "code": "2106-3"}},
            {"url": "text", "valueString": "Irish"}, {"url": "text", "valueString": "White"}]}]},
         "Patient.extension[0]"),
        ({"address": [{"district": "x", "city": "Albany"}]}, "Patient.address[0].district"),
        ({"communication": [{"language": {"text": "English"}}]}, "Patient.communication[0].language"),
    ],
)  # fmt: skip
def test_what_we_cannot_keep_is_refused_and_not_dropped(over: dict[str, Any], path: str) -> None:
    assert path in refused({**LEAST, **over})


def test_narrative_and_profiles_are_only_another_view_and_pass() -> None:
    meta = {"profile": ["http://x"], "tag": [{"code": "x"}], "versionId": "1", "lastUpdated": "2026-01-01T00:00:00Z"}
    body = {**LEAST, "id": "a", "meta": meta, "text": {"status": "generated", "div": "<div>x</div>"}}
    assert patient.read(body, GIVEN).family == "Okafor"


def test_an_element_that_is_ours_to_say_passes_while_it_says_what_stands() -> None:
    organization = {"managingOrganization": {"reference": "Organization/1"}}
    assert patient.read({**LEAST, **organization}, GIVEN, held={**LEAST, **organization}).family == "Okafor"
    other = {"managingOrganization": {"reference": "Organization/2"}}
    assert refused({**LEAST, **other}, held={**LEAST, **organization}) == ["Patient.managingOrganization"]
