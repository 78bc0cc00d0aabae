"""What production refuses: each fault alone, the safe settings without one, and parts that really do not start."""

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client

from backend.apps.core import deploy_checks
from backend.config import keys, production
from backend.config.environment import proxies
from workers import gateways
from workers.cli.state import ROOT

KEYS = {name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "JWT_SIGNING_KEY")}
RINGS = {name: (("k1", secrets.token_bytes(32)),) for name in ("FIELD_KEYS", "INDEX_KEYS")}
SIGNER = base64.b64encode(secrets.token_bytes(32)).decode()
VERIFIED = {"HOST": "db.example.org", "OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}}
REDISS = "rediss://:x@redis:6379/0?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem"
MLLP = {f"CARERELAY_MLLP_{name}": f"/{name}" for name in ("CERTIFICATE", "KEY", "CLIENT_CA")}
OPEN = {"CARERELAY_BIND": "0.0.0.0"}  # noqa: S104 - what is refused here
LOGIN = {"FLOWER_BASIC_AUTH": "carerelay:" + "x" * 12}

Safe = Callable[..., None]


@pytest.fixture
def safe(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Safe:
    """Settings of a safe production; what is named is then changed, in capitals of CARERELAY_ the environment."""
    monkeypatch.setenv("CARERELAY_AUDIT_KEY", SIGNER)
    base = {
        **KEYS, **RINGS, "IN_PRODUCTION": True, "DEBUG": False, "PUBLIC_BASE_URL": "https://relay.example.org",
        "ALLOWED_HOSTS": ["relay.example.org"], "TRUSTED_PROXIES": 1, "REDIS_URL": REDISS,
        "CELERY_BROKER_URL": REDISS, "SMS_TRANSPORT": "twilio", "TWILIO_TOKENS": ["token"],
        "EMAIL_TRANSPORT": "sendgrid", "SENDGRID_WEBHOOK_KEYS": ["key"], "EXPORT_BUCKET": "",
        "TWILIO_BASE_URL": "", "SENDGRID_BASE_URL": "", "DATABASE": VERIFIED, "SECRET_KEY_FALLBACKS": [],
    }  # fmt: skip

    def change(**changes: Any) -> None:
        for name, value in {**base, **changes}.items():
            if name.startswith(("CARERELAY_", "PG")):
                monkeypatch.setenv(name, value)
            elif name == "DATABASE":
                for part in value:
                    monkeypatch.setitem(settings.DATABASES["default"], part, value[part])
            else:
                setattr(settings, name, value)

    return change


def codes(part: str = "web", **given: str) -> list[str]:
    return [fault.code for fault in [*production.common(), *production.of_part(part, given)]]


def database(host: str, /, **options: str) -> dict[str, Any]:
    return {"DATABASE": {"HOST": host, "OPTIONS": options}}


def test_safe_settings_have_no_fault_and_every_part_starts(safe: Safe) -> None:
    safe()
    for part in ("web", "worker", "beat", "mllp", "flower", "manage"):
        assert codes(part, **MLLP, **LOGIN) == []
        production.insist(part, {**MLLP, **LOGIN})


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("debug", {"DEBUG": True}),
        ("log_level", {"LOG_LEVEL": "DEBUG"}),
        ("key", {"SECRET_KEY": "development-only-" + secrets.token_urlsafe(48)}),
        ("key", {"SECRET_KEY": secrets.token_urlsafe(24)}),
        ("key", {"JWT_SIGNING_KEY": "ab" * 40}),
        ("key", {"JWT_SIGNING_KEY": "a long key of one letter " + "a" * 40}),
        ("key", {"FIELD_KEYS": (("k1", bytes(32)),)}),
        ("key", {"INDEX_KEYS": (("k1", b"short"),)}),
        ("key", {"CARERELAY_AUDIT_KEY": ""}),
        ("key", {"CARERELAY_AUDIT_KEY": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"}),
        ("keys_equal", {"JWT_SIGNING_KEY": KEYS["SECRET_KEY"]}),
        ("keys_equal", {"INDEX_KEYS": RINGS["FIELD_KEYS"]}),
        ("keys_equal", {"INDEX_KEYS": (("k1", base64.b64decode(SIGNER)),)}),
        ("public_http", {"PUBLIC_BASE_URL": "http://relay.example.org"}),
        ("any_host", {"ALLOWED_HOSTS": ["*"]}),
        ("any_host", {"ALLOWED_HOSTS": ["relay.example.org", ".example.org"]}),
        ("postgres_plain", database("db.example.org")),
        ("postgres_plain", database("127.0.0.1", sslmode="require")),
        ("postgres_plain", database("", host="db.example.org")),
        ("postgres_plain", database("/run/postgresql", hostaddr="10.0.0.5")),
        ("postgres_plain", database("", service="clinic")),
        ("postgres_plain", {**database("", service="clinic"), "PGSSLMODE": "verify-full"}),
        ("postgres_plain", database("/run/postgresql,db.example.org")),
        ("postgres_plain", {**database(""), "PGHOST": "db.example.org"}),
        ("postgres_plain", {**database(""), "PGHOSTADDR": "10.0.0.5"}),
        ("postgres_plain", {**database("db.example.org"), "PGSSLMODE": "prefer"}),
        ("key_old", {"SECRET_KEY_FALLBACKS": ["changeme"]}),
        ("redis_plain", {"REDIS_URL": "redis://:x@redis:6379/0"}),
        ("redis_plain", {"REDIS_URL": f"{REDISS}&ssl_cert_reqs=none"}),
        ("redis_plain", {"REDIS_URL": REDISS.replace("?", "?ssl_cert_reqs=none&")}),
        ("redis_plain", {"REDIS_URL": f"{REDISS}&ssl_check_hostname=1"}),
        ("redis_plain", {"CELERY_BROKER_URL": f"{REDISS};redis://redis"}),
        ("redis_plain", {"CELERY_BROKER_URL": "amqps://x@rabbit"}),
        ("redis_plain", {"CELERY_BROKER_URL": "rediss://redis?ssl_cert_reqs=none"}),
        ("redis_plain", {"REDIS_URL": "rediss://redis?ssl_cert_reqs=required&ssl_check_hostname=false"}),
        ("twilio_unsigned", {"TWILIO_TOKENS": []}),
        ("sendgrid_unsigned", {"SENDGRID_WEBHOOK_KEYS": []}),
        ("provider_http", {"TWILIO_BASE_URL": "http://double.example.org"}),
        ("smtp_plain", {"EMAIL_TRANSPORT": "smtp", "SMTP_SECURITY": "none"}),
        ("exports_plain", {"EXPORT_BUCKET": "b", "CARERELAY_EXPORT_S3_ENDPOINT": "http://minio:9000"}),
    ],
)  # fmt: skip
def test_one_unsafe_setting_is_one_fault_that_says_how_to_mend_it(
    safe: Safe, code: str, changes: dict[str, Any]
) -> None:
    safe(**changes)
    found = production.common()
    assert [fault.code for fault in found] == [code]
    assert found[0].wrong.endswith(".")
    assert found[0].mend.endswith(".")
    told = " ".join(found[0])
    assert not any(str(secret) in told for secret in (*KEYS.values(), SIGNER, changes.get("SECRET_KEY", SIGNER)))
    with pytest.raises(ImproperlyConfigured, match=f"refuses to start worker.*{code}"):
        production.insist("worker", {})
    told_by_check = [message.id for message in deploy_checks.is_production_safe()]
    assert f"carerelay.{code}" in told_by_check


@pytest.mark.parametrize(
    ("part", "given", "code"),
    [
        ("mllp", {}, "mllp_plain"),
        ("mllp", {**MLLP, "CARERELAY_MLLP_CLIENT_CA": ""}, "mllp_plain"),
        ("flower", {}, "flower_login"),
        ("flower", {"FLOWER_BASIC_AUTH": "carerelay:short"}, "flower_login"),
        ("flower", {"FLOWER_BASIC_AUTH": "carerelay:short,other:" + "x" * 12}, "flower_login"),
        ("flower", {**LOGIN, **OPEN}, "flower_open"),
    ],
)
def test_a_part_is_asked_for_what_only_it_does(safe: Safe, part: str, given: dict[str, str], code: str) -> None:
    safe()
    assert codes(part, **given) == [code]
    assert codes("worker", **given) == [], "the others do not care"


def test_an_open_door_wants_to_be_named(safe: Safe) -> None:
    safe(TRUSTED_PROXIES=[])
    assert codes("web", **OPEN) == ["web_open"]
    assert codes("web", CARERELAY_BIND="127.0.0.1") == []
    safe(TRUSTED_PROXIES=0)
    assert codes("web", **OPEN) == ["web_open"]
    safe(CARERELAY_PLAINTEXT_ALLOWED="mllp")
    assert codes("web", **OPEN) == []
    assert codes("mllp", **MLLP, **OPEN) == ["mllp_open"]
    assert codes("mllp", **OPEN, CARERELAY_OPEN_BINDS="mllp, flower") == []
    assert codes("flower", **LOGIN, **OPEN, CARERELAY_OPEN_BINDS="mllp, flower") == []
    for address, found in (("127.0.0.1:2575", []), ("[::1]:2575", []), ("2575", ["mllp_open"])):
        assert codes("mllp", **OPEN, CARERELAY_PUBLISHED=address) == found, "a container listens for all within"
    for networks, found in (("10.0.0.0/8,fd00::/32", []), ("0.0.0.0/0", ["web_proxies"]), ("::/1", ["web_proxies"])):
        safe(TRUSTED_PROXIES=proxies(networks))
        assert codes("web", **OPEN) == found


@pytest.mark.django_db
def test_a_role_that_owns_the_tables_is_an_error_before_a_clinic_goes_on_line(safe: Safe) -> None:
    safe()
    (told,) = deploy_checks.is_role_small()
    assert (told.id, "DATABASE_OWNER_URL" in told.hint) == ("carerelay.role", True)
    assert deploy_checks.is_role_small in registry.deployment_checks
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE small_part; GRANT USAGE ON SCHEMA public TO small_part; SET ROLE small_part")
        assert deploy_checks.is_role_small() == []
        for too_much, words in (
            ("ALTER ROLE small_part CREATEROLE", "makes roles"),
            ("GRANT UPDATE ON core_auditseal TO small_part", "may change what only grows"),
            ("GRANT pg_write_all_data TO small_part", "may change what only grows"),
            (f"ALTER DATABASE {connection.settings_dict['NAME']} OWNER TO small_part", "owns the schema"),
        ):
            cursor.execute(f"RESET ROLE; SAVEPOINT small; {too_much}; SET ROLE small_part")
            assert words in deploy_checks.is_role_small()[0].msg
            if "OWNER" in too_much:
                cursor.execute("DROP TABLE core_auditseal CASCADE")
            cursor.execute("RESET ROLE; ROLLBACK TO small")


@pytest.mark.parametrize(
    ("link", "changes"),
    [
        ("postgres", database("db.example.org")),
        ("redis", {"REDIS_URL": "redis://redis", "CELERY_BROKER_URL": "redis://redis"}),
        ("smtp", {"EMAIL_TRANSPORT": "smtp", "SMTP_SECURITY": "none"}),
        ("exports", {"EXPORT_BUCKET": "b", "CARERELAY_EXPORT_S3_ENDPOINT": "http://minio:9000"}),
    ],
)
def test_a_link_without_tls_is_let_go_by_its_own_name_only(safe: Safe, link: str, changes: dict[str, Any]) -> None:
    others = [name for name in production.MAY_BE_PLAIN if name != link]
    safe(**changes, CARERELAY_PLAINTEXT_ALLOWED=",".join(others))
    assert len(production.common()) == 1
    safe(**changes, CARERELAY_PLAINTEXT_ALLOWED=link)
    assert production.common() == []
    warned = [message for message in deploy_checks.is_production_safe() if message.id == "carerelay.plain"]
    assert [message.msg.split()[0] for message in warned] == [link]


def test_a_unix_socket_needs_no_certificate(safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    safe(**database("db.example.org"))
    assert production.common() == [], "nor does whoever has its certificate asked for by a variable"
    monkeypatch.delenv("PGSSLMODE")
    for host in ("", "/run/postgresql"):
        safe(**database(host), REDIS_URL="unix:///run/redis.sock", CELERY_BROKER_URL="redis+socket:///run/redis.sock")
        assert production.common() == []


def test_a_link_nobody_knows_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARERELAY_PLAINTEXT_ALLOWED", "redis, all")
    with pytest.raises(ImproperlyConfigured, match="CARERELAY_PLAINTEXT_ALLOWED: all is none of postgres, redis"):
        production.plain()


@pytest.mark.django_db
def test_what_is_let_go_without_tls_stands_in_readyz_and_in_the_log(
    safe: Safe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert "plaintext" not in Client().get("/readyz").json()
    monkeypatch.setenv("CARERELAY_PLAINTEXT_ALLOWED", "redis,postgres")
    assert Client().get("/readyz").json()["plaintext"] == "postgres, redis"
    safe()
    production.insist("worker", {})
    assert "without TLS, as CARERELAY_PLAINTEXT_ALLOWED says: postgres, redis" in caplog.text


def test_an_order_never_leaves_in_plain_text_unless_its_link_is_named(safe: Safe) -> None:
    safe()
    with pytest.raises(gateways.Misconfigured, match="plain text"):
        gateways.laboratory("lab.example.org", 2575, tls=False)
    safe(CARERELAY_PLAINTEXT_ALLOWED="lab_orders")
    gateways.laboratory("lab.example.org", 2575, tls=False)


def test_elsewhere_than_in_production_nothing_is_asked(settings: Any) -> None:
    settings.IN_PRODUCTION, settings.SECRET_KEY = False, "x"
    production.insist("web", {})
    assert deploy_checks.is_production_safe() == []
    assert {deploy_checks.is_production_safe, deploy_checks.are_indexes_whole} <= registry.deployment_checks


def test_nothing_starts_with_rules_of_where_to_connect_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARERELAY_EGRESS_ALLOW", "lab.local:2576, 10.0.0.0/33")
    with pytest.raises(ImproperlyConfigured, match="CARERELAY_EGRESS_ALLOW: part 2 is no network"):
        apps.get_app_config("interop").ready()


UNSAFE = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(ROOT),
    "CARERELAY_ENV": "production",
    "DATABASE_URL": "postgresql://u:canary-1@db.example.org/x",
    "REDIS_URL": "redis://:canary-2@redis/0",
    "CARERELAY_SECRET_KEY": "canary-3",
    "CARERELAY_JWT_KEY": "canary-4",
    "CARERELAY_AUDIT_KEY": SIGNER,
    "CARERELAY_FIELD_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
    "CARERELAY_INDEX_KEYS": "k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("flower", ["-m", "workers.cli.part", "flower"]),
        ("manage", ["backend/manage.py", "showmigrations"]),
        ("web", ["-c", "import backend.config.asgi"]),
        ("worker", ["-c", "import workers.celery_app"]),
        ("mllp", ["-m", "workers.mllp_listener"]),
    ],
)
def test_nothing_starts_in_production_as_it_does_in_development(part: str, words: list[str]) -> None:
    command = [sys.executable, *words]
    done = subprocess.run(command, env=UNSAFE, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert f"Production refuses to start {part}" in last
    for told in (
        "CARERELAY_SECRET_KEY can be guessed",
        "The key k1 of",
        "postgres_plain",
        "redis_plain",
        "public_http",
    ):
        assert told in last
    assert "canary" not in done.stderr
    if part in ("flower", "manage"):
        assert done.stderr.startswith("carerelay: "), "a sentence, for who starts it reads it"


def test_random_keys_are_taken_and_guessable_ones_are_not() -> None:
    assert all(keys.weakness(secrets.token_urlsafe(48)) == "" for _ in range(200))
    assert all(keys.weakness(secrets.token_hex(32)) == "" for _ in range(200))
    assert all(keys.weakness_of_bytes(secrets.token_bytes(32)) == "" for _ in range(200))
    for poor in ("", "short", "a" * 64, "password" * 8, "0123456789" * 5, "changeme" + secrets.token_urlsafe(48)):
        assert keys.weakness(poor)
