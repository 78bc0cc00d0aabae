"""The certificates `carerelay secrets` keeps: an authority of our own, and of each server that Compose starts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from workers.cli import certificates
from workers.cli.certificates import Pair
from workers.cli.errors import Refused

AUTHORITY = "tls_authority"
PRIVATE, READABLE = 0o600, 0o444  # a container's user must read its key; the folder (0700) keeps everybody else out
SERVERS = {"postgres": ["postgres"], "redis": ["redis"], "mllp": ["mllp", "localhost"]}  # as they are called
LABORATORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def write_missing(folder: Path, host: str) -> list[str]:
    """Write what is missing or ends within a year; return the names.

    host: by which laboratories reach MLLP; empty: not told yet.
    """
    made, now = [], datetime.now(UTC)
    for name, hosts in SERVERS.items():
        certificate = folder / f"{name}_certificate"
        if certificate.exists() and not _is_to_renew(folder, certificate.read_text(), now):
            continue
        called = [host, *hosts] if name == "mllp" and host else hosts
        made += _write(folder, name, certificates.issued(authority(folder), called))
    return made


def _is_to_renew(folder: Path, certificate: str, now: datetime) -> bool:
    """Tell whether it is one of ours that ends soon; what somebody else vouches for was put there by a person."""
    parent = folder / AUTHORITY
    is_ours = parent.exists() and certificates.is_by(certificate, parent.read_text())
    return is_ours and certificates.ends_soon(certificate, now)


def for_laboratory(folder: Path, name: str) -> list[str]:
    """Write a certificate by which a laboratory may speak to MLLP; return the names of its files.

    Raises:
        Refused: the name cannot be one, or is taken.
    """
    if not LABORATORY.fullmatch(name):
        raise Refused(f"{name!r} is no name for a certificate: letters, digits, dots and hyphens, as lab.example.org.")
    known = folder / "laboratories"
    known.mkdir(mode=0o700, exist_ok=True)
    if (known / f"{name}_certificate").exists():
        raise Refused(f"{known / name}_certificate exists. Remove it to make another.")
    made = _write(known, name, certificates.issued(authority(folder), [name], is_client=True), mode=PRIVATE)
    return [f"laboratories/{each}" for each in made]


def authority(folder: Path) -> Pair:
    """Return the authority of this folder, made on first use.

    Raises:
        Refused: its key is gone, so that it can vouch for nobody any more.
    """
    certificate, key = folder / AUTHORITY, folder / f"{AUTHORITY}_key"
    if not certificate.exists():
        pair = certificates.authority("CareRelay, this installation")
        put(key, pair[1], PRIVATE)  # first: without it the certificate could not be used, and would be kept
        put(certificate, pair[0], READABLE)
    if not key.exists():
        raise Refused(f"{key} is missing. Restore it, or remove {AUTHORITY} and all *_certificate files to begin anew.")
    return certificate.read_text(), key.read_text()


def _write(folder: Path, name: str, pair: Pair, mode: int = READABLE) -> list[str]:
    names = [f"{name}_certificate", f"{name}_key"]
    for file, text in zip(reversed(names), reversed(pair), strict=True):  # the key first: a certificate alone is kept
        put(folder / file, text, mode)
    return names


def put(path: Path, text: str, mode: int) -> None:
    """Write a file that nobody else can read while it is written, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=PRIVATE)
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)
