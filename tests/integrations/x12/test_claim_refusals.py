"""Holds what is refused and what is cleaned on the way, so that no text of the clinic can change what a claim says."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.x12.text import NotWritable
from tests.integrations.x12.claim_samples import (
    DEPENDENT,
    DRUG,
    PRIMARY,
    SELF,
    TELEHEALTH,
    VISIT,
    WHOLE,
    segments,
    text,
    writer,
    written,
)
from tests.support.claim_facts import ENVELOPE, PARTS, random_claims

TEXTS = ("holder_last", "holder_first", "holder_line1", "holder_line2", "holder_city", "plan_name", "note")
IDS = ("member_id", "group_number", "trace", "record_number", "prior_authorization")
ODD_TEXT = st.text(st.sampled_from("*:^~|>`\n\x1f\x00 abzÄñ漢ß\u2019'-&0 "), max_size=70) | st.sampled_from(
    ["", "Doe", "A1"]
)


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(TEXTS, ODD_TEXT)))
def test_no_text_can_change_what_a_claim_says(values: dict[str, str]) -> None:
    lines = (VISIT._replace(note=values["note"], description=values["plan_name"]),)
    claim = SELF._replace(**values | {"group_number": ""}, lines=lines)
    try:
        found = segments(claim)
    except NotWritable as refused:
        assert refused.rule.endswith("missing")  # noqa: PT017  # most texts are not refused
        return
    usual = [part for part in segments(SELF._replace(lines=(VISIT,))) if part[:3] != "NTE"]
    assert [part.split("*")[0] for part in found if part[:3] != "NTE"] == [part.split("*")[0] for part in usual]
    assert all(re.fullmatch(r"[ !-)+-9;=?-\]_{}*:]+", part) for part in found[1:])
    for element in (element for part in found[1:] for element in part.split("*")):
        assert element == element.strip()
        assert len(element) <= 80 or ":" in element


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(IDS), ODD_TEXT)
def test_a_number_is_written_as_it_is_or_refused(name: str, value: str) -> None:
    try:
        found = text(SELF._replace(**{name: value}))
    except NotWritable as refused:
        assert value.strip() not in refused.rule.split() or not value.strip()  # noqa: PT017  # many are written
        return
    assert f"*{value.upper().strip()}" in found


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"control_number": "A" * 21}, "2300 CLM01: 21 characters, 20 at most"),
        ({"control_number": "A B"}, "2300 CLM01: not as the element wants it, 3 characters"),
        ({"member_id": "W1*2"}, "2010BA NM109: not as the element wants it, 4 characters"),
        ({"member_id": "Wé1"}, "2010BA NM109: not as the element wants it, 3 characters"),
        ({"member_id": ""}, "2010BA NM109: missing"),
        ({"holder_last": "李"}, "2010BA NM103: missing"),
        ({"holder_state": "Texas"}, "2010BA N402: not as the element wants it, 5 characters"),
        ({"holder_birth": "19800101\u0661"}, "2010BA DMG02: not as the element wants it, 9 characters"),
        ({"total": "1.005"}, "2300 CLM02: a part of a cent"),
        ({"total": "much"}, "2300 CLM02: not an amount, 4 characters"),
        ({"total": "NaN"}, "2300 CLM02: not an amount, 3 characters"),
        ({"total": "-1.00"}, "2300 CLM02: not as the element wants it, 5 characters"),
        ({"diagnoses": "E11.9"}, "2300 HI: not as the element wants it, 5 characters"),
        ({"frequency": "6"}, "2300 CLM05-3: not as the element wants it, 1 characters"),
        ({"trace": "x" * 21}, "2300 REF*D9: 21 characters, 20 at most"),
        ({"original_reference": "x" * 51}, "2300 REF*F8: 51 characters, 50 at most"),
        ({"rendering": "nobody"}, "2310B: a part is named that was not given"),
        ({"payer": "nobody"}, "2010BB: a part is named that was not given"),
        ({"lines": ()}, "2400 LX: 1 to 50 lines, not 0"),
        ({"lines": (VISIT,) * 51}, "2400 LX: 1 to 50 lines, not 51"),
        ({"lines": (VISIT._replace(control_number="x" * 31),)}, "2400 REF*6R: 31 characters, 30 at most"),
        ({"lines": (VISIT._replace(code="9921"),)}, "2400 SV101-2: not as the element wants it, 4 characters"),
        ({"lines": (VISIT._replace(units="0.0001"),)}, "2400 SV104: not as the element wants it, 6 characters"),
        ({"lines": (VISIT._replace(pointers="1,3"),)}, "2400 SV107: points at code 3 of 2"),
        ({"lines": (VISIT._replace(pointers="0"),)}, "2400 SV107: not as the element wants it, 1 characters"),
        ({"lines": (DRUG._replace(ndc_unit=""),)}, "2410 CTP: a drug needs its quantity and unit"),
        ({"other_payers": (WHOLE._replace(adjustments=(("XX", "1", "1.00", ""),)),)},
         "2320 CAS: a group, a reason and a quantity are wanted"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_rule_and_never_by_its_value(changes: dict, rule: str) -> None:
    with pytest.raises(NotWritable) as refused:
        written([SELF, SELF._replace(id="bad", **changes)])
    assert str(refused.value) == f"{rule} (row bad)"
    assert (refused.value.rule, refused.value.row) == (rule, "bad")


def test_a_refused_claim_leaves_the_others_to_be_written() -> None:
    one = writer()
    first = one.write([SELF])
    with pytest.raises(NotWritable):
        one.write([DEPENDENT, SELF._replace(payer="p2"), SELF._replace(total="")])
    second = one.write([DEPENDENT, SELF._replace(payer="p2")])
    whole = written([SELF, DEPENDENT, SELF._replace(payer="p2")])
    assert (first.content + second.content + one.close(), first.placed + second.placed) == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"element_separator": "~"}, {"element_separator": ""}, {"element_separator": "A"}, {"component_separator": "é"},
        {"segment_terminator": "~~"}, {"isa_id_ours": "C" * 16}, {"isa_id_theirs": "A*B"}, {"gs_id_ours": ""},
        {"interchange_number": 10**9}, {"group_number": 0}, {"isa_qualifier_ours": "Z"},
        {"at": ENVELOPE.at.replace(tzinfo=None)}, {"usage": ""}, {"usage": "I"},
    ],
)  # fmt: skip
def test_an_envelope_that_no_partner_could_read_is_refused(changes: dict) -> None:
    with pytest.raises(NotWritable):
        written([SELF], ENVELOPE._replace(**changes))


def test_an_interchange_without_claims_is_not_closed() -> None:
    one = writer()
    one.write([])
    with pytest.raises(NotWritable):
        one.close()


def test_a_claim_prints_as_its_type_only() -> None:
    assert repr(TELEHEALTH) == "Claim()"
    assert repr((VISIT, PRIMARY)) == "(Line(), OtherPayer())"
    assert repr(PARTS.billing["b2"]) == "Billing()"


def test_memory_does_not_grow_with_the_number_of_claims() -> None:
    one = writer()
    some = random_claims(200, seed=5)
    one.write(some)
    tracemalloc.start()
    for serial in range(10):
        one.write([claim._replace(control_number=f"{serial}{claim.control_number}"[:20]) for claim in some])
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
