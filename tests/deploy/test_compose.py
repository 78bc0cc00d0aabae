"""docker-compose.yml and the Dockerfile, read by the tools that will read them in production."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workers.cli import certificate_files, secret_files
from workers.cli.parts import PARTS
from workers.cli.state import ROOT
from workers.mllp_listener import CHOSEN

TOOLS = Path(sys.executable).parent
FILLED_IN = {
    "CARERELAY_PUBLIC_BASE_URL": "https://relay.example.org",
    "CARERELAY_HOST": "relay.example.org",
    "CARERELAY_TRUSTED_PROXIES": "1",
}
ONE_SHOT = {"migrate"}
KEY_FILES = {"CARERELAY_MLLP_KEY", "CARERELAY_LAB_ORDERS_KEY", "CARERELAY_BREACHED_PASSWORDS"}  # names of mounted files
PUBLIC_KEYS = {"SENDGRID_WEBHOOK_KEYS"}  # they check signatures; the private halves stay with the provider
TLS = {
    "mllp": ("CARERELAY_MLLP_CERTIFICATE", "CARERELAY_MLLP_KEY", "CARERELAY_MLLP_CLIENT_CA"),
    "worker": ("CARERELAY_LAB_ORDERS_CA", "CARERELAY_LAB_ORDERS_CERTIFICATE", "CARERELAY_LAB_ORDERS_KEY"),
}


def compose(
    *words: str, file: Path = ROOT / "docker-compose.yml", **variables: str
) -> subprocess.CompletedProcess[str]:
    command = [TOOLS / "docker-compose", "--env-file", "/dev/null", "-f", file, "config", *words]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def project_of(**variables: str) -> dict[str, Any]:
    done = compose("--format", "json", **FILLED_IN, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return project_of()


@pytest.fixture(scope="module")
def services(project: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return project["services"]


def test_compose_itself_accepts_the_file_and_the_published_schema_too() -> None:
    assert compose("-q", **FILLED_IN).stderr == ""
    check = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_check_sees_an_undefined_service(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(
        (ROOT / "docker-compose.yml").read_text().replace("    migrate: {condition", "    migrat: {condition")
    )
    done = compose("-q", file=broken, **FILLED_IN)
    assert done.returncode != 0
    assert "migrat" in done.stderr


def test_nothing_starts_before_the_operator_named_the_address() -> None:
    done = compose("-q")
    assert done.returncode != 0
    assert "CARERELAY_PUBLIC_BASE_URL" in done.stderr
    assert "CARERELAY_HOST" in done.stderr
    assert "CARERELAY_TRUSTED_PROXIES" in done.stderr


def test_every_part_of_the_table_is_a_service_started_by_its_name(services: dict[str, dict[str, Any]]) -> None:
    ours = {name: service["command"] for name, service in services.items() if "build" in service}
    expected = {part.name: ["python", "-m", "workers.cli.part", part.name] for part in PARTS}
    assert ours == {**expected, "migrate": ["python", "backend/manage.py", "migrate", "--noinput"]}


def test_every_long_running_service_asks_its_own_part_whether_it_is_healthy(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, service in services.items():
        if name in ONE_SHOT:
            continue
        test = service["healthcheck"]["test"]
        assert test[0] in ("CMD", "CMD-SHELL"), name
        if "build" in service:
            assert test == ["CMD", *service["command"], "--check"]


def test_every_service_is_fenced_in(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["user"].split(":")[0] not in ("", "0", "root"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert service["stop_grace_period"] == "45s", name
        assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name


def test_only_loopback_ports_are_published_and_none_of_the_servers(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert {name for name, ports in published.items() if ports} == {"web", "mllp", "flower"}
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}


def test_every_documented_setting_of_the_doors_to_laboratories_reaches_its_container() -> None:
    limits = [f"CARERELAY_MLLP_{name.upper()}" for name in ("client_names", *CHOSEN)]
    wanted = {"mllp": (*TLS["mllp"], *limits), "worker": (*TLS["worker"], "CARERELAY_LAB_ORDERS_TIMEOUT_S")}
    given = {name: f"{place}7" for place, name in enumerate(name for names in wanted.values() for name in names)}
    started = project_of(**given)["services"]
    for service, names in wanted.items():
        assert {name: started[service]["environment"].get(name) for name in names} == {n: given[n] for n in names}


def test_certificates_are_mounted_read_only_where_tls_is_spoken_and_may_be_missing(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, service in services.items():
        mounts = [mount for mount in service.get("volumes", []) if mount["target"] == "/run/certificates"]
        assert len(mounts) == (name in TLS), name
        for mount in mounts:
            assert (mount["type"], mount["read_only"]) == ("bind", True)
            assert Path(mount["source"]) == ROOT / "certificates"
            assert mount["bind"].get("create_host_path", True) is True
    assert {port["target"] for port in services["mllp"]["ports"]} == {2575, 2576}
    assert {services["worker"]["environment"][name] for name in TLS["worker"]} == {""}, "as the system trusts"
    ours = {services["mllp"]["environment"][name].removeprefix("/run/secrets/") for name in TLS["mllp"]}
    assert ours == {"mllp_certificate", "mllp_key", "tls_authority"}
    assert ours <= {entry["source"] for entry in services["mllp"]["secrets"]}
    assert float(services["worker"]["environment"]["CARERELAY_LAB_ORDERS_TIMEOUT_S"]) == 30


def test_what_compose_starts_is_safe_by_the_rules_of_production(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """Each part is asked with the environment and the secrets Compose gives it, the image's among them."""
    folder = tmp_path / "secrets"
    subprocess.run(
        [sys.executable, "-m", "workers.cli", "secrets", str(folder)], cwd=ROOT, capture_output=True, check=True
    )
    image = dict(
        entry.split("=", 1)
        for line in (ROOT / "backend" / "Dockerfile").read_text().split("ENV ")[1:]
        for entry in line.split("\nRUN")[0].split("\nUSER")[0].replace("\\\n", " ").replace("\n#", " #").split()
        if entry.startswith("CARERELAY_")
    )
    for part in PARTS:
        given = {name: str(value) for name, value in services[part.name]["environment"].items() if value is not None}
        env = {name: value.replace("/run/secrets", str(folder)) for name, value in {**image, **given}.items()}
        asked = (
            "from backend.config import production as p; from workers.cli import part; import os;"
            f"p.insist({part.name!r}, part.environment(os.environ))"
        )
        env |= {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "backend.config.settings"}
        done = subprocess.run(
            [sys.executable, "-c", asked], env=env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), part.name


def test_servers_take_nothing_without_tls(services: dict[str, dict[str, Any]]) -> None:
    postgres, redis = (" ".join(services[name]["command"]) for name in ("postgres", "redis"))
    rules = re.findall(r"'(local|host\w*) ([^']+)'", postgres)
    assert rules == [("local", "all all scram-sha-256"), ("hostssl", "all all all scram-sha-256")]
    assert "-c ssl=on" in postgres
    assert "--port 0 --tls-port 6379" in redis
    assert [name for name, one in services.items() if "database_owner_url" in sources(one)] == ["migrate"]
    assert [name for name, one in services.items() if "postgres_password" in sources(one)] == ["postgres"]


def sources(service: dict[str, Any]) -> set[str]:
    return {entry["source"] for entry in service.get("secrets", [])}


def test_no_secret_has_a_default_or_stands_in_a_variable(services: dict[str, dict[str, Any]]) -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY|DATABASE_URL|REDIS_URL|BROKER_URL|AUTH")
    seen = set()
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            if secret.search(variable) and variable not in KEY_FILES | PUBLIC_KEYS:
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                seen.add(value.removeprefix("/run/secrets/"))
                assert value.removeprefix("/run/secrets/") in {entry["source"] for entry in service["secrets"]}
    assert {"postgres_password", "database_url", "redis_url", "secret_key", "jwt_key", "flower_login"} <= seen


def test_the_secrets_command_makes_every_file_compose_asks_for(project: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = [sys.executable, "-m", "workers.cli", "secrets", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(first) == {*project["secrets"], "tls_authority_key"}, "the key that vouches stays outside"
    assert first["postgres_password"] in first["database_owner_url"]
    assert first["postgres_password"] not in first["database_url"], "who works with the tables does not own them"
    assert first["redis_password"] in first["redis_url"]
    assert (folder / "tls_authority_key").stat().st_mode & 0o777 == 0o600
    assert len({first["secret_key"], first["jwt_key"], first["postgres_password"], first["redis_password"]}) == 4
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "database_owner_url").unlink()
    (folder / "redis_key").unlink()
    (folder / "redis_certificate").unlink()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    again = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in first if again[name] != first[name]} == {"redis_key", "redis_certificate"}
    for name in ("secret_key", "jwt_key", "secret_keys_old"):
        (folder / name).chmod(0o600)
        (folder / name).write_text(f"of earlier {name}\n")
    for _ in range(2):
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        anew = {path.name: path.read_text() for path in folder.iterdir()}
        changed = {name for name in again if anew[name] != again[name]}
        assert changed == {"secret_key", "jwt_key", "secret_keys_old"}, "what can be guessed is made anew"
        assert anew["secret_keys_old"] == "of earlier secret_key\nof earlier secret_keys_old"


def test_what_is_broken_off_while_secrets_are_made_loses_none_and_is_gone_on_with(tmp_path: Path) -> None:
    secret_files.write_missing(tmp_path)
    (tmp_path / "secret_key").chmod(0o600)
    (tmp_path / "secret_key").write_text("of earlier")
    (tmp_path / "secret_keys_old").chmod(0o600)
    (tmp_path / "secret_keys_old").write_text("older still")
    blocked = tmp_path / "secret_keys_old.new"  # where it is written before it takes the place of the old one
    blocked.mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # by system one or another of them
        secret_files.write_missing(tmp_path)
    assert (tmp_path / "secret_keys_old").read_text() == "older still"
    blocked.rmdir()
    secret_files.write_missing(tmp_path)
    assert (tmp_path / "secret_keys_old").read_text() == "of earlier\nolder still"
    (blocked := tmp_path / "tls_authority_key.new").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # as above
        certificate_files.authority(tmp_path)
    blocked.rmdir()
    assert certificate_files.authority(tmp_path)[0] == (tmp_path / "tls_authority").read_text()


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(
        [TOOLS / "hadolint", ROOT / "backend" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_image_runs_as_an_ordinary_user_with_a_health_check_and_copies_only_what_is_there() -> None:
    lines = (ROOT / "backend" / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    allowed = (ROOT / "backend" / "Dockerfile.dockerignore").read_text()
    for source in (name for names in copied for name in names):
        assert (ROOT / source).exists()
        assert f"!{source}\n" in allowed


def test_the_images_packages_resolve_from_the_lock_alone() -> None:
    """The same words as in the Dockerfile, without installing: every run-time package must be pinned with a hash."""
    uv = [TOOLS / "uv", "pip", "install", "--dry-run", "--offline", "--python", sys.executable]
    locked = ["--require-hashes", "-r", ROOT / "pyproject.toml", "--extra", "tracing", "-c", ROOT / "requirements.lock"]
    done = subprocess.run([*uv, *locked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ci_runs_exactly_the_test_command_of_the_readme() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "exec ./carerelay test"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert os.access(ROOT / "carerelay", os.X_OK)
