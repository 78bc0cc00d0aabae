"""What patients are searched by."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Q

from backend.apps.interop.fhir.search.kinds import At, Cases, Coded, Codes, Date, Param, String, mrn_system

GENDERS = {code: (code,) for code in ("female", "male", "other", "unknown")}


def _private(*paths: str, sees: str = "") -> String:
    return String(paths, private=True, sees=sees)


PATIENT: Mapping[str, Param] = {
    "identifier": Coded((At("medical_record_number", mrn_system),), private=True),
    "name": _private("last_name", "first_name"),
    "family": _private("last_name"),
    "given": _private("first_name"),
    "birthdate": Date("date_of_birth", day=True, private=True),
    "gender": Codes("gender", GENDERS),
    "phone": Coded((At("phone"),), private=True, sees="phone"),
    "email": Coded((At("email"),), private=True, sees="email"),
    "telecom": Coded((At("phone"), At("email")), private=True, sees="email"),
    "address-city": _private("city", sees="city"),
    "address-state": _private("state", sees="state"),
    "address-postalcode": _private("postal_code", sees="postal_code"),
    "deceased": Cases({"true": Q(deceased_at__isnull=False), "false": Q(deceased_at__isnull=True)}, sees="deceased"),
    "death-date": Date("deceased_at", private=True, sees="deceased"),
    "active": Cases({"true": Q(pk__isnull=False)}),
}
