"""FHIR against its bars, all of them by one command: exports, memory, reading and searching."""

from __future__ import annotations

from tests.benchmarks import fhir_exporting, fhir_reading
from tests.benchmarks.bars import tell


def run() -> bool:
    return tell([*fhir_exporting.bars(), *fhir_reading.bars()])
