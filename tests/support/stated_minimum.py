"""What may leave us, to whom and why: the one table that `docs/phi.md` shows and that the canary's search goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stated:
    """One way out. fields: all of what is planted about the canary that goes there, by the names of `canary.person`."""

    to: str
    holds: str
    why: str
    fields: frozenset[str] = frozenset()

    @property
    def row(self) -> str:
        return f"| {self.to} | {self.holds} | {self.why} | {', '.join(sorted(self.fields)) or 'none'} |"


HEAD = ("| to | what it holds | why | of a planted patient |", "|---|---|---|---|")
WHO = frozenset({"first_name", "last_name", "date_of_birth", "medical_record_number"})
IN_FULL = WHO | {"middle_name", "name_suffix"}
WHERE = frozenset({"address_line1", "address_line2", "city", "postal_code"})
REACHED = frozenset({"phone", "email"})
OF_KIN = frozenset({"emergency_contact_name", "emergency_contact_phone", "emergency_contact_relationship"})
COVERAGE = frozenset({"member_id", "group_number"})
BILLED = frozenset({"procedure_description", "procedure_note"})
CHART = frozenset({"reason", "value", "drug", "diagnosis"})
STATED = {
    "message": Stated(
        "a patient, by e-mail or text",
        "the clinic's name, telephone and mailbox, day and time of a visit, a link with a secret token; never a name, "
        "a doctor, a reason or a place",
        "whoever holds the telephone reads it",
    ),
    "envelope": Stated(
        "the sandbox's outbox, and a provider of messages",
        "the same, and the number or mailbox it goes to",
        "it is delivered there",
        REACHED,
    ),
    "staff": Stated(
        "staff and whoever is on call",
        "that there is something to look at and where; no patient",
        "they sign in to see more",
    ),
    "laboratory": Stated(
        "a laboratory",
        "the order: who the patient is, what to examine and why",
        "it has to know whose specimen it has",
        WHO | {"reason"},
    ),
    "payer": Stated(
        "a payer, by a clearinghouse",
        "the claim or question: who is covered and lives where, record, member and group number, diagnoses, "
        "procedures with what is written of each, charges",
        "it pays for a person it insures",
        WHO | WHERE | COVERAGE | {"diagnosis"} | BILLED,
    ),
    "export": Stated(
        "a client of the FHIR API or of an export",
        "what its scopes and its user allow, each read written down",
        "it was granted that",
        IN_FULL | WHERE | REACHED | OF_KIN | COVERAGE | CHART | {"policy_number", "procedure_description"},
    ),
    "person": Stated(
        "a person signed in",
        "what the role may see, each read written down",
        "it is their work",
        IN_FULL | WHERE | REACHED | OF_KIN | COVERAGE | CHART | BILLED | {"policy_number", "insurance_info", "said"},
    ),
}


def table() -> str:
    """Return the table as the document shows it."""
    return "\n".join([*HEAD, *(one.row for one in STATED.values())])
