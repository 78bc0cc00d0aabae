"""Writes what many claims share, once per file; without it each claim would render its billing provider again.

Source: ASC X12N 005010X222A1, loops 1000A to 2010BB and 2310A to 2310C.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from integrations.x12.claim_forms import Forms
from integrations.x12.text import ID, NUMBER, TEXT, Field, Form, NotWritable, cents, number

Adjustments = tuple[tuple[str, str, str, str], ...]
LATER = {"G2", "LU"}  # REF of the billing provider stands behind those of the payer in 2010BB
TRIPLETS = 6
NAUGHT = "-0."
WANTED = "a group, a reason and a quantity are wanted"
GROUPS = {"CO", "CR", "OA", "PI", "PR"}
ADJUSTMENTS = re.compile(rf"(?:[A-Z]{{2}}\*[0-9A-Z]{{1,5}}\*-?\d{{1,10}}\.\d\d\*(?:{NUMBER})?~)*", re.ASCII).fullmatch
SUBMITTER = [
    Field("identifier", "1000A NM109", ID, 80, True),
    Field("name", "1000A NM103", TEXT, 60, True),
    Field("contact_name", "1000A PER02", TEXT, 60),
    Field("email", "1000A PER04", r"[!-)+-9;-=?@A-Z_]{3,200}"),
    Field("phone", "1000A PER04", r"\d{10}"),
]
RECEIVER = [
    Field("identifier", "1000B NM109", ID, 80, True),
    Field("name", "1000B NM103", TEXT, 60, True),
    Field("identifier", "1000B NM109", ID, 80, True),
]


class Reference(NamedTuple):
    qualifier: str
    value: str


def header(submitter: Any, receiver: Any, *, foreign: str) -> str:
    """Return loops 1000A and 1000B."""
    identifier, name, contact, email, phone = Form(SUBMITTER, foreign=foreign).read(submitter)
    ways = [f"TE*{phone}"] if phone else []
    ways += [f"EM*{email}"] if email and not set(email) & set(foreign) else []
    if not ways:
        raise NotWritable("1000A PER04: a telephone number or an e-mail address without separators is needed")
    their_id, their_name, _ = Form(RECEIVER, foreign=foreign).read(receiver)
    return (
        f"NM1*41*2*{name}*****46*{identifier}~PER*IC*{contact}*{'*'.join(ways)}~"
        f"NM1*40*2*{their_name}*****46*{their_id}~"
    )


def billing_provider(one: Any, forms: Forms) -> str:
    """Return loops 2000A, 2010AA and 2010AB: the first HL of a transaction."""
    (
        npi, taxonomy, name, last, first, tax_id, tax_id_type, line1, line2, city, state, postal_code,
        to_line1, to_line2, to_city, to_state, to_postal_code, contact, phone,
    ) = forms.billing.read(one)  # fmt: skip
    kind, named = ("1", person_name(last, first)) if one.is_person else ("2", f"{name}****")
    if not (last if one.is_person else name):
        raise NotWritable("2010AA NM103: missing", one.id)
    text = "HL*1**20*1~" + (f"PRV*BI*PXC*{taxonomy}~" if taxonomy else "")
    text += f"NM1*85*{kind}*{named}*XX*{npi}~{place(line1, line2, city, state, postal_code)}REF*{tax_id_type}*{tax_id}~"
    if phone:
        text += f"PER*IC*{contact}*TE*{phone}~"
    if to_line1:
        pay_to = place_if_whole(to_line1, to_line2, to_city, to_state, to_postal_code)
        if not pay_to:
            raise NotWritable("2010AB N4: city, state and postal code are wanted", one.id)
        text += f"NM1*87*{kind}~{pay_to}"
    return text


def payer(one: Any, forms: Forms) -> str:
    """Return loop 2010BB."""
    identifier, name, *where = forms.payer.read(one)
    references = sorted(one.secondary, key=lambda pair: pair[0] in LATER)
    return (
        f"NM1*PR*2*{name}*****PI*{identifier}~"
        + place_if_whole(*where)
        + "".join(f"REF*{'*'.join(forms.reference.read(Reference(*pair)))}~" for pair in references)
    )


def referring(one: Any, forms: Forms) -> str:
    npi, last, first, _ = forms.provider.read(one)
    return f"NM1*DN*1*{person_name(last, first)}*XX*{npi}~"


def rendering(one: Any, forms: Forms) -> str:
    npi, last, first, taxonomy = forms.provider.read(one)
    return f"NM1*82*1*{person_name(last, first)}*XX*{npi}~" + (f"PRV*PE*PXC*{taxonomy}~" if taxonomy else "")


def facility(one: Any, forms: Forms) -> str:
    npi, name, *where = forms.facility.read(one)
    return f"NM1*77*2*{name}{f'*****XX*{npi}' if npi else ''}~{place(*where)}"


def same_place(one: Any, other: Any) -> bool:
    """Is it the same house? The four last digits of a postal code do not matter."""
    ours, theirs = (
        (at.line1.upper(), at.line2.upper(), at.city.upper(), at.state.upper(), at.postal_code[:5])
        for at in (one, other)
    )
    return ours == theirs


def found(parts: Mapping[str, Any], key: str, loop: str) -> Any:
    one = parts.get(key)
    if one is None:
        raise NotWritable(f"{loop}: a part is named that was not given")
    return one


def person_name(last: str, first: str) -> str:
    """Return NM103 to NM107."""
    return f"{last}*{first}***"


def place(line1: str, line2: str, city: str, state: str, postal_code: str) -> str:
    """Return N3 and N4."""
    return f"N3*{line1}{f'*{line2}' if line2 else ''}~N4*{city}*{state}*{postal_code}~"


def place_if_whole(line1: str, line2: str, city: str, state: str, postal_code: str) -> str:
    """Return N3 and N4, or nothing where a part of the address is missing: half of one would be refused."""
    return place(line1, line2, city, state, postal_code) if line1 and city and state and postal_code else ""


def adjustments(found: Adjustments, element: str) -> str:
    """Return CAS segments: one for each group, and for each six reasons of it; amounts of nothing are left out."""
    if not ADJUSTMENTS("".join(["*".join(one) + "~" for one in found])):
        found = tuple(_mended(one, element) for one in found)
    groups: dict[str, str] = {}
    for group, reason, amount, quantity in found:
        if not amount.strip(NAUGHT):
            continue
        groups[group] = f"{groups.get(group, '')}*{reason}*{number(amount)}*{number(quantity)}"
    if not groups.keys() <= GROUPS:
        raise NotWritable(f"{element} CAS: {WANTED}")
    if len(found) > TRIPLETS:
        return "".join(_segments(group, text) for group, text in groups.items())
    return "".join([f"CAS*{group}{text.rstrip('*')}~" for group, text in groups.items()])


def _segments(group: str, text: str) -> str:
    values = text.split("*")[1:]
    runs = (values[at : at + 3 * TRIPLETS] for at in range(0, len(values), 3 * TRIPLETS))
    return "".join(f"CAS*{group}*{'*'.join(run).rstrip('*')}~" for run in runs)


def _mended(one: tuple[str, str, str, str], element: str) -> tuple[str, str, str, str]:
    group, reason, amount, quantity = one
    mended = group, reason, cents(amount, f"{element} CAS"), quantity
    if not ADJUSTMENTS("*".join(mended) + "~"):
        raise NotWritable(f"{element} CAS: {WANTED}")
    return mended
