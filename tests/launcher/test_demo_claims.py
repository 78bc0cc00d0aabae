"""Proves that a clearinghouse of the demo is left as it was found, whatever broke off, and that claims stay in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from integrations.doubles.server import Answer, HttpDouble, Request
from integrations.x12.fake import FakeClearinghouse
from workers.cli import demo_billing, demo_claims
from workers.cli.demo_claims import Scene
from workers.cli.desk import Desk
from workers.cli.errors import Refused
from workers.cli.state import Ports, Running

TIME_FOR_FILING = timedelta(days=180)  # of the plan of the demo


class Clinic(HttpDouble):
    """Makes everything it is asked for but what is at `closed`, and leaves what it is asked to leave."""

    closed = ""

    def take(self, request: Request) -> Answer:
        return Answer(500 if self.closed and self.closed in request.path else 201, {"id": "1", "payer_id": "P1"})


@pytest.fixture
def clinic() -> Iterator[Clinic]:
    with Clinic() as running:
        yield running


@pytest.fixture
def scene(clinic: Clinic, tmp_path: Path) -> Iterator[Scene]:
    stack, desk = Running(Ports(), {"CARERELAY_DATA_DIR": str(tmp_path)}, {}, ready=True), Desk(clinic.url, "token")
    with FakeClearinghouse(tmp_path / "house") as house:
        yield Scene(stack, desk, desk, house)


def keys(scene: Scene) -> list[Path]:
    return list(Path(scene.stack.env["CARERELAY_DATA_DIR"], "partner-secrets").iterdir())


def test_what_broke_off_is_told_claims_in_line_are_taken_back_and_the_key_is_gone(clinic: Clinic, scene: Scene) -> None:
    def break_off() -> None:
        with demo_claims.partner(scene):
            assert len(keys(scene)) == 1
            scene.drafts += ["C1", "C2"]
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        break_off()
    asked = [request.path for request in clinic.requests if request.method == "POST"]
    assert asked[-2:] == ["/insurance-claims/C1/withdraw/", "/insurance-claims/C2/withdraw/"]
    assert keys(scene) == []


@pytest.mark.parametrize("tries", [1, 2])
def test_a_partner_that_cannot_be_left_after_something_broke_off_is_tried_once_more_and_then_named(
    clinic: Clinic, scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    monkeypatch.setattr(demo_claims, "LEAVE_AGAIN_S", 0.01)

    def break_off() -> None:
        with demo_claims.partner(scene):
            clinic.fail_next(503, method="PATCH", times=tries)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        break_off()
    assert [request.path for request in clinic.requests[-2:]] == ["/trading-partners/1/"] * 2
    named = [line for line in capsys.readouterr().out.splitlines() if "is asked for answers still" in line]
    assert [" 1  is asked" in line and "503" in line for line in named] == [True] * (tries - 1)


def test_a_payer_that_cannot_be_set_up_leaves_no_key_behind(clinic: Clinic, scene: Scene) -> None:
    clinic.closed = "insurance-providers"
    with pytest.raises(Refused, match="insurance-providers"), demo_claims.partner(scene):
        pass
    assert keys(scene) == []


def test_a_partner_that_cannot_be_left_is_told_when_nothing_else_failed(clinic: Clinic, scene: Scene) -> None:
    clinic.fail_next(503, method="PATCH")
    with pytest.raises(Refused, match="PATCH"), demo_claims.partner(scene):
        pass
    assert keys(scene) == []


def test_no_two_of_many_claims_are_alike_and_none_is_too_old() -> None:
    today = date(2026, 6, 1)
    told = demo_billing.days(5000, today)
    assert len(set(told)) == 5000
    assert all(today - TIME_FOR_FILING < day < today for _, day in told)
    assert max(Counter(patient for patient, _ in told).values()) == demo_billing.DAYS


def test_what_an_answer_pays_is_read_by_claim() -> None:
    content = "ISA*00~\nBPR*I*85.5~CLP*CCN1*1*150*85.5*34.5*12*P1~SVC*HC:99213*125*80~CLP*CCN2*4*150*0**12*P2~"
    assert demo_billing.paid_in(content) == {"CCN1": Decimal("85.5"), "CCN2": Decimal(0)}
