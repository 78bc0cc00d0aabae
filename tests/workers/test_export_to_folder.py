"""Holds `carerelay export`: whole files with the names and sums of the manifest, in a folder that was not there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from backend.apps.interop.fhir.exports import accounting, services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import Disclosure, ExportFile, ExportJob
from backend.apps.patients.tests.factories import make_patient
from workers.cli import exporting
from workers.cli.errors import Refused
from workers.fhir import to_folder
from workers.fhir.hands import NOTHING


@pytest.mark.django_db(transaction=True)
def test_an_export_to_a_folder_is_whole_accounted_for_and_leaves_nothing_in_our_own_storage(
    settings: Any, tmp_path: Path, rung: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {**settings.STORAGES["exports"], "OPTIONS": {"location": tmp_path / "exports"}}
    settings.STORAGES = {**settings.STORAGES, "exports": kept}
    settings.EXPORT_FILE_ROWS = 2
    patients = {str(make_patient().pk) for _ in range(3)}
    target = tmp_path / "out"
    assert to_folder.main([str(target), "--type=Patient", "--since=2020-01-01"]) == 0
    manifest = json.loads((target / "manifest.json").read_text())
    assert [item["url"] for item in manifest["output"]] == ["Patient.1.ndjson", "Patient.2.ndjson"]
    data = [(target / item["url"]).read_bytes() for item in manifest["output"]]
    sums = [item["extension"]["sha256"] for item in manifest["output"]]
    assert sums == [hashlib.sha256(one).hexdigest() for one in data]
    assert {json.loads(line)["id"] for line in b"".join(data).splitlines()} == patients
    assert (target.stat().st_mode & 0o077, manifest["error"], manifest["deleted"]) == (0, [], [])
    assert not [path for path in (tmp_path / "exports").rglob("*") if path.is_file()]
    assert ExportFile.objects.filter(removed_at=None).count() == 0
    assert (ExportJob.objects.get().status, Disclosure.objects.get().recipient) == ("expired", accounting.COMMAND_LINE)
    assert "3 resources of 1 type in" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_only_the_export_of_the_command_is_led_and_what_breaks_it_is_told_in_a_sentence(
    settings: Any, tmp_path: Path, rung: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {**settings.STORAGES["exports"], "OPTIONS": {"location": tmp_path / "exports"}}
    settings.STORAGES = {**settings.STORAGES, "exports": kept}
    another = services.begin(Asked())
    make_patient()
    assert to_folder.main([str(tmp_path / "out"), "--type=Patient"]) == 0
    another.refresh_from_db()
    assert (another.status, another.lease_no) == ("accepted", 0)
    assert to_folder.main([str(tmp_path / "away" / "out"), "--type=Patient"]) == 1
    assert capsys.readouterr().err == "carerelay: The export broke off: No such file or directory.\n"

    def unread(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(to_folder, "drain", unread)
    assert to_folder.main([str(tmp_path / "full"), "--type=Patient"]) == 1
    assert "carerelay: The export broke off: No space left on device.\n" in capsys.readouterr().err

    def stopped_in_the_console(*_: Any, **__: Any) -> str:
        for job in ExportJob.objects.filter(status="accepted").exclude(pk=another.pk):
            services.cancel(job)
        return NOTHING

    monkeypatch.setattr(to_folder, "drain", stopped_in_the_console)
    assert to_folder.main([str(tmp_path / "none"), "--type=Patient"]) == 1
    assert "carerelay: The export was stopped.\n" in capsys.readouterr().err
    assert ExportJob.objects.latest("created_at").files_removed_at is None  # a worker may be at a file still


@pytest.mark.parametrize("since", ["0001-01-01", "0001-01-01T00:00:00+14:00", "2099-01-01", "yesterday"])
def test_a_moment_that_cannot_be_asked_for_is_refused(tmp_path: Path, since: str) -> None:
    with pytest.raises(SystemExit):
        to_folder.main([str(tmp_path / "out"), f"--since={since}"])


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Patient.1.ndjson").touch()
    with pytest.raises(Refused, match="not empty"):
        exporting.empty(str(tmp_path))
    assert exporting.empty(str(tmp_path / "new")) == tmp_path / "new"
