"""Holds that claims are written as the standard says, whatever their kind, the partner's separators or their number."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from integrations.x12.claim_837p import Writer837P
from integrations.x12.claim_records import Claim, Placed
from integrations.x12.text import NotWritable
from tests.integrations.x12.claim_samples import (
    DECIDED,
    DEPENDENT,
    GOLDEN,
    PRIMARY,
    SECONDARY,
    SELF,
    TEST,
    VISIT,
    WHOLE,
    segments,
    text,
    writer,
    written,
)
from tests.support.claim_facts import ENVELOPE, PARTS, RECEIVER, SUBMITTER, random_claims
from tests.support.claim_plain import plain_837p, simple
from tests.support.x12valid import by_pyx12, by_x12sdk, x12valid

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "x12"
LINES = ENVELOPE._replace(segment_terminator="~\n")
OTHERS = ENVELOPE._replace(
    element_separator="|", component_separator=">", repetition_separator="{", segment_terminator="!"
)
ODD = ENVELOPE._replace(
    element_separator="\x1d", component_separator="\x1f", repetition_separator="+", segment_terminator="\x1c\r\n"
)


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    return random_claims(160, seed=11)


def test_readers_of_others_find_nothing_in_random_claims_of_all_kinds(claims: list[Claim]) -> None:
    assert x12valid(written(claims, most_claims=7).content) == []


def test_those_readers_do_find_what_is_wrong() -> None:
    fine = text(SELF)
    assert by_pyx12(fine.replace("REF*EI*741234567~", "").replace("SE*", "SE*1"))
    assert by_x12sdk(fine.replace("SE*42", "SE*43"), 1)
    assert by_x12sdk(fine, 2) == ["x12sdk: 1 of 2 transactions"]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_file_is_written_to_the_byte(name: str) -> None:
    content = written(GOLDEN[name], LINES).content
    assert content == (FOLDER / f"{name}.x12").read_bytes()
    assert x12valid(content) == []


def test_simple_claims_are_what_formatting_segment_by_segment_gives(claims: list[Claim]) -> None:
    plain = [claim for claim in claims if simple(claim) and claim.rendering != "d99"]
    one = writer()
    billing = {key: one.billing[key] for key in PARTS.billing}
    assert len(plain) > 40
    assert written(plain).content.decode() == plain_837p(plain, ENVELOPE, one.header, billing, PARTS)


@pytest.mark.parametrize("envelope", [OTHERS, ODD, LINES])
def test_other_separators_change_nothing_else(claims: list[Claim], envelope: object) -> None:
    theirs = written(claims, envelope).content  # type: ignore[arg-type]  # parameters are objects
    end = envelope.segment_terminator  # type: ignore[attr-defined]  # parameters are objects
    signs = "".join(getattr(envelope, f"{name}_separator") for name in ("element", "repetition", "component")) + end[0]
    back = theirs.decode().replace(end, end[0]).translate(str.maketrans(signs, "*^:~"))
    assert back.encode() == written(claims).content


def test_readers_of_others_understand_other_separators() -> None:
    assert x12valid(written([SELF, DEPENDENT], OTHERS).content) == []


def test_many_calls_write_what_one_call_writes(claims: list[Claim]) -> None:
    one, content, placed = writer(), b"", list[Placed]()
    for at in range(0, len(claims), 9):
        more = one.write(claims[at : at + 9])
        content += more.content
        placed += more.placed
    whole = written(claims)
    assert (content + one.close(), placed) == (whole.content, whole.placed)


def test_every_count_and_number_fits(claims: list[Claim]) -> None:
    found = written(claims, most_claims=6).content.decode().split("~")[:-1]
    starts = [at for at, segment in enumerate(found) if segment.startswith("ST*")]
    ends = [at for at, segment in enumerate(found) if segment.startswith("SE*")]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        assert found[start] == f"ST*837*{number:04}*005010X222A1"
        assert found[end] == f"SE*{end - start + 1}*{number:04}"
        assert found[start + 1].split("*")[3] == f"000000007{number:04}"
        levels = [segment.split("*") for segment in found[start:end] if segment.startswith("HL*")]
        assert [level[1] for level in levels] == [str(at) for at in range(1, len(levels) + 1)]
        assert sum(segment.startswith("CLM*") for segment in found[start:end]) <= 6
    assert found[-2:] == [f"GE*{len(starts)}*7", "IEA*1*000000007"]


def test_a_claim_is_placed_where_its_segments_stand(claims: list[Claim]) -> None:
    content, placed = written(claims, most_claims=6)
    transactions = {part.split("*")[1]: f"ST*{part}".split("~") for part in content.decode().split("~ST*")[1:]}
    for claim, where in zip(claims, placed, strict=True):
        own = transactions[where.transaction][where.first_segment - 1 : where.last_segment]
        assert (where.id, where.control_number) == (claim.id, claim.control_number)
        assert own[0].startswith("HL*")
        assert [part.split("*")[1] for part in own if part.startswith("CLM*")] == [claim.control_number]
        assert transactions[where.transaction][where.last_segment][:3] in {"HL*", "SE*"}
        assert f"*{where.reference}*" in transactions[where.transaction][1]


def test_another_billing_provider_or_payer_begins_a_transaction() -> None:
    others = [SELF, SELF._replace(payer="p2"), SELF._replace(billing="b2", payer="p2"), SELF]
    assert [where.transaction for where in written(others).placed] == ["0001", "0002", "0003", "0004"]


def test_no_element_trails_and_no_amount_has_idle_zeros(claims: list[Claim]) -> None:
    for segment in written(claims).content.decode().split("~")[1:]:
        assert segment[-1:] not in {"*", ":"}
        assert not re.search(r"\.\d*0(?:[*:]|$)", segment), segment[:3]
        assert segment == segment.upper()


@pytest.mark.parametrize(
    ("amount", "out"),
    [("125.00", "125"), ("125.50", "125.5"), ("1000.00", "1000"), ("0.05", "0.05"), ("125", "125"), ("1E+2", "100")],
)
def test_amounts_are_written_short(amount: str, out: str) -> None:
    line = VISIT._replace(charge=amount)
    assert f"CLM*{SELF.control_number}*{out}***" in text(SELF._replace(total=amount, lines=(line,)))
    assert f"HC:99213:25*{out}*UN" in text(SELF._replace(total=amount, lines=(line,)))


def test_names_become_plain_capitals_before_they_are_cut() -> None:
    odd = "Peña-Løve & Straße*of:Åre~x^"
    found = text(
        SELF._replace(
            holder_last=odd, holder_first="Zoë\n李", holder_line1="Œ" * 40, plan_name="x" * 70, group_number=""
        )
    )
    assert "NM1*IL*1*PENA-LOVE & STRASSE OF ARE X*ZOE****MI*" in found
    assert f"N3*{('OE' * 40)[:55]}*APT 4~" in found
    assert f"SBR*P*18**{'X' * 60}*****CI~" in found


def test_lower_case_and_blanks_at_the_ends_are_mended_on_the_way() -> None:
    assert text(SELF._replace(holder_last=" Doe ", holder_first="jane ", member_id=" w000000001", note="")) == text(
        SELF
    )


def test_who_is_insured_oneself_may_be_given_as_the_patient_only() -> None:
    moved = {f"patient_{name}": getattr(SELF, f"holder_{name}") for name in ("last", "first", "birth", "sex")}
    address = {
        f"patient_{name}": getattr(SELF, f"holder_{name}")
        for name in ("line1", "line2", "city", "state", "postal_code")
    }
    empty = dict.fromkeys((key.replace("patient", "holder") for key in moved | address), "")
    assert text(SELF._replace(**empty | moved | address)) == text(SELF)
    without_address = dict.fromkeys((key.replace("patient", "holder") for key in address), "")
    assert text(SELF._replace(**without_address | moved | address)) == text(SELF)


@pytest.mark.parametrize("last", ["PENA", "Peña"])
def test_a_name_or_an_address_is_never_put_together_from_two(last: str) -> None:
    theirs = {
        "patient_last": "SAMPLE", "patient_first": "ANA", "patient_birth": "19700101", "patient_sex": "M",
        "patient_line1": "9 ELM RD", "patient_line2": "FLOOR 3", "patient_city": "TULSA", "patient_state": "OK",
        "patient_postal_code": "74103",
    }  # fmt: skip
    both = SELF._replace(holder_last=last, **theirs)

    def person(**lacking: str) -> str:
        found = segments(both._replace(**lacking))
        start = next(at for at, part in enumerate(found) if part.startswith("NM1*IL"))
        return "~".join(found[start : start + 4])

    name, home, born = "NM1*IL*1*PENA*JANE****MI*W000000001", "N3*12 OAK AVE*APT 4~N4*AUSTIN*TX*787021234", "19800101"
    away = "N3*9 ELM RD*FLOOR 3~N4*TULSA*OK*74103"
    assert person() == f"{name}~{home}~DMG*D8*{born}*F"
    assert person(holder_first="") == f"NM1*IL*1*PENA*****MI*W000000001~{home}~DMG*D8*{born}*F"
    assert person(holder_last="") == f"NM1*IL*1*SAMPLE*ANA****MI*W000000001~{home}~DMG*D8*{born}*F"
    assert person(holder_line2="") == f"{name}~N3*12 OAK AVE~N4*AUSTIN*TX*787021234~DMG*D8*{born}*F"
    for part in ("line1", "city", "state", "postal_code"):
        assert person(**{f"holder_{part}": ""}) == f"{name}~{away}~DMG*D8*{born}*F"
    assert person(holder_birth="") == f"{name}~{home}~DMG*D8*19700101*F"
    assert person(holder_sex="", holder_city="") == f"{name}~{away}~DMG*D8*{born}*M"


def test_any_record_with_these_names_will_do() -> None:
    lines = tuple(SimpleNamespace(**line._asdict()) for line in SELF.lines)
    assert text(SimpleNamespace(**SELF._replace(lines=lines)._asdict())) == text(SELF)  # type: ignore[arg-type]  # other lines


def test_who_bills_is_not_named_again() -> None:
    assert "NM1*82" not in text(SELF._replace(billing="b2", rendering="d99"))
    assert "NM1*82*1*TESTER*DOCB****XX*" in text(SELF._replace(billing="b2"))


def test_where_the_clinic_is_is_not_said_again() -> None:
    assert "NM1*77" not in text(SELF._replace(facility="f0"))
    assert "NM1*77*2*SAMPLE VAN~N3*9 LOT RD~" in text(SELF._replace(facility="f2"))


def test_a_line_names_its_own_provider_only_if_that_is_another() -> None:
    def providers(rendering: str, of_line: str) -> list[str]:
        claim = SELF._replace(billing="b2", rendering=rendering, lines=(VISIT._replace(rendering=of_line),))
        return [part.split("*")[-1] for part in segments(claim) if part.startswith("NM1*82")]

    first, second, biller = (PARTS.providers[key].npi for key in ("d1", "d2", "d99"))
    assert providers("d1", "d1") == [first]
    assert providers("d1", "d2") == [first, second]
    assert providers("d99", "d2") == [second]
    assert providers("d1", "d99") == [first, biller]
    assert providers("", "d99") == []


@pytest.mark.parametrize("lacking", ["line1", "city", "state", "postal_code"])
def test_half_an_address_of_a_payer_or_of_an_earlier_holder_is_left_out(lacking: str) -> None:
    payers = {**PARTS.payers, "p1": PARTS.payers["p1"]._replace(**{lacking: ""})}
    earlier = PRIMARY._replace(**{f"holder_{lacking}": ""})
    claim = SECONDARY._replace(other_payers=(earlier,))
    one = Writer837P(ENVELOPE, SUBMITTER, RECEIVER, PARTS._replace(payers=payers))
    content = one.write([claim]).content + one.close()
    assert text(claim).count("~N3*") == text(SECONDARY).count("~N3*") - 1
    assert content.count(b"~N4*") == text(SECONDARY).count("~N4*") - 2
    assert x12valid(content) == []


def test_half_a_pay_to_address_is_refused() -> None:
    billing = {"b1": PARTS.billing["b1"]._replace(pay_to_city="")}
    one = Writer837P(ENVELOPE, SUBMITTER, RECEIVER, PARTS._replace(billing=billing))
    with pytest.raises(NotWritable, match="2010AB N4"):
        one.write([SELF])


def test_what_is_left_to_pay_is_said_at_the_lines_or_else_at_the_claim() -> None:
    """Source: TR3, 2320 AMT*EAF, note 3; of a payer whose lines do not say it, the claim does."""

    def behind(*claims: Claim) -> list[str]:
        found = segments(*claims)
        return [found[at - 1].split("*")[0] for at, part in enumerate(found) if part.startswith("AMT*EAF")]

    silent = tuple(
        line._replace(adjudications=tuple(one._replace(remaining="") for one in line.adjudications))
        for line in SECONDARY.lines
    )
    other = PRIMARY._replace(sequence="S", payer_identifier="88880")
    assert behind(SECONDARY) == ["DTP", "DTP"]
    assert behind(SECONDARY._replace(lines=silent)) == ["AMT"]
    assert behind(SECONDARY._replace(sequence="T", other_payers=(PRIMARY, other))) == ["AMT", "DTP", "DTP"]


def test_an_adjustment_of_nothing_is_not_written() -> None:
    nothing = (("CO", "45", "0.00", ""), ("CO", "253", "0", ""), ("PR", "1", "-0.00", "1"), ("PR", "2", "10.00", ""))
    found = segments(SECONDARY._replace(other_payers=(PRIMARY._replace(adjustments=nothing),)))
    assert [part for part in found[: found.index("LX*1")] if part.startswith("CAS")] == ["CAS*PR*2*10"]


@pytest.mark.parametrize(
    ("accident", "out"), [("AA", "AA:::TX"), ("OA,AA", "OA:AA::TX"), ("EM", "EM"), ("EM,OA", "EM:OA")]
)
def test_a_state_stands_beside_a_car_accident_alone(accident: str, out: str) -> None:
    claim = text(SELF._replace(accident=accident, accident_state="TX", accident_on="20261001"))
    assert f"*Y*A*Y*Y**{out}~DTP*439" in claim


@pytest.mark.parametrize("sign", "@_/='")
def test_an_e_mail_address_that_holds_a_separator_is_left_out_or_refused(sign: str) -> None:
    envelope = ENVELOPE._replace(repetition_separator=sign)
    mailbox = f"O{'' if sign == '@' else sign}DOE@SAMPLE.TEST"

    def header(phone: str) -> bytes:
        return (
            Writer837P(envelope, SUBMITTER._replace(phone=phone, email=mailbox), RECEIVER, PARTS).write([SELF]).content
        )

    assert b"*TE*5125550100~NM1*40" in header("5125550100")
    with pytest.raises(NotWritable, match="1000A PER04"):
        header("")
    usual = Writer837P(ENVELOPE, SUBMITTER._replace(phone="", email=mailbox), RECEIVER, PARTS)
    assert f"*EM*{mailbox}~" in usual.write([SELF]).content.decode()


def test_the_day_of_a_decision_is_said_once() -> None:
    by_line, whole = segments(SECONDARY), segments(SECONDARY._replace(lines=SELF.lines, other_payers=(WHOLE,)))
    assert [by_line[at - 3][:4] for at, part in enumerate(by_line) if part.startswith("DTP*573")] == ["SVD*", "REF*"]
    assert [whole[at - 1] for at, part in enumerate(whole) if part.startswith("DTP*573")] == [
        "NM1*PR*2*SAMPLE PRIMARY*****PI*77770"
    ]


def test_more_than_six_reasons_of_a_group_take_another_segment() -> None:
    many = tuple(("CO", str(at), "1.00", "") for at in range(1, 8))
    found = segments(SECONDARY._replace(other_payers=(PRIMARY._replace(adjustments=many),)))
    assert "CAS*CO*1*1**2*1**3*1**4*1**5*1**6*1" in found
    assert "CAS*CO*7*1" in found


def test_two_payers_may_have_decided_on_a_line() -> None:
    """One of the readers keeps the last decision only, so the other judges."""
    again = DECIDED._replace(payer_identifier="88880", paid="1.00")
    claim = SECONDARY._replace(
        sequence="T",
        lines=(VISIT._replace(adjudications=(DECIDED, again)), TEST),
        other_payers=(PRIMARY, PRIMARY._replace(sequence="S", payer_identifier="88880")),
    )
    assert text(claim).count("~SVD*") == 2
    assert by_pyx12(text(claim)) == []


def test_a_sex_that_is_not_known_is_u() -> None:
    """One of the readers has no U, which the guide allows."""
    assert by_pyx12(text(SELF._replace(holder_sex="U"))) == []
