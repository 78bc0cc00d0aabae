"""The names of the queues; without it the command line would have to load Django to start a worker."""

QUEUES = (
    "reminders",
    "provider_events",
    "waitlist",
    "recalls",
    "lab_results",
    "lab_orders",
    "lab_replays",
    "critical_results",
    "lab_watch",
    "claims",
    "eligibility",
    "claims_watch",
    "fhir_export",
    "sweep",
)
