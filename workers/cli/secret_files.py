"""`carerelay secrets`: the files docker-compose.yml asks for; without it all of them would be written by hand."""

import argparse
import secrets
from pathlib import Path

from backend.config import keys
from workers.cli import certificate_files, console, files, state
from workers.cli.errors import Refused

TLS = "/run/secrets/tls_authority"  # as containers see it
DATABASE = f"@postgres:5432/carerelay?sslmode=verify-full&sslrootcert={TLS}"
REDIS = f"@redis:6379/0?ssl_cert_reqs=required&ssl_ca_certs={TLS}"


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="carerelay secrets",
        description="Make passwords and keys for docker-compose.yml. Files that exist are kept as they are, but for "
        "a key that can be guessed, which production refuses.",
    )
    parser.add_argument("folder", nargs="?", default="secrets", metavar="FOLDER", help="default: secrets")
    parser.add_argument(
        "--laboratory", metavar="NAME", help="make a certificate a laboratory shows to MLLP, and no more"
    )
    options = parser.parse_args(words)
    folder = files.from_caller(options.folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if options.laboratory:
            made = certificate_files.for_laboratory(folder, options.laboratory)
        else:
            host = state.settings_of_caller().get("CARERELAY_HOST", "")
            made = [*write_missing(folder), *certificate_files.write_missing(folder, host)]
    except OSError as error:
        raise Refused(f"{folder} cannot be written: {error.strerror}.") from error
    console.say(f"{len(made)} files made in {folder}: {', '.join(made) or 'nothing was missing'}")
    return 0


def write_missing(folder: Path) -> list[str]:
    postgres = kept_or_new(folder, "postgres_password")
    redis = kept_or_new(folder, "redis_password")
    wanted = {
        "postgres_password": postgres,
        "redis_password": redis,
        "database_url": f"postgresql://carerelay_app:{secrets.token_urlsafe(24)}{DATABASE}",
        "database_owner_url": f"postgresql://carerelay:{postgres}{DATABASE}",
        "redis_url": f"rediss://:{redis}{REDIS}",
        "secret_keys_old": "",  # one a line; read what they signed, after a rotation
        "secret_key": secrets.token_urlsafe(48),
        "jwt_key": secrets.token_urlsafe(48),
        "field_keys": state.key_entry(),
        "index_keys": state.key_entry(),
        "audit_key": state.audit_key(),
        "audit_keys_old": "",  # public keys that signed before it, after a rotation
        "flower_login": f"carerelay:{secrets.token_urlsafe(18)}",
        "metrics_token": secrets.token_urlsafe(32),
        "deadman": "{}",  # addresses by entry of the beat schedule, as JSON
        "twilio_auth_token": "",  # fill in to leave the sandbox
        "twilio_old_auth_token": "",  # for a while after a rotation
        "sendgrid_api_key": "",
        "smtp_password": "",
        "export_s3_access_key": "",  # fill in where exports are kept in a bucket
        "export_s3_secret_key": "",
    }
    replaced = {
        "database_url": f"postgresql://carerelay:{postgres}@postgres:5432/carerelay",
        "redis_url": f"redis://:{redis}@redis:6379/0",
    }
    missing = {name: value for name, value in wanted.items() if lacks(folder / name, replaced.get(name))}
    poor = [name for name in ("secret_key", "jwt_key") if is_poor(folder / name)]
    missing |= {name: wanted[name] for name in poor}
    if "secret_key" in poor:
        missing["secret_keys_old"] = with_old(folder)
    for name in sorted(missing, key=lambda name: name in poor):  # the old key is in its list before it is replaced
        certificate_files.put(folder / name, missing[name], certificate_files.READABLE)
    return sorted(missing)


def is_poor(path: Path) -> bool:
    """Tell whether a key is there that can be guessed."""
    return path.exists() and keys.weakness(path.read_text().strip()) != ""


def with_old(folder: Path) -> str:
    """Return the list of old secret keys, with the one that is now in use first."""
    known, now = folder / "secret_keys_old", (folder / "secret_key").read_text().strip()
    rest = known.read_text().splitlines() if known.exists() else []
    return "\n".join([now, *(key for key in rest if key.strip() not in ("", now))])


def lacks(path: Path, replaced: str | None) -> bool:
    """Tell whether a file is to be written: it is not there, or as we made it before there was TLS."""
    return not path.exists() or path.read_text().strip() == replaced


def kept_or_new(folder: Path, name: str) -> str:
    """A URL must carry the password that is already in use."""
    path = folder / name
    return path.read_text().strip() if path.exists() else secrets.token_urlsafe(24)
