"""Says what this FHIR API can do, as a CapabilityStatement; a client asks it before it asks anything else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.request import Request

from backend.apps.interop.fhir.door import FhirView, base
from backend.apps.interop.fhir.outcomes import MEDIA_TYPE
from backend.apps.interop.fhir.search.asked import inclusions
from backend.apps.interop.fhir.search.query import of_type
from backend.apps.interop.fhir.smart.configuration import token_url
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.fhir.writing.views import KINDS
from integrations.fhir.terms import TERMINOLOGY

BULK = "http://hl7.org/fhir/uv/bulkdata"
STANDARD = "http://hl7.org/fhir/OperationDefinition"
OAUTH = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
WRITTEN_ON = "2026-11-26"  # when what is said here last changed
BINARY = {"type": "Binary", "interaction": [{"code": "read"}]}


class Metadata(FhirView):
    """`GET metadata`; no sign-in is needed, and nothing is written down, for it says nothing of anybody."""

    authentication_classes = []
    permission_classes = []

    def get(self, request: Request, **_kwargs: Any) -> HttpResponse:
        answer = self.respond(statement(base()))
        answer["Cache-Control"] = "public, max-age=3600"
        answer["Access-Control-Allow-Origin"] = "*"
        return answer


@lru_cache(maxsize=8)
def statement(address: str) -> bytes:
    return orjson.dumps(capabilities(address))


def capabilities(address: str) -> dict[str, Any]:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": WRITTEN_ON,
        "kind": "instance",
        "instantiates": [f"{BULK}/CapabilityStatement/bulk-data"],
        "software": {"name": "CareRelay"},
        "implementation": {"description": "CareRelay, the backend of a clinic", "url": address},
        "fhirVersion": "4.0.1",
        "format": [MEDIA_TYPE, "json"],
        "rest": [
            {
                "mode": "server",
                "security": _security(),
                "resource": [*(_resource(name) for name in SOURCES), BINARY],
                "operation": [{"name": "export", "definition": f"{BULK}/OperationDefinition/export"}],
            }
        ],
    }


def _security() -> dict[str, Any]:
    smart = {"system": f"{TERMINOLOGY}restful-security-service", "code": "SMART-on-FHIR"}
    return {
        "cors": False,
        "service": [{"coding": [smart], "text": "SMART Backend Services; people sign in to the clinic's own API"}],
        "extension": [{"url": OAUTH, "extension": [{"url": "token", "valueUri": token_url()}]}],
    }


def _resource(name: str) -> dict[str, Any]:
    sources = SOURCES[name]
    profiles = {profile for source in sources for profile in _profiles(source.resource.tree["meta"])}
    written = name in KINDS
    told: dict[str, Any] = {
        "type": name,
        "supportedProfile": sorted(profiles),
        "interaction": [{"code": code} for code in ("read", "vread", "search-type")],
        "versioning": "versioned-update" if written else "versioned",
        "conditionalRead": "not-match",
        "readHistory": any(source.past is not None for source in sources),
        "searchInclude": sorted(inclusions(name, back=False)),
        "searchRevInclude": sorted(inclusions(name, back=True)),
        "searchParam": list(_parameters(name)),
        "operation": list(_operations(name)),
    }
    if written:
        told["interaction"] += [{"code": "create"}, {"code": "update"}]
        told |= {"updateCreate": False, "conditionalCreate": name == "Patient"}
    return {key: value for key, value in told.items() if value != []}


def _profiles(meta: Any) -> Iterable[str]:
    told = meta.get("profile", [])
    lists = [told] if isinstance(told, list) else getattr(told, "trees", {}).values()
    return [str(profile) for some in lists for profile in some]


def _parameters(name: str) -> Iterable[dict[str, Any]]:
    for code, param in of_type(name).items():
        yield {"name": code, "type": param.kind}


def _operations(name: str) -> Iterable[dict[str, str]]:
    yield {"name": "validate", "definition": f"{STANDARD}/Resource-validate"}
    if name == "Patient":
        yield {"name": "everything", "definition": f"{STANDARD}/Patient-everything"}
    if name in {"Patient", "Group"}:
        for word in (f"{name.lower()}-export", "export"):  # clients look for the one or the other
            yield {"name": word, "definition": f"{BULK}/OperationDefinition/{name.lower()}-export"}
