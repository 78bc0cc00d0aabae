"""Says in the front desk's words what a payer answered; without it somebody would look codes up beside the patient.

The codes are public as numbers; their texts belong to X12 and are not here. The sentences are our own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from backend.apps.insurance.eligibility import CHANGED
from backend.apps.insurance.models import EligibilityInquiry
from backend.apps.insurance.models.inquiries import InquiryStatus

BIRTH = "The date of birth is missing or differs from the payer's; compare it with the card."
MEMBER_ID = "The member id is missing or not the payer's; compare it with the card."
NAME = "The name is missing or differs from the payer's; write it as on the card."
NOT_FOUND = "The payer does not find this person; compare member id, name and date of birth with the card."
SEX = "The sex is missing or differs from the payer's."
TWICE = "The payer has this member id twice; ask it by phone."
OUR_NUMBER = "The payer does not take our own entry; have the billing entity and the enrolment checked."
OUR_RIGHT = "The payer does not let us ask; have the enrolment for eligibility checked."
DAY = "The payer does not answer about this day; ask about another one, or by phone."
LATER = "The payer could not answer just now; it is asked again."
BY_PHONE = "The payer does not answer this question in a file; ask it by phone."
UNKNOWN = "The payer refused the question for a reason that is not in our list; ask it by phone."
REFUSALS: Mapping[str, str] = MappingProxyType({
    "04": BY_PHONE, "15": BY_PHONE, "33": BY_PHONE, "35": BY_PHONE, "41": OUR_RIGHT, "42": LATER, "43": OUR_NUMBER,
    "44": OUR_NUMBER, "45": OUR_NUMBER, "46": OUR_NUMBER, "47": OUR_NUMBER, "48": BY_PHONE, "49": BY_PHONE,
    "50": OUR_RIGHT, "51": OUR_RIGHT, "52": DAY, "53": BY_PHONE, "54": BY_PHONE, "55": BY_PHONE, "56": DAY, "57": DAY,
    "58": BIRTH, "60": BIRTH, "61": "By the payer's record the person had died by this day.", "62": DAY, "63": DAY,
    "64": MEMBER_ID, "65": NAME, "66": SEX, "67": NOT_FOUND, "68": TWICE, "69": BY_PHONE, "70": BY_PHONE, "71": BIRTH,
    "72": MEMBER_ID, "73": NAME, "74": SEX, "75": NOT_FOUND, "76": TWICE,
    "77": "The payer knows the policy holder but not the patient under this policy; compare both with the card.",
    "78": "The person is not in the group or plan we named; compare group number and plan with the card.",
    "79": OUR_NUMBER, "80": LATER, "97": OUR_NUMBER, "T4": "The payer's name or number is not right at this partner.",
})  # fmt: skip
OURS: Mapping[str, str] = MappingProxyType({
    CHANGED: "The coverage was changed after this was asked; it is asked about anew.",
    "not written": "The question could not be written: something in the entry of the patient, the policy holder or the "
    "payer cannot stand in a file. Put it right and ask again.",
    "no way to this payer by this partner": "The payer is reached in another way by now; ask again.",
    "TA1": "The partner turned back the file with this question.",
    "999": "The partner refused the file with this question.",
})  # fmt: skip

KINDS: Mapping[str, str] = MappingProxyType({
    "A": "Co-insurance", "B": "Co-payment", "C": "Deductible", "F": "Limit", "G": "Out of pocket at most",
    "I": "Not covered", "J": "Cost containment", "Y": "Spend-down", "CB": "Covered", "E": "Not in this plan",
})  # fmt: skip
SERVICES: Mapping[str, str] = MappingProxyType({
    "1": "medical care", "2": "surgery", "4": "X-ray", "5": "laboratory", "33": "chiropractic", "35": "dental care",
    "47": "hospital", "48": "hospital, inpatient", "50": "hospital, outpatient", "51": "emergency, accident",
    "52": "emergency, medical", "62": "MRI and CT", "86": "emergency", "88": "pharmacy", "98": "office visit",
    "A4": "psychiatry", "AL": "vision", "BY": "office visit, sick", "BZ": "office visit, well", "MH": "mental health",
    "UC": "urgent care",
})  # fmt: skip
PERIODS: Mapping[str, str] = MappingProxyType({
    "7": "a day", "21": "in years", "22": "a service year", "23": "a calendar year", "24": "this year so far",
    "25": "a contract", "26": "an episode", "27": "a visit", "29": "remaining", "32": "in a lifetime",
    "33": "remaining in a lifetime", "34": "a month", "35": "a week",
})  # fmt: skip
FAMILY = "FAM"


def answer(question: EligibilityInquiry) -> str:
    """Return what the desk needs to know first, in one sentence."""
    match question.status:
        case InquiryStatus.ANSWERED:
            return _answered(question)
        case InquiryStatus.REJECTED if question.is_active is False:
            return f"The payer does not know this coverage. {_first(question)}"
        case InquiryStatus.REJECTED:
            return f"There is no answer. {_first(question)}"
        case InquiryStatus.EXPIRED:
            return "The coverage was changed meanwhile." if CHANGED in question.codes else "The payer did not answer."
    return "The payer has not answered yet."


def _answered(question: EligibilityInquiry) -> str:
    day = f"on {question.service_on:%Y-%m-%d}"
    if question.is_active is None:
        return "The payer does not say whether the plan holds; ask it by phone."
    return f"The plan holds {day}." if question.is_active else f"The plan does not hold {day}."


def _first(question: EligibilityInquiry) -> str:
    return next((one["sentence"] for one in reasons(question) if one["code"] != CHANGED), UNKNOWN)


def reasons(question: EligibilityInquiry) -> list[dict[str, str]]:
    """Return each code of the question with what it means to us."""
    return [{"code": code, "sentence": _meaning(code)} for code in question.codes]


def _meaning(code: str) -> str:
    if code.startswith("AAA:"):
        return REFUSALS.get(code.split(":")[2], UNKNOWN)
    return OURS.get(code) or OURS.get(code.partition(":")[0], UNKNOWN)


def benefits(question: EligibilityInquiry) -> list[str]:
    """Return what the plan pays and what the patient does, a sentence each; codes we have no words for are left out."""
    told = [_benefit(one) for one in question.benefits if one.get("code") in KINDS]
    return list(dict.fromkeys(told))


def _benefit(one: Mapping[str, Any]) -> str:
    services = [SERVICES[code] for code in one.get("types", []) if code in SERVICES]
    head = KINDS[one["code"]] + (f", {', '.join(services)}" if services else "")
    parts = [*_amounts(one), *_limits(one)]
    return f"{head}: {', '.join(parts)}." if parts else f"{head}."


def _amounts(one: Mapping[str, Any]) -> Iterator[str]:
    period = PERIODS.get(one.get("period", ""), "")
    if amount := one.get("amount"):
        yield f"${Decimal(amount):,.2f}{f' {period}' if period else ''}"
    if percent := one.get("percent"):
        yield f"{(Decimal(percent) * 100).normalize():f}%"
    if one.get("level") == FAMILY:
        yield "for the family"


def _limits(one: Mapping[str, Any]) -> Sequence[str]:
    networks = {"Y": "in network", "N": "out of network", "W": "in and out of network"}
    authorization = ["needs an authorization"] if one.get("authorization") == "Y" else []
    return [*filter(None, [networks.get(one.get("in_network", ""))]), *authorization]
