"""What patients, doctors, places and groups are searched by."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Exists, Q

from backend.apps.core.models import Clinic
from backend.apps.insurance.models import PatientInsurance
from backend.apps.interop.fhir.search.kinds import Date, Param, String
from backend.apps.interop.fhir.search.references import OfPatient, Reference, Refers, key_of
from backend.apps.interop.fhir.search.tokens import At, Cases, Coded, Codes, Fixed, Told, mrn_system
from backend.apps.interop.fhir.sources.people import TAXONOMY
from backend.apps.patients.models import Patient
from integrations.fhir.resources.location import PLACE_OF_SERVICE
from integrations.fhir.terms import CLIA, HL7, NAIC, NPI, NUCC, TERMINOLOGY, V3

EVERY = Q(pk__isnull=False)
IN_USE = Q(is_active=True, is_deleted=False)
GENDERS = {code: (code,) for code in ("female", "male", "other", "unknown")}
YES_OR_NO = f"{TERMINOLOGY}special-values"
LOCATION_STATUS = f"{HL7}location-status"


def flag(path: str) -> Cases:
    """Return the parameter for what is active: a row that is in use and was not removed."""
    active = Q(**{path: True, "is_deleted": False})
    return Cases({"true": active, "false": ~active}, YES_OR_NO)


def _private(*paths: str, sees: str = "") -> String:
    return String(paths, private=True, sees=sees)


def _practice(fhir_id: str) -> Q | None:
    """Return all rows when the id is that of the practice itself."""
    key = key_of(fhir_id)
    return None if key is None else Q(Exists(Clinic.objects.filter(pk=key)))


def _member(fhir_id: str) -> Q | None:
    """Return the groups that tell this member: one whose record was removed or merged away they tell no longer."""
    key = key_of(fhir_id)
    return None if key is None else Q(members__patient__is_deleted=False) & Q(members__patient_id=key)


def _addressed(*lines: str) -> Mapping[str, Param]:
    return {
        "address": String((*lines, "city", "state", "postal_code")),
        "address-city": String(("city",)),
        "address-state": String(("state",)),
        "address-postalcode": String(("postal_code",)),
    }


PHONE, EMAIL = (At(name, sealed_in=Patient) for name in ("phone_index", "email_index"))
PATIENT: Mapping[str, Param] = {
    "identifier": Coded((At("medical_record_number", mrn_system),), private=True),
    "name": _private("last_name", "first_name", "middle_name", "name_suffix"),
    "family": _private("last_name"),
    "given": _private("first_name", "middle_name"),
    "birthdate": Date("date_of_birth", day=True, private=True, column="birth_date"),
    "gender": Codes("gender", GENDERS, f"{HL7}administrative-gender"),
    "phone": Coded((PHONE,), private=True, sees="phone"),
    "email": Coded((EMAIL,), private=True, sees="email"),
    "telecom": Coded((PHONE, EMAIL), private=True, sees="email"),
    "address-city": _private("city", sees="city"),
    "address-state": _private("state", sees="state"),
    "address-postalcode": _private("postal_code", sees="postal_code"),
    "deceased": Cases(
        {"true": Q(deceased_at__isnull=False), "false": Q(deceased_at__isnull=True)}, YES_OR_NO, sees="deceased"
    ),
    "death-date": Date("deceased_at", private=True, sees="deceased"),
    "active": Cases({"true": EVERY}, YES_OR_NO),
}
PRACTITIONER: Mapping[str, Param] = {
    "identifier": Coded((At("npi_number", NPI),), sees="npi"),
    "name": String(("user__last_name", "user__first_name")),
    "family": String(("user__last_name",)),
    "given": String(("user__first_name",)),
    "active": flag("user__is_active"),
}
PRACTITIONER_ROLE: Mapping[str, Param] = {
    "practitioner": Reference({"Practitioner": "pk"}, element="practitioner"),
    "organization": Reference({}, {"Organization": _practice}, element="organization", told=("clinic",)),
    "location": Reference({}, {"Location": _practice}, element="location", told=("clinic",)),
    "specialty": Coded((At("specializations__medical_code", NUCC, Q(specializations__medical_code__regex=TAXONOMY)),)),
    "role": Fixed({f"{TERMINOLOGY}practitioner-role": frozenset({"doctor"})}),
    "active": flag("user__is_active"),
}
ADDRESS = _addressed("address_line1", "address_line2")
CLINIC: Mapping[str, Param] = {
    "name": String(("name",)),
    "identifier": Coded((At("npi_number", NPI), At("clia_number", CLIA))),
    "active": Cases({"true": EVERY}, YES_OR_NO),
    **ADDRESS,
}
PAYER: Mapping[str, Param] = {
    "name": String(("company_name",)),
    "identifier": Coded((At("naic_code", NAIC), At("payer_id"))),
    "active": flag("is_active"),
    **ADDRESS,
}
LABORATORY: Mapping[str, Param] = {
    "name": String(("name",)),
    "identifier": Coded((At("clia_number", CLIA),)),
    "active": flag("is_active"),
}
OF_SERVICE = {"place_of_service": PLACE_OF_SERVICE}
OUR_PLACE: Mapping[str, Param] = {
    "name": String(("name",)),
    "identifier": Coded((At("npi_number", NPI),)),
    "status": Cases({"active": EVERY}, LOCATION_STATUS),
    "type": Told(OF_SERVICE, always={f"{V3}RoleCode": frozenset({"OF"})}),
    "organization": Refers("Organization", "organization", element="managingOrganization"),
    **ADDRESS,
}
FACILITY: Mapping[str, Param] = {
    "name": String(("name",)),
    "identifier": Coded((At("npi", NPI),)),
    "status": Cases({"active": IN_USE, "inactive": ~IN_USE}, LOCATION_STATUS),
    "type": Told(OF_SERVICE),
    "organization": Refers("Organization", "organization", element="managingOrganization"),
    **ADDRESS,
}
GROUP: Mapping[str, Param] = {
    "name": String(("name",)),
    "type": Fixed({"http://hl7.org/fhir/group-type": frozenset({"person"})}),
    "actual": Cases({"true": EVERY}, YES_OR_NO),
    "member": Reference({}, {"Patient": _member}, element="member.entity", told=("members",)),
}
COVERAGE: Mapping[str, Param] = {
    "patient": OfPatient(element="beneficiary"),
    "beneficiary": OfPatient(element="beneficiary"),
    "identifier": Coded(
        tuple(At(name, sealed_in=PatientInsurance) for name in ("member_id_index", "policy_number_index")),
        private=True,
        sees="member",
    ),
    "status": Told({"status": f"{HL7}fm-status"}),
    "payor": Reference({"Organization": "insurance_plan__provider_id"}, element="payor"),
}
