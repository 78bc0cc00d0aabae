"""Holds what becomes of documents, units, codes, specimens and findings that led to others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from backend.apps.laboratory import services, ucum
from backend.apps.laboratory.models import CriticalPage, CriticalResult, LabOrder, LabResult, LabSpecimen
from backend.apps.laboratory.reports import DocumentIn, OrderIn, ParentIn, SpecimenIn
from backend.apps.laboratory.tests.factories import (
    NOON,
    filed,
    make_lab_feed,
    make_lab_order,
    make_lab_test,
    observation_in,
    order_in,
    report_in,
)
from backend.apps.laboratory.tests.test_permutations import chart
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

PDF = b"%PDF-1.4 a scanned report"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def kept() -> list[str]:
    return default_storage.listdir("lab_results")[1] if default_storage.exists("lab_results") else []


def document(content: bytes = PDF, **over: Any) -> Any:
    return observation_in(value_type="ED", value="", numeric=None, document=DocumentIn(content, **over))


def test_a_document_is_stored_once_however_often_it_comes(django_capture_on_commit_callbacks: Any) -> None:
    patient = make_patient()
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            filed(report_in(patient, order_in(document())))
    result = LabResult.objects.get()
    assert result.file_attachment.read() == PDF
    assert result.result_value == f"Attached: a document of {len(PDF)} bytes (PDF)."
    assert [f"lab_results/{name}" for name in kept()] == [result.file_attachment.name]


def test_another_document_is_another_version(django_capture_on_commit_callbacks: Any) -> None:
    patient = make_patient()
    for place, content in enumerate((PDF, PDF[:-1] + b"?")):
        with django_capture_on_commit_callbacks(execute=True):
            at = NOON + timedelta(hours=place)
            filed(report_in(patient, order_in(document(content), reported_at=at)))
    assert LabResult.objects.count() == len(kept()) == 2


def test_a_filing_that_is_taken_back_leaves_no_file(django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        filed(report_in(make_patient(), order_in(document())))
        transaction.set_rollback(True)
    assert kept() == []


def test_a_file_that_was_cut_off_is_written_again(django_capture_on_commit_callbacks: Any) -> None:
    patient = make_patient()
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            filed(report_in(patient, order_in(document())))
        name = LabResult.objects.get().file_attachment.name
        assert Path(default_storage.path(name)).read_bytes() == PDF
        Path(default_storage.path(name)).write_bytes(PDF[:5])


@pytest.mark.parametrize("sent", [document(b"PK\x03\x04"), document(b"", problem="Damaged base64 data: 3 characters.")])
def test_a_document_that_cannot_be_kept_says_so_in_its_result(sent: Any) -> None:
    assert filed(report_in(make_patient(), order_in(sent))).status == "filed"
    result = LabResult.objects.get()
    assert not result.file_attachment
    assert "could not be kept here" in result.result_value
    assert result.result_value.endswith("It is in the message.")


@pytest.mark.parametrize(
    ("sent", "unit"),
    [
        ("mmol/l", "mmol/L"), ("MMOL/L", "mmol/L"), ("mEq/L", "meq/L"), ("10*3/uL", "10*3/uL"), ("K/uL", "10*3/uL"),
        ("x10E3/uL", "10*3/uL"), ("X10(3)/mcL", "10*3/uL"), ("10^9/L", "10*9/L"), ("mg/dl", "mg/dL"),
        ("IU/L", "[IU]/L"),
        ("uIU/mL", "u[IU]/mL"), ("%", "%"), ("mm/hr", "mm/h"), ("\u00b5mol/L", "umol/L"), ("G/L", "10*9/L"),
        ("g/L", "g/L"), ("mM", "mmol/L"), ("mL/min/1.73m2", "mL/min/{1.73_m2}"),
        ("MU/L", ""), ("MM", ""), ("S", ""), ("10^5/uL", ""), ("furlongs", ""), ("", ""),
    ],
)  # fmt: skip
def test_units_are_written_in_ucum_only_where_they_mean_one_thing(sent: str, unit: str) -> None:
    assert ucum.of(sent) == unit


def test_a_unit_is_kept_as_sent_beside_its_ucum_code() -> None:
    filed(report_in(make_patient(), order_in(observation_in(unit="MG/DL"), observation_in(code="X", unit="drops"))))
    rows = LabResult.objects.order_by("observation_index", "code_as_sent").values_list("unit", "unit_as_sent")
    assert sorted(rows) == [("drops", "drops"), ("mg/dL", "MG/DL")]


def test_the_second_code_of_a_result_may_be_the_one_that_is_known() -> None:
    test = make_lab_test(test_code="2823-3")
    sent = observation_in(code="K", system="99LAB", other_code="2823-3", other_system="LN")
    filed(report_in(make_patient(), order_in(sent)))
    result = LabResult.objects.get()
    assert (result.lab_test, result.code_as_sent, result.other_code_as_sent) == (test, "K", "2823-3")


def test_our_own_mapping_comes_first_and_the_feeds_before_everybodys() -> None:
    make_lab_test(test_code="2823-3")
    everybodys, feeds = make_lab_test(), make_lab_test()
    feed, other = make_lab_feed(), make_lab_feed(sending_facility="B")
    services.map_code(by=None, code="2823-3", lab_test=everybodys)
    mapping = services.map_code(by=None, code="2823-3", feed=feed, system="LN", lab_test=feeds)
    patient = make_patient()
    filed(report_in(patient), feed=feed, sending_facility="A")
    filed(report_in(patient), feed=other, sending_facility="B")
    rows = LabResult.objects.order_by("source_message__sending_facility")
    assert [row.lab_test for row in rows] == [feeds, everybodys]
    assert rows[0].mapping == mapping


def test_a_code_mapped_later_names_what_is_on_file_and_completes_its_order() -> None:
    test = make_lab_test()
    order = make_lab_order(status="ordered", tests=[test, make_lab_test(test_code="2951-2")])
    rows = (observation_in(code="K", system="L"), observation_in(code="2951-2"))
    filed(report_in(order.patient, order_in(*rows, placer=order.order_number, code="P")))
    order.refresh_from_db()
    assert order.status == "in_progress"
    first = services.map_code(by=None, code="K", lab_test=test)
    order.refresh_from_db()
    assert order.status == "completed"
    assert services.map_code(by=None, code="K", lab_test=test) == first
    assert (first.version, LabResult.objects.get(code_as_sent="K").mapping) == (1, first)


def long_ago() -> None:
    """Let all orders and results look as if nothing had been changed since."""
    for model in (LabOrder, LabResult):
        model.all_objects.update(updated_at=NOON)


def changed(model: Any) -> set[Any]:
    return set(model.all_objects.filter(updated_at__gt=NOON).values_list("pk", flat=True))


def test_a_code_mapped_later_changes_its_results_and_the_order_nobody_placed() -> None:
    patient = make_patient()
    filed(report_in(patient, order_in(observation_in(code="K", system="L"), filler="F1", code="K")))
    long_ago()
    services.map_code(by=None, code="K", lab_test=make_lab_test())
    assert changed(LabResult) == {LabResult.objects.get().pk}
    assert changed(LabOrder) == {LabOrder.objects.get().pk}


def test_a_panel_that_moves_changes_what_it_holds_and_the_orders_it_leaves_and_reaches() -> None:
    patient = make_patient()
    first, other, aside = (make_lab_order(patient=patient, status="ordered") for _ in range(3))
    for order in (aside, other):
        number = {aside: "F9", other: "F1"}[order]
        filed(report_in(patient, order_in(observation_in(), placer=order.order_number, filler=number)))
    other.refresh_from_db()
    [row] = other.results.all()
    long_ago()
    filed(report_in(patient, order_in(observation_in(), placer=first.order_number, filler="F1")))
    assert changed(LabResult) == {row.pk}
    assert changed(LabOrder) == {first.pk, other.pk}


def test_an_order_nobody_placed_changes_with_a_panel_that_joins_it() -> None:
    patient = make_patient()
    panels = [order_in(observation_in(), filler="F1", placer="X1", code=code) for code in ("24323-8", "600-7")]
    filed(report_in(patient, panels[0]))
    order = LabOrder.objects.get()
    for said, expected in ((panels[0], set()), (panels[1], {order.pk})):
        long_ago()
        filed(report_in(patient, replace(said, priority=order.priority)))
        assert changed(LabOrder) == expected


def too_high(**said: Any) -> OrderIn:
    found = observation_in(value="7.5", numeric=Decimal("7.5"), observed_at=timezone.now(), **said)
    return order_in(found, code="K", reported_at=timezone.now())


@pytest.mark.parametrize("said", [{"code": "K", "system": "L"}, {"code": "2", "other_code": "K", "other_system": "l"}])
def test_a_code_may_be_mapped_before_its_result_is_filed_or_after(said: dict[str, Any]) -> None:
    make_user(role="admin", email="boss@clinic.example", phone="+14155550177")
    test, patient, found = make_lab_test(critical_high=Decimal("6.5")), make_patient(), []
    report = report_in(patient, too_high(flag="", **said))
    map_it = partial(services.map_code, by=None, code="K", system="L", lab_test=test)
    for steps in permutations([map_it, partial(filed, report)]):
        with transaction.atomic():
            for step in steps:
                step()
            map_it()
            paged = CriticalResult.objects.get()
            found.append((chart(patient), paged.status, paged.tier, paged.steps.count(), paged.pages.count()))
            transaction.set_rollback(True)
    assert found[0] == found[1]
    assert found[0][-1] == 1


def test_a_mapping_with_a_system_names_only_codes_of_that_system() -> None:
    filed(report_in(make_patient(), order_in(observation_in(code="2", system="L", other_code="K", other_system="99X"))))
    services.map_code(by=None, code="K", system="L", lab_test=make_lab_test())
    assert LabResult.objects.get().lab_test is None


def test_what_the_laboratory_flagged_is_not_paged_for_again_when_its_code_is_mapped() -> None:
    make_user(role="admin", email="boss@clinic.example", phone="+14155550177")
    filed(report_in(make_patient(), too_high(code="K", system="L", flag="critical_high")))
    services.map_code(by=None, code="K", lab_test=make_lab_test(critical_high=Decimal("6.5")))
    assert CriticalPage.objects.count() == 1


def test_the_newest_word_about_a_specimen_holds_whatever_came_first() -> None:
    patient = make_patient()

    def says(hour: int, condition: str) -> Any:
        specimen = SpecimenIn(specimen_id="S1", code="SER", text="Serum", collected_at=NOON, condition=condition)
        at = NOON + timedelta(hours=hour)
        return report_in(patient, order_in(observation_in(), specimens=(specimen,)), sent_at=at)

    for reports in permutations([says(1, ""), says(2, "hemolyzed"), says(1, "clotted")]):
        with transaction.atomic():
            for report in reports:
                filed(report)
            specimen = LabSpecimen.objects.get()
            assert (specimen.condition, specimen.lab_order) == ("hemolyzed", LabOrder.objects.get(patient=patient))
            transaction.set_rollback(True)


def test_a_susceptibility_finds_its_organism_whichever_came_first() -> None:
    patient = make_patient()
    culture = order_in(
        observation_in(code="600-7", value="E. coli", value_type="CE", numeric=None, sub_id="1"),
        observation_in(code="600-7", value="S. aureus", value_type="CE", numeric=None, sub_id="2"),
        filler="C1",
    )
    tested = order_in(
        observation_in(code="18864-9", value="<4", numeric=None), filler="C1-2", parent=ParentIn("C1", "600-7", "2")
    )
    for orders in permutations((culture, tested)):
        with transaction.atomic():
            for order in orders:
                filed(report_in(patient, order))
            child = LabResult.objects.get(code_as_sent="18864-9")
            assert child.parent is not None
            assert child.parent.result_value == "S. aureus"
            assert list(child.parent.children) == [child]
            transaction.set_rollback(True)


def test_a_number_used_again_for_another_patient_leads_to_nothing_of_theirs() -> None:
    culture = order_in(observation_in(code="600-7", sub_id="1"), filler="C1")
    tested = order_in(observation_in(code="18864-9"), filler="C1-2", parent=ParentIn("C1", "600-7", "1"))
    for patient in (make_patient(), make_patient()):
        filed(report_in(patient, culture, tested))
    for found in LabResult.objects.filter(code_as_sent="600-7"):
        (child,) = found.children
        assert child.parent == found


def test_a_final_without_its_value_takes_the_preliminary_one() -> None:
    patient = make_patient()
    early = order_in(observation_in(status="preliminary", value="4.4", unit="mmol/l"), filler="F1")
    final = observation_in(status="final", value="", numeric=None, unit="", restates=True)
    later = order_in(final, filler="F1", reported_at=NOON + timedelta(hours=2))
    assert filed(report_in(patient, later)).status == "worklist"
    assert not LabResult.objects.exists()
    filed(report_in(patient, early))
    outcomes = [filed(report_in(patient, later)).status for _ in range(2)]
    current = LabResult.objects.get(is_current=True)
    assert (current.status, current.result_value, current.unit, current.version) == ("final", "4.4", "mmol/L", 2)
    assert outcomes == ["filed", "duplicate"]
