"""A data platform takes all out by FHIR while a worker is killed; without it nobody sees that nothing is lost."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from fhirpy import SyncFHIRClient

from workers.cli import console, demo_trouble, stack, stopping
from workers.cli.backend_service import BackendService
from workers.cli.desk import Line
from workers.cli.errors import Refused
from workers.cli.state import Running

SCOPES = "system/*.rs"
LOOK_EVERY_S, PATIENCE_S, MANAGE_S = 0.02, 240.0, 60.0
READ_AGAIN = 50  # patients that another client reads one by one
KEPT = """
    CREATE TEMP VIEW kept (patient_id) AS
    SELECT id FROM patients_patient WHERE NOT is_deleted OR merged_into_id IS NOT NULL"""
SQL = {  # how many there are, asked of the tables themselves
    "Patient": "SELECT count(*) FROM patients_patient WHERE NOT is_deleted",
    "Practitioner": "SELECT count(*) FROM doctors_doctor",  # who left is one, too
    "Appointment": "SELECT count(*) FROM appointments_appointment JOIN kept USING (patient_id) WHERE NOT is_deleted",
    "Observation": """
        WITH RECURSIVE written (id, first, signed_at) AS (
            SELECT id, id, signed_at FROM clinical_notes_clinicalnote WHERE amends_id IS NULL
            UNION ALL SELECT note.id, written.first, note.signed_at FROM clinical_notes_clinicalnote AS note
                JOIN written ON note.amends_id = written.id
        ), holding AS (
            SELECT DISTINCT ON (first) id FROM written WHERE signed_at IS NOT NULL
            ORDER BY first, signed_at DESC, id DESC)
        SELECT (SELECT count(*) FROM laboratory_labresult AS r JOIN laboratory_laborder AS o ON o.id = r.lab_order_id
                JOIN kept ON kept.patient_id = o.patient_id WHERE r.is_current AND NOT r.is_deleted)
             + (SELECT coalesce(sum(num_nonnulls(blood_pressure_systolic, heart_rate, respiratory_rate, temperature,
                                                 weight, height, oxygen_saturation, weight * height)), 0)
                FROM clinical_notes_soapnote AS s JOIN clinical_notes_clinicalnote AS n ON n.id = s.clinical_note_id
                JOIN holding ON holding.id = n.id JOIN kept ON kept.patient_id = n.patient_id
                WHERE NOT n.is_deleted AND NOT s.is_deleted)""",
    "ServiceRequest": "SELECT count(*) FROM laboratory_laborder JOIN kept USING (patient_id) WHERE NOT is_deleted",
    "MedicationRequest": """
        SELECT count(*) FROM prescriptions_prescription JOIN kept USING (patient_id) WHERE NOT is_deleted""",
    "Coverage": "SELECT count(*) FROM insurance_patientinsurance JOIN kept USING (patient_id) WHERE NOT is_deleted",
    "Claim": """
        SELECT count(*) FROM insurance_insuranceclaim AS c JOIN insurance_patientinsurance AS i
            ON i.id = c.patient_insurance_id JOIN kept ON kept.patient_id = i.patient_id WHERE NOT c.is_deleted""",
}
TYPES = (
    *SQL, "PractitionerRole", "Organization", "Location", "Encounter", "Specimen", "DiagnosticReport", "Medication",
    "ExplanationOfBenefit", "DocumentReference", "Composition", "Provenance", "Group",
)  # fmt: skip


@dataclass
class Taken:
    """What an export brought: its manifest, its lines by type, and a hash of all lines of each type."""

    manifest: dict[str, Any]
    lines: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    @property
    def hashes(self) -> dict[str, str]:
        return {name: hashlib.sha256(b"".join(sorted(lines))).hexdigest() for name, lines in self.lines.items()}


@dataclass
class Scene:
    """The stack, the client that reads it, and whether all ended as it should so far."""

    stack: Running
    service: BackendService
    good: bool = True

    def tell(self, what: str, name: str, state: str, *, good: bool = True) -> None:
        """Print one fact, and remember when it is not as it should be."""
        console.say(f"{what:18}{name}  {state}{'' if good else '   <- NOT as it should be'}")
        self.good = self.good and good


def play(stack_here: Running) -> tuple[list[Line], bool]:
    """Sign in, export, verify, read the same by another client, and export again while a worker is killed."""
    service = BackendService(f"{stack_here.web_url}/fhir/R4")
    scene = Scene(stack_here, service)
    with registered(scene):
        first = exported(scene, kill=False)
        against_sql(scene, first)
        by_another_client(scene, first)
        second = exported(scene, kill=True)
    same = first.hashes == second.hashes
    differing = sorted(name for name in first.hashes if first.hashes[name] != second.hashes.get(name))
    scene.tell("both exports", "", "identical, line by line" if same else f"differ in {differing}", good=same)
    return [], scene.good


@contextmanager
def registered(scene: Scene) -> Iterator[None]:
    """Be a client of the stack inside the block; after it no token of this client is good any more."""
    register(scene)
    try:
        yield
    finally:
        answer = stack.captured(scene.stack, ["smart_client", "revoke", scene.service.client_id], MANAGE_S)
        scene.tell("client", scene.service.client_id, "its tokens were revoked", good=not answer.returncode)


def register(scene: Scene) -> None:
    """Make a key here and register its public half, as an operator would."""
    name = f"Demo data platform {os.urandom(4).hex()}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "jwks.json")
        path.write_text(json.dumps(scene.service.jwks()))
        words = ["smart_client", "add", name, "--jwks", str(path), "--scopes", SCOPES]
        answer = stack.captured(scene.stack, words, MANAGE_S)
    if answer.returncode:
        raise Refused(f"The client could not be registered: {answer.stderr.strip().splitlines()[-1:]}")
    scene.service.client_id = answer.stdout.split()[-1]
    scene.tell("client", scene.service.client_id, "registered with a P-384 key made now")
    granted = scene.service.sign_in(SCOPES)
    scene.tell("token", "5 minutes", f"for {granted}")


def exported(scene: Scene, *, kill: bool) -> Taken:
    """Export everything and download it; with `kill`, kill the worker as soon as the export is on its way."""
    asked = scene.service.get("$export", {"_type": ",".join(TYPES)}, Prefer="respond-async")
    if asked.status_code != 202:
        raise Refused(f"The export was not accepted: {asked.status_code}.")
    status_url, began = asked.headers["Content-Location"], time.monotonic()
    scene.tell("export", status_url.rpartition("/")[2], "accepted")
    if kill:
        killed(scene, status_url.rpartition("/")[2])
    manifest = finished(scene, status_url)
    taken = Taken(manifest)
    for item in manifest["output"]:
        download(scene, taken, item)
    count = sum(map(len, taken.lines.values()))
    state = f"{count:,} resources in {len(manifest['output'])} files, {time.monotonic() - began:.1f} s"
    scene.tell("exported", "", state, good=not manifest["error"])
    return taken


def killed(scene: Scene, job: str) -> None:
    """Kill -9 the worker and its children once some pieces of the export are written and others are not."""
    with psycopg.connect(scene.stack.env["DATABASE_URL"], autocommit=True) as database:
        await_midway(database, job)
        demo_trouble.kill_worker(scene.stack)
        done, total = counts(database, job)
    scene.tell("killed", "", f"with {done} of {total} pieces written", good=0 < done < total)


def await_midway(database: psycopg.Connection[Any], job: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if counts(database, job)[0]:
            return
        stopping.pause(LOOK_EVERY_S)
    raise Refused("No piece of the export was begun; see the logs of the stack.")


def counts(database: psycopg.Connection[Any], job: str) -> tuple[int, int]:
    sql = "SELECT count(*) FILTER (WHERE work_state = 'done'), count(*) FROM interop_exportchunk WHERE job_id = %s"
    row = database.execute(sql, [job]).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def finished(scene: Scene, status_url: str) -> dict[str, Any]:
    """Ask as often as the server wants, and return the manifest."""
    deadline, told = time.monotonic() + PATIENCE_S, ""
    while time.monotonic() < deadline:
        answer = scene.service.get(status_url)
        if answer.status_code == 200:
            manifest: dict[str, Any] = answer.json()
            return manifest
        if answer.status_code not in {202, 429}:
            raise Refused(f"The export ended with {answer.status_code}.")
        if (progress := answer.headers.get("X-Progress", told)) != told:
            told = progress
            scene.tell("  progress", "", told)
        stopping.pause(min(float(answer.headers.get("Retry-After", "1")), 5))
    raise Refused(f"The export did not end within {PATIENCE_S:.0f} s.")


def download(scene: Scene, taken: Taken, item: dict[str, Any]) -> None:
    """Fetch a file and hold it against the count and the hash of the manifest."""
    content = scene.service.get(item["url"], Accept="application/fhir+ndjson").content
    lines = content.splitlines(keepends=True)
    right = len(lines) == item["count"] and hashlib.sha256(content).hexdigest() == item["extension"]["sha256"]
    if not right:
        scene.tell("file", item["url"].rpartition("/")[2], "does not fit the manifest", good=False)
    taken.lines[item["type"]] += lines


def against_sql(scene: Scene, taken: Taken) -> None:
    """Count the rows in the tables and the resources in the files, and that no id comes twice."""
    with psycopg.connect(scene.stack.env["DATABASE_URL"], autocommit=True) as database:
        for name, there in counted(database).items():
            ids = Counter(json.loads(line)["id"] for line in taken.lines[name])
            right = len(ids) == ids.total() == there
            scene.tell("against SQL", f"{name:20}", f"{ids.total():,} exported, {there:,} in the tables", good=right)


def counted(database: psycopg.Connection[Any]) -> dict[str, int]:
    """Return how many resources of each type there are by the tables; what is about a removed patient is none."""
    database.execute(KEPT)
    return {name: (database.execute(sql).fetchone() or (0,))[0] for name, sql in SQL.items()}


def by_another_client(scene: Scene, taken: Taken) -> None:
    """Let fhirpy read and search the patients that were exported: it must find the same."""
    scene.service.sign_in(SCOPES)
    client = SyncFHIRClient(scene.service.base, authorization=f"Bearer {scene.service.token}")
    exported_ones = {one["id"]: one for one in map(json.loads, taken.lines["Patient"])}
    some = sorted(exported_ones)[:READ_AGAIN]
    read = {key: client.reference("Patient", key).to_resource() for key in some}
    same = all(json.loads(json.dumps(read[key])) == exported_ones[key] for key in some)
    scene.tell("fhirpy reads", "Patient", f"{len(read)} of the exported ones, the same", good=same)
    found = {one["id"] for one in client.resources("Patient").limit(100).fetch_all()}
    scene.tell("fhirpy searches", "Patient", f"{len(found):,} found, page by page", good=found == set(exported_ones))
