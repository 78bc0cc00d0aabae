"""Attacks 38 to 44: files."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import time
import zipfile
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from backend.apps.core import csv_cells
from backend.apps.doctors.models import DoctorCredential
from backend.apps.insurance.models import InboundFile
from backend.apps.insurance.tests.factories import partner
from backend.apps.interop.fhir.smart import tokens
from backend.apps.interop.models import Disclosure
from backend.apps.interop.tests.fhir.export_rows import completed, make_disclosure, make_file
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.security.attacks.attack import Attack
from tests.security.attacks.stack import put_off
from tests.security.attacks.trap import Trap
from tests.security.matrix import Practice
from tests.support.stage import until

API, FHIR = "/api/v1", "/fhir/R4"
CREDENTIALS = f"{API}/doctor-credentials/"
XXE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><a>&j;</a>"
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
COLLECTED = re.compile(r"Task claims\.collect\[\S+\] succeeded")
PDF = b"%PDF-1.4\n%%EOF"


def zipped(**files: bytes) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name.replace("_SLASH_", "/"), body)
    return kept.getvalue()


def upload(attack: Attack, mine: Practice, name: str, content: bytes, kind: str, *, status: Any = 400) -> Any:
    """File a licence of one's own with this as its document."""
    number = f"L{time.monotonic_ns()}"
    form = {
        "doctor": str(mine.doctor.pk),
        "credential_type": "state_license",
        "issuing_organization": "Board",
        "number": number,
        "state": "NY",
        "issue_date": "2024-01-01",
        "expiry_date": "2030-01-01",
    }
    return attack.call(
        "post",
        CREDENTIALS,
        data=form,
        files={"document": (name, content, kind)},
        by=mine.logins["doctor"],
        status=status,
    )


def collected(attack: Attack, mine: Practice, files: dict[str, bytes]) -> list[Any]:
    """Let a clearinghouse leave these files, fetch them, and return their rows once none waits."""
    row = partner()
    attack.may_change("insurance_inboundfile", "insurance_tradingpartner", "insurance_remittance", "insurance_deposit")
    folder = attack.stage_folder / "partners" / row.inbound_folder
    folder.mkdir(parents=True)
    (attack.stage_folder / "partners" / row.outbound_folder).mkdir(parents=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
        os.utime(folder / name, (time.time() - 7200,) * 2)
    attack.stack.ring("claims.collect")
    rows = InboundFile.objects.filter(partner=row)
    until(lambda: rows.count() >= len(files) and COLLECTED.search(attack.stack.logged_since(attack._logs)))
    until(lambda: not rows.filter(work_state__in=["waiting", "running"]).exists())
    row.delete()
    return sorted(rows, key=lambda one: one.name)


def test_attack_38_no_document_makes_us_read_another_or_grow_without_end(
    attack: Attack, mine: Practice, trap: Trap
) -> None:
    away = XXE.replace(b"file:///etc/passwd", f"{trap.url}/x".encode())
    began = time.monotonic()
    for body in (
        XXE,
        LAUGHS,
        away,
        SVG.replace(b"<svg", b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg'),
    ):
        for path, kind in (
            (f"{API}/patients/", "application/xml"),
            (f"{FHIR}/Patient", "application/fhir+xml"),
            (f"{FHIR}/Binary", "application/xml"),
            ("/webhooks/twilio/inbound", "text/xml"),
        ):
            attack.call(
                "post",
                path,
                data=body,
                headers={"Content-Type": kind},
                by=mine.logins["receptionist"],
                status={403, 404, 405, 415},
            )
        upload(attack, mine, "scan.xml", body, "application/xml")
        for office in (zipped(_rels=body, word_SLASH_document=body), zipped(xl_SLASH_workbook=body)):
            upload(attack, mine, "letter.docx", office, "application/pdf")
    assert time.monotonic() - began < 20
    assert trap.requests == []
    attack.traced("create", outcome="failed", at_least=8)


def test_attack_39_a_bomb_and_a_path_in_an_archive_are_refused_and_leave_nothing(
    attack: Attack, mine: Practice
) -> None:
    bomb, slip = zipped(a=b"\0" * 60_000_000), zipped(**{".._SLASH_.._SLASH_evil.x12": b"ISA"})
    many = zipped(**{f"f{n}.x12": b"ISA" for n in range(1000)})
    nested = zipped(a=zipped(a=zipped(a=b"\0" * 10_000_000)))
    for name, body in (("bomb.zip", bomb), ("slip.zip", slip), ("many.zip", many), ("nested.zip", nested)):
        upload(attack, mine, name, body, "application/zip")
    left = {"bomb.zip": bomb, "slip.zip": slip, "many.zip": many, "nested.zip": nested}
    rows = collected(attack, mine, left)
    assert not list(attack.stage_folder.rglob("evil.x12"))
    assert [(row.name, row.status) for row in rows] == [(name, "quarantined") for name in sorted(left)]
    attack.traced("create", outcome="failed", at_least=4)


def test_attack_40_what_is_no_document_is_refused_and_a_document_is_never_a_page(
    attack: Attack, mine: Practice
) -> None:
    for name, content, kind in (
        ("x.svg", SVG, "image/svg+xml"),
        ("x.png", SVG, "image/png"),
        ("x.pdf", b"<html><script>1</script>", "application/pdf"),
        ("x.html", b"<!doctype html>", "text/html"),
        ("x.pdf.exe", b"MZ", "application/pdf"),
        ("x.gif", b"GIF89a/*", "image/gif"),
        ("x.pdf", b"", "application/pdf"),
        ("x.pdf", b" " + PDF, "application/pdf"),
        ("x.jpg", b"\xff\xd8", "image/jpeg"),
    ):
        upload(attack, mine, name, content, kind)
    polyglot = b"%PDF-1.4\n<html><script>document.title='x'</script>" + SVG
    upload(attack, mine, "x.pdf", polyglot, "application/pdf")
    attack.lawful()
    attack.may_change("doctors_doctorcredential", "credentials_credentialalert", "credentials_credentialnotice")
    made = upload(attack, mine, "x.html", PDF, "text/html", status=201).json()
    answer = attack.call("get", f"{CREDENTIALS}{made['id']}/download/", by=mine.logins["doctor"], status=200)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "html" not in answer.headers["Content-Disposition"]
    attack.traced("create", outcome="failed", at_least=9)


def test_attack_41_no_path_leads_out_of_a_folder(attack: Attack, mine: Practice) -> None:
    ways = (
        "../" * 8 + "etc/passwd",
        "%2e%2e%2f" * 8 + "etc%2fpasswd",
        "..%5c" * 8 + "windows%5cwin.ini",
        "%252e%252e%252fetc/passwd",
        "....//....//etc/passwd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "a%00.css",
        "C:%5cwindows%5cwin.ini",
        "%c0%ae%c0%ae/etc/passwd",
    )
    for folder in [
        "static/",
        "media/",
        "fhir/R4/exports/files/",
        "a/",
        "console/credentials/",
        "api/v1/doctor-credentials/",
    ]:
        for way in ways:
            head = f"GET /{folder}{way} HTTP/1.1\r\nHost: 127.0.0.1:{attack.stack.web}\r\n"
            told = attack.raw(f"{head}Connection: close\r\n\r\n".encode())
            assert told.split()[1] in {b"301", b"302", b"400", b"401", b"404", b"410", b"429"}, (
                folder,
                way,
                told[:100],
            )
            assert b"root:" not in told
    attack.lawful()
    links_lead_nowhere(attack)
    attack.lawful()
    attack.may_change("doctors_doctorcredential", "credentials_credentialalert", "credentials_credentialnotice")
    for name in ("../../../evil.pdf", "C:\\evil.pdf", "evil\x01.pdf", "/etc/evil.pdf", "con.pdf"):
        made = upload(attack, mine, name, PDF, "application/pdf", status={201, 400})
        if made.status_code == 201:
            stored = DoctorCredential.objects.get(pk=made.json()["id"]).document.name
            assert "evil" not in stored
            assert ".." not in stored
    kept = attack.stage_folder / "media" / stored
    outside = attack.stage_folder / "outside.pdf"
    outside.write_bytes(PDF + b" of somebody else")
    path = f"{CREDENTIALS}{made.json()['id']}/download/"
    assert attack.call("get", path, by=mine.logins["doctor"], status=200).content == PDF
    kept.unlink()
    kept.symlink_to(outside)
    attack.call("get", path, by=mine.logins["doctor"], status=404)
    attack.traced("create", outcome="allowed")


def links_lead_nowhere(attack: Attack) -> None:
    """Ask for the file of an export as it is, and as a link in its place, or in that of its folder, that leads out."""
    system = make_system().row
    token = tokens.issue(system.pk, ["system/*.read"], now=timezone.now())
    file = make_file(completed(client=system), b'{"resourceType":"Patient"}\n')
    path, outside = attack.stage_folder / "exports" / file.path, attack.stage_folder / "outside"
    for folder in (path.parent, outside):
        folder.mkdir(parents=True)
        (folder / path.name).write_bytes(gzip.compress(b'{"resourceType":"Patient","id":"outside"}\n'))
    put_off()
    attack.may_change("interop_exportfile")  # which notes that it is read
    url = f"{FHIR}/exports/files/{file.pk}"
    assert "Patient" in attack.call("get", url, token=token, status=200).text
    path.unlink()
    path.symlink_to(outside / path.name)
    assert "outside" not in attack.call("get", url, token=token, status=410).text
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(outside)
    assert "outside" not in attack.call("get", url, token=token, status=410).text
    attack.call("get", f"{FHIR}/exports/files/passwd", token=token, status={400, 404})
    attack.traced("export.download", outcome="allowed")


FORMULAS = [f"{sign}cmd|' /C calc'!A0" for sign in csv_cells.STARTS]


def test_attack_42_no_sheet_of_ours_has_a_cell_that_a_program_would_run(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    patient = theirs.patient
    readers = [make_user("nurse", first_name=text, last_name="Q") for text in FORMULAS]
    for text in FORMULAS:
        Disclosure.objects.filter(pk=make_disclosure(patient).pk).update(recipient=text)
        make_patient(first_name=text, last_name=text)
    put_off()
    for reader in readers:
        attack.call("get", f"{API}/patients/{patient.pk}/", by=reader, status=200, shows=True)
    for question, least in (("who-saw", len(readers)), ("disclosures", len(FORMULAS))):
        out = io.StringIO()
        call_command("audit", question, str(patient.pk), "--csv", stdout=out)
        cells = [cell for row in csv.reader(io.StringIO(out.getvalue(), newline="")) for cell in row]
        assert [cell for cell in cells if cell.lstrip(" ").startswith(csv_cells.STARTS)] == []
        assert sum("cmd|" in cell and cell.startswith("'") for cell in cells) >= least, question
    for path in (f"{API}/patients/", f"{API}/deposits/", "/console/claims/", "/console/audit/"):
        for way in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
            more: dict[str, Any] = {"pages": not path.startswith(API), **way}
            status = {200, 302, 400, 404, 406}
            answer = attack.call("get", path, by=mine.logins["admin"], status=status, shows=True, **more)
            assert answer.headers["Content-Type"].partition(";")[0] in {"text/html", "application/problem+json"}, path
    rows = "date,amount,trace\n=1+1,@x,-y\n"
    attack.call("post", f"{API}/deposits/bring_in/", json={"csv": rows}, by=mine.logins["receptionist"], status=422)
    attack.traced("retrieve", outcome="allowed", at_least=len(readers), patient_id=patient.pk)
    attack.traced("bring_in")


def test_attack_43_no_text_of_ours_makes_a_program_fetch_what_it_names(
    attack: Attack, mine: Practice, trap: Trap
) -> None:
    for address in (f"{trap.url}/x", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data/"):
        for tag in (
            f'<img src="{address}">',
            f'<iframe src="{address}"></iframe>',
            f'<link rel="stylesheet" href="{address}">',
            f"url({address})",
            f"![x]({address})",
            f'<object data="{address}"></object>',
        ):
            body = {"kind": "reminder", "channel": "email", "subject": "x", "body": tag}
            answer = attack.call(
                "post", f"{API}/message-templates/preview/", json=body, by=mine.logins["admin"], status={200, 400}
            )
            assert "root:" not in answer.text
    attack.lawful()
    attack.may_change("patients_patient", "patients_contactpoint")
    body = {"city": f'<img src="{trap.url}/y">'}
    attack.call(
        "patch", f"{API}/patients/{mine.patient.pk}/", json=body, by=mine.logins["receptionist"], status={200, 400}
    )
    page = attack.call(
        "get", f"/admin/patients/patient/{mine.patient.pk}/change/", by=mine.logins["admin"], pages=True, status=200
    )
    assert f'<img src="{trap.url}' not in page.text
    assert trap.requests == []
    attack.traced("preview", outcome="allowed")


def test_attack_44_an_answer_with_odd_delimiters_is_kept_and_read_as_nothing_and_nobody_waits(
    attack: Attack, mine: Practice
) -> None:
    isa = b"ISA*00*          *00*          *ZZ*THEM           *ZZ*US             *260101*1200*^*00501*000000001*0*T*:~"
    bombs = {
        "a.x12": isa.replace(b"*", b"A"),
        "b.x12": isa.replace(b"~", b"*"),
        "c.x12": isa.replace(b":", b"~"),
        "d.x12": isa + b"~" * 2_000_000,
        "e.x12": isa + b"CLP" + b"*" * 2_000_000,
        "f.x12": isa[:50],
        "g.x12": isa + b"CLP*" + b":" * 2_000_000 + b"~",
        "h.x12": b"ISA" + b"\0" * 103,
        "i.x12": isa + b"ST*835*0001~" * 50_000,
        "j.x12": b"\xff\xfeI\0S\0A\0" + isa,
        "k.x12": isa * 5000,
    }
    began = time.monotonic()
    attack._look()
    rows = collected(attack, mine, bombs)
    assert time.monotonic() - began < 45
    assert len(rows) == len(bombs)
    assert {row.work_state for row in rows} == {"done"}, [(row.name, row.last_error) for row in rows]
    assert {row.status for row in rows} == {"quarantined"}
    assert all(row.status_reason for row in rows)
    attack._asserted.add("status")
    attack.kept(InboundFile.objects.filter(pk__in=[row.pk for row in rows]), at_least=len(bombs))
