"""Reads a ServiceRequest as others write it: an order of laboratory tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from integrations.fhir.ingress.element import Element, root, settled
from integrations.fhir.ingress.parts import concept, only_codes, only_words, target
from integrations.fhir.resources.service_request import PRIORITIES
from integrations.fhir.terms import ICD_10_CM, LOINC, SNOMED

LABORATORY = "108252007"  # SNOMED CT: laboratory procedure
PATHS = {
    "status": "ServiceRequest.status",
    "patient": "ServiceRequest.subject",
    "doctor": "ServiceRequest.requester",
    "encounter": "ServiceRequest.encounter",
    "feed": "ServiceRequest.performer[0]",
    "tests": "ServiceRequest.code",
    "details": "ServiceRequest.orderDetail",
    "priority": "ServiceRequest.priority",
    "diagnosis": "ServiceRequest.reasonCode.coding",
    "indication": "ServiceRequest.reasonCode.text",
    "cancel_reason": "ServiceRequest.note[0].text",
}


@dataclass(frozen=True, slots=True)
class Named:
    """What a test is called: by LOINC, by our own code or both, and in words; `path` is where that stands."""

    loinc: str
    own: str
    words: str
    path: str


@dataclass(frozen=True, slots=True)
class ServiceRequestIn:
    """What a body says of an order; "" where it says nothing. Its fields are named as those of our own shape.

    status: R4's. patient, doctor, encounter, feed: FHIR ids. summary: the words for several tests together.
    """

    status: str
    patient: str
    doctor: str
    encounter: str
    feed: str
    tests: tuple[Named, ...]
    summary: str
    priority: str
    diagnosis: str
    indication: str
    cancel_reason: str


def read(resource: dict[str, Any], given: Mapping[str, str], held: dict[str, Any] | None = None) -> ServiceRequestIn:
    """Return what the body says. given: see `resource.GIVEN`. held: the order as we would answer it now.

    Raises:
        Refused: it says something that we cannot keep.
    """
    body, base = root(resource), given["base"]
    _only_ours(body)
    status, (diagnosis, indication), (tests, summary) = body.text("status"), _reasons(body), _tests(body, base)
    told = ServiceRequestIn(
        status=status,
        patient=target(body.part("subject"), "Patient", base),
        doctor=target(body.part("requester"), "Practitioner", base),
        encounter=target(body.part("encounter"), "Encounter", base),
        feed=target(body.first("performer"), "Organization", base),
        tests=tests,
        summary=summary,
        priority=body.text("priority") or "routine",
        diagnosis=diagnosis,
        indication=indication,
        cancel_reason=body.first("note").text("text") if status == "revoked" else "",
    )
    settled(body, held)
    return told


def _only_ours(body: Element) -> None:
    body.only("intent", "order")
    body.only("doNotPerform", False)
    body.only("priority", *PRIORITIES)
    for category in body.parts("category"):
        only_codes(category, SNOMED, LABORATORY)


def _tests(body: Element, base: str) -> tuple[tuple[Named, ...], str]:
    """Return the one test of `code`, or those of orderDetail and what `code` calls them together."""
    if "code" not in body:
        body.refuse("An order says which test.", "code", code="required")
        return (), ""
    if "orderDetail" not in body:
        return (_test(body.part("code"), base),), ""
    return tuple(_test(detail, base) for detail in body.parts("orderDetail")), only_words(body.part("code"))


def _test(element: Element, base: str) -> Named:
    said = concept(element)
    loinc, own = said.code(LOINC), said.code(f"{base}/CodeSystem/tests")
    if not said.codes or len(said.codes) != bool(loinc) + bool(own):
        element.refuse("Name the test by its LOINC code or by our own code.", "coding", code="code-invalid")
    return Named(loinc, own, said.text, element.at())


def _reasons(body: Element) -> tuple[str, str]:
    """Return the diagnosis and the words of why; they may stand in one reason or in two."""
    said = [concept(reason) for reason in body.parts("reasonCode")]
    codes, words = [code for one in said for code in one.codes], [one.text for one in said if one.text]
    if any(system != ICD_10_CM for system, _ in codes) or len(codes) > 1 or len(words) > 1:
        body.refuse("We keep one diagnosis, by ICD-10-CM, and one text of why.", "reasonCode", code="not-supported")
    return "".join(code for _, code in codes[:1]), "".join(words[:1])
