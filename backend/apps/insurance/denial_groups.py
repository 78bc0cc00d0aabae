"""Sorts the codes of a refusal by what a biller does next; without it each denial would begin with a look into a list.

Codes are public as numbers; their texts belong to X12 and are not here. The groups and sentences are our own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Group(NamedTuple):
    """key: of the group. action: what to do next. reasons: CARC. remarks: RARC that say so whatever the CARC."""

    key: str
    action: str
    reasons: frozenset[str]
    remarks: frozenset[str] = frozenset()


def codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The first group that fits counts. What stands in none is read by a person.
GROUPS = (
    Group(
        "authorization",
        "Get the authorisation or referral, or find its number, and send the claim again with it.",
        codes("15 38 39 197 198 210 243 284 287 288 296 302"),
        codes("M62 N54"),
    ),
    Group(
        "other_payer_first",
        "Bill the payer that comes first, then this one with what the first said.",
        codes("19 20 21 22 109 136 201 209 254 B11"),
        codes("MA04 MA92 N4 N8 N48"),
    ),
    Group("timely_filing", "Appeal with the proof of filing, if there is one.", codes("29")),
    Group(
        "send_records",
        "Send the records the payer asks for.",
        codes("112 148 163 164 226 227 250 251 252"),
        codes("M23 M30 M31 M127 N26 N29 N40 N205 N706"),
    ),
    Group(
        "correct_and_resend",
        "Correct what the codes name and send the claim again.",
        codes(
            "4 5 6 7 8 9 10 11 12 13 14 16 58 110 111 125 129 140 146 175 181 182 183 184 189 199 206 207 208 267 "
            "B16 B23"
        ),
        codes("MA130"),
    ),
    Group(
        "coverage",
        "Check the coverage on the day of service; bill the right payer, or the patient.",
        codes("24 26 27 31 32 33 34 166 177 200 B9"),
    ),
    Group("duplicate", "Look for the first claim; appeal only if this one is no duplicate.", codes("18 B13")),
    Group(
        "medical_necessity",
        "Appeal with the reason for the service and the notes.",
        codes("40 50 54 55 56 61 150 151 152 153 154 167 186 249 B8"),
    ),
    Group(
        "bundled",
        "Check whether a modifier tells the services apart; correct, appeal or write off.",
        codes("60 97 107 231 234 236 B10 B14 B15 B20"),
    ),
    Group(
        "not_covered",
        "Check the plan; bill the patient if he agreed to pay, else write off.",
        codes("35 49 51 53 78 96 119 149 160 168 204 222 256 258 269 272 273 275"),
    ),
    Group(
        "provider", "Check the doctor's enrolment and contract with the payer.", codes("147 170 171 172 185 242 299 B7")
    ),
)
BILL_PATIENT = Group("bill_patient", "Bill the patient.", frozenset())
READ_REASON = Group("read_reason", "Read the payer's reason and decide.", frozenset())

# No denials: what the contract takes off, what the patient owes anyhow, what a payer before has settled.
CONTRACTUAL = codes("42 44 45 59 90 94 104 105 131 144 161 223 237 253")
PATIENT_SHARE = codes("1 2 3 66 85 126 127 241 247 248")
SETTLED_BEFORE = codes("23")
NO_DENIAL = CONTRACTUAL | PATIENT_SHARE | SETTLED_BEFORE
PATIENT = "PR"

BY_KEY = {group.key: group for group in (*GROUPS, BILL_PATIENT, READ_REASON)}


def of(group: str, reason: str, remarks: Iterable[str] = ()) -> Group | None:
    """Return where an adjustment belongs; None when it is no denial. group: CO, PR, OA or PI; reason: CARC."""
    if reason in NO_DENIAL:
        return None
    said = set(remarks)
    found = next((one for one in GROUPS if one.remarks & said), None)
    found = found or next((one for one in GROUPS if reason in one.reasons), READ_REASON)
    return BILL_PATIENT if group == PATIENT and found.key in {"not_covered", "read_reason"} else found
