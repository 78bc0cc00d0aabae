"""Holds the resources of specimens and code mappings, and that a result's document goes out as a download only."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from backend.apps.core.models import AuditLog
from backend.apps.laboratory.models import LabCodeMapping, LabResult
from backend.apps.laboratory.tests.factories import (
    make_code_mapping,
    make_lab_feed,
    make_lab_order,
    make_lab_result,
    make_lab_specimen,
    make_lab_test,
)
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db


class TestSpecimens(ApiContract):
    url: ClassVar[str] = "/api/v1/lab-specimens/"
    reader: ClassVar[str] = "lab_tech"
    stranger: ClassVar[str | None] = "receptionist"

    def make(self) -> Any:
        return make_lab_specimen()


class TestMappings(ApiContract):
    url: ClassVar[str] = "/api/v1/lab-code-mappings/"
    reader: ClassVar[str] = "lab_tech"
    stranger: ClassVar[str | None] = "nurse"

    def make(self) -> Any:
        return make_code_mapping()


def test_mapping_a_code_again_makes_another_version() -> None:
    feed, (one, two) = make_lab_feed(), (make_lab_test(), make_lab_test())
    client = client_for(make_user("lab_tech"))
    for test in (one, two):
        sent = {"feed": str(feed.pk), "code": "K", "system": "L", "lab_test": str(test.pk)}
        assert client.post("/api/v1/lab-code-mappings/", sent, format="json").status_code == 201
    rows = LabCodeMapping.objects.order_by("version").values_list("version", "is_current", "lab_test")
    assert list(rows) == [(1, False, one.pk), (2, True, two.pk)]


def with_document(released: bool = False) -> LabResult:
    name = default_storage.save("lab_results/test.pdf", ContentFile(b"%PDF-1.4 report"))
    result = make_lab_result(file_attachment=name, lab_order=make_lab_order(status="in_progress"))
    if released:
        result.verify(make_user("lab_tech"))
    return result


def test_a_document_is_a_download_and_audited() -> None:
    result, user = with_document(), make_user("lab_tech")
    answer = client_for(user).get(f"/api/v1/lab-results/{result.pk}/document/")
    assert b"".join(answer.streaming_content) == b"%PDF-1.4 report"
    assert answer["Content-Type"] == "application/pdf"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'attachment; filename="result-{result.pk}.pdf"'
    assert AuditLog.objects.filter(user_id=user.pk, action="document", resource_id=str(result.pk)).count() == 1


def test_a_patient_gets_only_documents_of_released_results_of_their_own() -> None:
    hidden, released = with_document(), with_document(released=True)
    for result, code in ((hidden, 404), (released, 200)):
        user = make_user("patient")
        result.lab_order.patient.user = user
        result.lab_order.patient.save()
        assert client_for(user).get(f"/api/v1/lab-results/{result.pk}/document/").status_code == code
    assert client_for(make_user("patient")).get(f"/api/v1/lab-results/{released.pk}/document/").status_code == 404


def test_a_result_without_a_document_has_none_to_give() -> None:
    result = make_lab_result()
    assert client_for(make_user("lab_tech")).get(f"/api/v1/lab-results/{result.pk}/document/").status_code == 404
