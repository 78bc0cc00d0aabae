"""What each source can be searched by, beside `_id` and `_lastUpdated`; a name that is not here cannot be asked for."""

from __future__ import annotations

from collections.abc import Mapping

from backend.apps.interop.fhir.search.kinds import Param
from backend.apps.interop.fhir.search.parameters import people

PARAMETERS: Mapping[str, Mapping[str, Param]] = {"patient": people.PATIENT}  # by the name of the source
