"""`./carerelay bench [NAME]`: runs the benchmarks, each side by side with what it is compared to."""

from __future__ import annotations

import argparse
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402  # after django.setup()

from tests.benchmarks import (  # noqa: E402  # models
    audit,
    claims,
    claims_building,
    claims_kill,
    claims_posting,
    claims_reading,
    claims_validity,
    fhir,
    fhir_exporting,
    fhir_reading,
    labs,
    labs_filing,
    labs_intake,
    labs_kill,
    labs_read,
    lists,
    reminders,
    reminders_kill,
    reminders_planning,
    reminders_sending,
    seam,
    sweeps,
    sweeps_credentials,
    sweeps_overview,
)

BENCHMARKS = {
    "audit": audit.run,
    "claims": claims.run,
    "claims-building": claims_building.run,
    "claims-kill": claims_kill.run,
    "claims-posting": claims_posting.run,
    "claims-reading": claims_reading.run,
    "claims-validity": claims_validity.run,
    "fhir": fhir.run,
    "fhir-exporting": fhir_exporting.run,
    "fhir-reading": fhir_reading.run,
    "labs": labs.run,
    "labs-filing": labs_filing.run,
    "labs-intake": labs_intake.run,
    "labs-kill": labs_kill.run,
    "labs-read": labs_read.run,
    "lists": lists.run,
    "reminders": reminders.run,
    "reminders-kill": reminders_kill.run,
    "reminders-planning": reminders_planning.run,
    "reminders-sending": reminders_sending.run,
    "seam": seam.run,
    "sweeps": sweeps.run,
    "sweeps-credentials": sweeps_credentials.run,
    "sweeps-overview": sweeps_overview.run,
}
PARTS_OF_OTHERS = (  # `claims`, `fhir`, `labs`, `reminders` and `sweeps` run them
    "claims-building", "claims-kill", "claims-posting", "claims-reading", "claims-validity",
    "fhir-exporting", "fhir-reading", "labs-filing", "labs-intake", "labs-read",
    "reminders-kill", "reminders-planning", "reminders-sending", "sweeps-credentials", "sweeps-overview",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="carerelay bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or [name for name in BENCHMARKS if name not in PARTS_OF_OTHERS]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    call_command("migrate", verbosity=0)
    verdicts = {name: BENCHMARKS[name]() for name in names}
    for name, good in verdicts.items():
        print(f"{'within its bar' if good else 'MISSED its bar'}  {name}")
    return 0 if all(verdicts.values()) else 1


sys.exit(main())
