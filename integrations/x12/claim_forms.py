"""Lists which values stand in which element of an 837P and how long they may be; without it nothing would be refused.

Source: ASC X12N 005010X222A1, the elements named; CLM01 and REF*D9 are held to 20 characters by HIPAA (TR3 notes).
"""

from __future__ import annotations

from integrations.x12.text import DAY, ID, MONEY, NUMBER, TEXT, TOKEN, Either, Field, Form, either

STATE, POSTAL, NPI = "[A-Z]{2}", r"\d{5}(?:\d{4})?", r"\d{10}"
PLACE, SEX, SEQUENCE = r"\d\d", "[FMU]", "[A-HPSTU]"
FILING, RELATION, MSP = "[0-9A-Z]{2}", "[0-9A-Z]{2}", "[0-9]{2}"
TAXONOMY = r"[0-9A-Z]{9}X"
MODIFIERS = "[0-9A-Z]{2}(?:,[0-9A-Z]{2}){0,3}"
POINTERS = r"[1-9]\d?(?:,[1-9]\d?){0,3}"
DIAGNOSES = r"[A-Z][0-9A-Z]{2,6}(?:,[A-Z][0-9A-Z]{2,6}){0,11}"
CODE = "[0-9A-Z]{5}"
PHONE = r"\d{10}"


def address(loop: str, prefix: str = "", *, needed: bool = True) -> list[Field]:
    """Return the five fields of N3 and N4; the postal code, which is no text, is the last."""
    return [
        Field(f"{prefix}line1", f"{loop} N301", TEXT, 55, needed),
        Field(f"{prefix}line2", f"{loop} N302", TEXT, 55),
        Field(f"{prefix}city", f"{loop} N401", TEXT, 30, needed),
        Field(f"{prefix}state", f"{loop} N402", STATE, needed=needed),
        Field(f"{prefix}postal_code", f"{loop} N403", POSTAL, needed=needed),
    ]


def person(loop: str, prefix: str) -> list[Field]:
    """Return the nine fields of a patient: names, address, birth, sex."""
    return [
        *names(loop, prefix),
        *address(loop, prefix),
        Field(f"{prefix}birth", f"{loop} DMG02", DAY, 0, True),
        Field(f"{prefix}sex", f"{loop} DMG03", SEX, 0, True),
    ]


def names(loop: str, prefix: str) -> list[Field]:
    return [Field(f"{prefix}last", f"{loop} NM103", TEXT, 60, True), Field(f"{prefix}first", f"{loop} NM104", TEXT, 35)]


TERMS = [  # few in number: remembered as a whole
    Field("sequence", "2000B SBR01", SEQUENCE, needed=True),
    Field("group_number", "2000B SBR03", ID, 50),
    Field("plan_name", "2000B SBR04", TEXT, 60),
    Field("medicare_secondary", "2000B SBR05", MSP),
    Field("filing_code", "2000B SBR09", FILING, needed=True),
    Field("place_of_service", "2300 CLM05-1", PLACE, needed=True),
    Field("frequency", "2300 CLM05-3", "[178]", needed=True),
    Field("signature", "2300 CLM06", "[NY]", needed=True),
    Field("assignment", "2300 CLM07", "[ABC]", needed=True),
    Field("benefits", "2300 CLM08", "[NWY]", needed=True),
    Field("release", "2300 CLM09", "[IY]", needed=True),
]
MEMBER = Field("member_id", "2010BA NM109", ID, 80, True)
NUMBERS = [
    Field("control_number", "2300 CLM01", TOKEN, 20, True),
    Field("total", "2300 CLM02", MONEY, needed=True),
    Field("diagnoses", "2300 HI", DIAGNOSES, needed=True),
    Field("trace", "2300 REF*D9", TOKEN, 20),
    Field("record_number", "2300 REF*EA", ID, 50),
]
SELF = [MEMBER, *either(person("2010BA", "holder_"), "holder_", "patient_"), *NUMBERS]
DEPENDENT = [
    MEMBER,
    Field("relationship", "2000C PAT01", RELATION, needed=True),
    Field("holder_last", "2010BA NM103", TEXT, 60, True),
    Field("holder_first", "2010BA NM104", TEXT, 35),
    *person("2010CA", "patient_"),
    *NUMBERS,
]
SELDOM = [
    Field("accident", "2300 CLM11", "(?:AA|EM|OA)(?:,(?:AA|EM|OA))?"),
    Field("accident_state", "2300 CLM11-4", STATE),
    Field("delay_reason", "2300 CLM20", r"\d{1,2}"),
    Field("note", "2300 NTE02", TEXT, 80),
    Field("onset_on", "2300 DTP*431", DAY),
    Field("initial_treatment_on", "2300 DTP*454", DAY),
    Field("accident_on", "2300 DTP*439", DAY),
    Field("last_menstrual_on", "2300 DTP*484", DAY),
    Field("admission_on", "2300 DTP*435", DAY),
    Field("discharge_on", "2300 DTP*096", DAY),
    Field("patient_paid", "2300 AMT*F5", MONEY),
    Field("referral_number", "2300 REF*9F", ID, 50),
    Field("prior_authorization", "2300 REF*G1", ID, 50),
    Field("original_reference", "2300 REF*F8", ID, 50),
    Field("clia", "2300 REF*X4", ID, 50),
]
SERVICE = [  # a clinic's services are few in number: remembered as a whole
    Field("code", "2400 SV101-2", CODE, needed=True),
    Field("modifiers", "2400 SV101-3", MODIFIERS),
    Field("description", "2400 SV101-7", TEXT, 80),
    Field("unit_basis", "2400 SV103", "MJ|UN", needed=True),
    Field("units", "2400 SV104", NUMBER, needed=True),
    Field("place_of_service", "2400 SV105", PLACE),
    Field("pointers", "2400 SV107", POINTERS, needed=True),
    Field("emergency", "2400 SV109", "Y"),
    Field("prior_authorization", "2400 REF*G1", ID, 50),
    Field("note", "2400 NTE02", TEXT, 80),
    Field("ndc", "2410 LIN03", r"\d{11}"),
    Field("ndc_quantity", "2410 CTP04", r"\d{1,10}(?:\.\d{1,3})?"),
    Field("ndc_unit", "2410 CTP05", "F2|GR|ME|ML|UN"),
]
DAYS = [Field("from_on", "2400 DTP*472", DAY, needed=True), Field("to_on", "2400 DTP*472", DAY)]
LINE = [
    Field("charge", "2400 SV102", MONEY, needed=True),
    Field("control_number", "2400 REF*6R", TOKEN, 30),
]
OTHER_PAYER = [
    Field("sequence", "2320 SBR01", SEQUENCE, needed=True),
    Field("relationship", "2320 SBR02", RELATION, needed=True),
    Field("group_number", "2320 SBR03", ID, 50),
    Field("plan_name", "2320 SBR04", TEXT, 60),
    Field("medicare_secondary", "2320 SBR05", MSP),
    Field("filing_code", "2320 SBR09", FILING),
    Field("paid", "2320 AMT*D", MONEY),
    Field("remaining", "2320 AMT*EAF", MONEY),
    Field("assignment", "2320 OI03", "[NWY]", needed=True),
    Field("release", "2320 OI06", "[IY]", needed=True),
    Field("holder_last", "2330A NM103", TEXT, 60, True),
    Field("holder_first", "2330A NM104", TEXT, 35),
    Field("member_id", "2330A NM109", ID, 80, True),
    *address("2330A", "holder_", needed=False),
    Field("payer_name", "2330B NM103", TEXT, 60, True),
    Field("payer_identifier", "2330B NM109", ID, 80, True),
    Field("adjudicated_on", "2330B DTP*573", DAY),
    Field("reference", "2330B REF*F8", ID, 50),
]
DECIDED = [  # few in number: remembered as a whole
    Field("payer_identifier", "2430 SVD01", ID, 80, True),
    Field("code", "2430 SVD03-2", CODE, needed=True),
    Field("modifiers", "2430 SVD03-3", MODIFIERS),
    Field("units", "2430 SVD05", NUMBER, needed=True),
    Field("adjudicated_on", "2430 DTP*573", DAY, needed=True),
]
DECISION = [Field("paid", "2430 SVD02", MONEY, needed=True), Field("remaining", "2430 AMT*EAF", MONEY)]
BILLING = [
    Field("npi", "2010AA NM109", NPI, needed=True),
    Field("taxonomy", "2000A PRV03", TAXONOMY),
    Field("name", "2010AA NM103", TEXT, 60),
    Field("last_name", "2010AA NM103", TEXT, 60),
    Field("first_name", "2010AA NM104", TEXT, 35),
    Field("tax_id", "2010AA REF02", r"\d{9}", needed=True),
    Field("tax_id_type", "2010AA REF01", "EI|SY", needed=True),
    *address("2010AA"),
    *address("2010AB", "pay_to_", needed=False),
    Field("contact_name", "2010AA PER02", TEXT, 60),
    Field("contact_phone", "2010AA PER04", PHONE),
]
PAYER = [
    Field("identifier", "2010BB NM109", ID, 80, True),
    Field("name", "2010BB NM103", TEXT, 60, True),
    *address("2010BB", needed=False),
]
REFERENCE = [
    Field("qualifier", "2010BB REF01", "2U|EI|FY|G2|LU|NF", needed=True),
    Field("value", "2010BB REF02", ID, 50, True),
]
PROVIDER = [
    Field("npi", "2310 NM109", NPI, needed=True),
    Field("last_name", "2310 NM103", TEXT, 60, True),
    Field("first_name", "2310 NM104", TEXT, 35),
    Field("taxonomy", "2310 PRV03", TAXONOMY),
]
FACILITY = [
    Field("npi", "2310C NM109", NPI),
    Field("name", "2310C NM103", TEXT, 60, True),
    *address("2310C"),
]


class Forms:
    """All forms of an 837P for a partner's separators."""

    def __init__(self, foreign: str) -> None:
        self.own, self.dependent = Either(SELF, foreign=foreign), Form(DEPENDENT, foreign=foreign)
        self.terms = Form(TERMS, foreign=foreign)
        self.service, self.line = Form(SERVICE, foreign=foreign), Form(LINE, foreign=foreign)
        self.days, self.seldom = Form(DAYS, foreign=foreign), Form(SELDOM, foreign=foreign)
        self.other_payer, self.decision = Form(OTHER_PAYER, foreign=foreign), Form(DECISION, foreign=foreign)
        self.decided = Form(DECIDED, foreign=foreign)
        self.billing, self.payer = Form(BILLING, foreign=foreign), Form(PAYER, foreign=foreign)
        self.provider, self.facility = Form(PROVIDER, foreign=foreign), Form(FACILITY, foreign=foreign)
        self.reference = Form(REFERENCE, foreign=foreign)

    def learn_claims(self, kind: type) -> None:
        for form in (self.dependent, self.terms, self.seldom):
            form.learn(kind)

    def learn_decisions(self, kind: type) -> None:
        for form in (self.decided, self.decision):
            form.learn(kind)

    def learn_lines(self, kind: type) -> None:
        for form in (self.service, self.line, self.days):
            form.learn(kind)
