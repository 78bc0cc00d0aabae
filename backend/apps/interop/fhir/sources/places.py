"""The practice, payers, laboratories and other places of service, as Organization and Location."""

from __future__ import annotations

from collections.abc import Mapping

from backend.apps.core.models import Clinic
from backend.apps.core.permissions import ALL_ROLES, READ, allow
from backend.apps.core.views import ClinicProfileViewSet
from backend.apps.insurance import permissions as insurance
from backend.apps.insurance.models import InsuranceProvider, ServiceFacility
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.laboratory import permissions as laboratory
from backend.apps.laboratory.models import LabFeed
from integrations.fhir.resource import Resource
from integrations.fhir.resources.location import LOCATION
from integrations.fhir.resources.organization import ORGANIZATION

# Joined where something is told of the practice itself: it has one profile, or none before it is filled in.
OUR_CLINIC = """LEFT JOIN (
    SELECT * FROM core_clinic WHERE NOT is_deleted ORDER BY created_at LIMIT 1) AS c ON TRUE"""
ONLY_OURS = "t.id = (SELECT id FROM core_clinic WHERE NOT is_deleted ORDER BY created_at LIMIT 1)"


# What others refer to stays a resource when it is removed, as one that is not active; searches pass it over.
LISTED = "NOT t.is_deleted"
IN_USE = "t.is_active AND NOT t.is_deleted"


def gone(table: str) -> str:
    """Return SQL for which rows of a table were deleted since a moment."""
    return f"SELECT t.id::text, t.deleted_at FROM {table} AS t WHERE t.is_deleted AND t.deleted_at > %s"  # noqa: S608  # our own names


def reached(table: str) -> dict[str, str]:
    """Return the columns of `integrations.fhir.contacts` for the postal address of a row."""
    parts = ("address_line1", "address_line2", "city", "state", "postal_code")
    names = ("line1", "line2", "city", "state", "postal_code")
    return {
        "has_address": text(" || ".join(f"{table}.{part}" for part in parts)),
        **{name: text(f"{table}.{part}") for name, part in zip(names, parts, strict=True)},
    }


def named(resource: Resource, told: Mapping[str, str]) -> dict[str, str]:
    """Return SQL for each column of a resource: what is told, and of the rest that it is absent."""
    begin = {"id": "t.id::text", "version": version_of("t.updated_at"), "updated": instant("t.updated_at")}
    return {**dict.fromkeys(resource.columns, "NULL::text"), **begin, **told}


CLINICS = Source(
    name="organization-clinic",
    resource=ORGANIZATION,
    model=Clinic,
    permissions=ClinicProfileViewSet.permissions,
    tables="core_clinic AS t",
    columns=named(
        ORGANIZATION,
        {
            "kind": "'practice'",
            "active": "'true'",
            "name": "t.name",
            "npi": text("t.npi_number"),
            "clia": text("t.clia_number"),
            "phone": text("t.phone"),
            "email": text("t.email"),
            **reached("t"),
        },
    ),
    live=f"NOT t.is_deleted AND {ONLY_OURS}",
)
PAYERS = Source(
    name="organization-payer",
    resource=ORGANIZATION,
    model=InsuranceProvider,
    permissions=insurance.PROVIDER,
    tables="insurance_insuranceprovider AS t",
    columns=named(
        ORGANIZATION,
        {
            "kind": "'payer'",
            "active": f"({IN_USE})::text",
            "name": "t.company_name",
            "naic": text("t.naic_code"),
            "payer_number": "t.payer_id",
            "phone": text("t.phone"),
            "fax": text("t.fax"),
            "email": text("t.email"),
            **reached("t"),
        },
    ),
    live="TRUE",
    listed=LISTED,
)
LABORATORIES = Source(
    name="organization-laboratory",
    resource=ORGANIZATION,
    model=LabFeed,
    permissions={**laboratory.LAB_FEED, **allow(READ, *ALL_ROLES)},  # results name it, and no more is told of a feed
    tables="laboratory_labfeed AS t",
    columns=named(
        ORGANIZATION,
        {"kind": "'laboratory'", "active": f"({IN_USE})::text", "name": "t.name", "clia": text("t.clia_number")},
    ),
    live="TRUE",
    listed=LISTED,
)
OUR_PLACE = Source(
    name="location-clinic",
    resource=LOCATION,
    model=Clinic,
    permissions=ClinicProfileViewSet.permissions,
    tables="core_clinic AS t",
    columns=named(
        LOCATION,
        {
            "status": "'active'",
            "name": "t.name",
            "npi": text("t.npi_number"),
            "is_office": "'true'",
            "place_of_service": "'11'",
            "phone": text("t.phone"),
            "email": text("t.email"),
            "organization": "t.id::text",
            **reached("t"),
        },
    ),
    live=f"NOT t.is_deleted AND {ONLY_OURS}",
)
FACILITIES = Source(
    name="location-facility",
    resource=LOCATION,
    model=ServiceFacility,
    permissions=insurance.SERVICE_FACILITY,
    tables=f"insurance_servicefacility AS t {OUR_CLINIC}",
    columns=named(
        LOCATION,
        {
            "status": f"CASE WHEN {IN_USE} THEN 'active' ELSE 'inactive' END",
            "name": "t.name",
            "npi": text("t.npi"),
            "place_of_service": "t.place_of_service",
            "organization": "c.id::text",
            **reached("t"),
        },
    ),
    live="TRUE",
    listed=LISTED,
)
