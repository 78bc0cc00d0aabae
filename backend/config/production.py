"""What production refuses, each with why and how to mend it; without it a clinic would run as open as a demo."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from backend.config import keys
from backend.config.environment import secret

LOOPBACK = ("127.", "localhost", "::1", "[::1]")
WIDEST = {4: 8, 6: 32}  # bits of a network proxies may stand in; of a wider one strangers would be believed
VERIFIED = ("verify-full", "verify-ca")
MAY_BE_PLAIN = ("postgres", "redis", "mllp", "lab_orders", "smtp", "exports")
SHORTEST_PASSWORD = 12

Given = Mapping[str, str]  # the environment of a part

log = logging.getLogger(__name__)


class Fault(NamedTuple):
    """code: one small word for it. wrong: what is wrong and why it matters. mend: what to set."""

    code: str
    wrong: str
    mend: str


def plain() -> list[str]:
    """Return which links an operator let go without TLS, in words of `CARERELAY_PLAINTEXT_ALLOWED`.

    Raises:
        ImproperlyConfigured: one of them is no link we know.
    """
    named = os.environ.get("CARERELAY_PLAINTEXT_ALLOWED", "").split(",")
    found = sorted(set(filter(None, map(str.strip, named))))
    if unknown := [name for name in found if name not in MAY_BE_PLAIN]:
        known = ", ".join(MAY_BE_PLAIN)
        raise ImproperlyConfigured(f"CARERELAY_PLAINTEXT_ALLOWED: {', '.join(unknown)} is none of {known}.")
    return found


def insist(part: str, given: Given | None = None) -> None:
    """Refuse to go on where production would be unsafe; elsewhere do nothing.

    part: web, worker, beat, mllp, flower, or manage for a command. given: its environment, where it is not ours.

    Raises:
        ImproperlyConfigured: with a line for each fault.
    """
    if not settings.IN_PRODUCTION:
        return
    found = [*common(), *of_part(part, os.environ if given is None else given)]
    if found:
        told = "; ".join(f"{fault.code}: {fault.wrong} {fault.mend}" for fault in found)
        raise ImproperlyConfigured(f"Production refuses to start {part}, {len(found)} settings are unsafe. {told}")
    if part != "manage" and (open_links := plain()):
        log.warning("without TLS, as CARERELAY_PLAINTEXT_ALLOWED says: %s", ", ".join(open_links))


def common() -> list[Fault]:
    """Return what is unsafe for every part."""
    may_be_plain = plain()
    return [*_debug(), *_keys(), *_addresses(), *_servers(may_be_plain), *_partners(may_be_plain)]


def of_part(part: str, given: Given) -> list[Fault]:
    """Return what is unsafe of one part alone."""
    asked = {"web": _web, "mllp": _mllp, "flower": _flower}.get(part)
    return list(asked(given)) if asked else []


def _debug() -> Iterator[Fault]:
    if settings.DEBUG:
        yield Fault("debug", "DEBUG is on, so that error pages show code and data.", "Turn it off.")
    if settings.LOG_LEVEL in ("DEBUG", "NOTSET"):
        sentence = (
            "CARERELAY_LOG_LEVEL is so low that libraries write into the log what they read, pictures' texts too."
        )
        yield Fault("log_level", sentence, "Set INFO or higher.")


def _keys() -> Iterator[Fault]:
    texts = {"CARERELAY_SECRET_KEY": settings.SECRET_KEY, "CARERELAY_JWT_KEY": settings.JWT_SIGNING_KEY}
    for name, text in texts.items():
        if found := keys.weakness(str(text)):
            yield _poor(name, found)
    if any(map(keys.is_known_to_all, map(str, settings.SECRET_KEY_FALLBACKS))):
        yield Fault(
            "key_old", "A key in CARERELAY_SECRET_KEYS_OLD is one of those that everybody knows.", "Take it out."
        )
    rings = {"CARERELAY_FIELD_KEYS": settings.FIELD_KEYS, "CARERELAY_INDEX_KEYS": settings.INDEX_KEYS}
    for name, ring in rings.items():
        for key_id, key in ring:
            if found := keys.weakness_of_bytes(key):
                yield _poor(f"The key {key_id} of {name}", found)
    signer = secret("CARERELAY_AUDIT_KEY", "")
    if found := keys.weakness_of_signer(signer) if signer else "it is not set":
        yield _poor("CARERELAY_AUDIT_KEY", found)
    known = [*map(str, texts.values()), *([signer] if signer else []), *_encoded(rings.values())]
    if len(set(known)) < len(known):
        sentence = "Two keys are the same, so that whoever learns one has both."
        yield Fault("keys_equal", sentence, "Make each of its own with `./carerelay secrets`.")


def _encoded(rings: Any) -> list[str]:
    return [keys.encoded(key) for ring in rings for _, key in ring]


def _poor(name: str, found: str) -> Fault:
    kept = " Keep the old one in CARERELAY_SECRET_KEYS_OLD for a week." if name == "CARERELAY_SECRET_KEY" else ""
    return Fault("key", f"{name} can be guessed: {found}.", f"Make it with `./carerelay secrets`.{kept}")


def _addresses() -> Iterator[Fault]:
    base = urlsplit(settings.PUBLIC_BASE_URL)
    if base.scheme != "https":
        sentence = "CARERELAY_PUBLIC_BASE_URL is not https, so that sign-ins and links travel in plain text."
        yield Fault("public_http", sentence, "Name the https address of the proxy before web.")
    if any(host.strip().startswith(("*", ".")) for host in settings.ALLOWED_HOSTS):
        sentence = "CARERELAY_ALLOWED_HOSTS has a wildcard, so that a forged Host header is taken for ours."
        yield Fault("any_host", sentence, "Name each host.")


def _servers(may_be_plain: list[str]) -> Iterator[Fault]:
    if "postgres" not in may_be_plain and not is_database_private(settings.DATABASES["default"]):
        sentence = "The database is spoken to without a verified certificate, so that others can read and answer."
        mend = "Add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL, or use a unix socket."
        yield Fault("postgres_plain", sentence, _or_name(mend, "postgres"))
    urls = [settings.REDIS_URL, settings.CELERY_BROKER_URL]
    if "redis" not in may_be_plain and not all(map(is_broker_private, urls)):
        sentence = "Redis is spoken to without a verified certificate, so that others can read and ring."
        mend = "Use rediss://...?ssl_cert_reqs=required&ssl_ca_certs=FILE, or a unix socket."
        yield Fault("redis_plain", sentence, _or_name(mend, "redis"))


def is_database_private(database: Mapping[str, Any], given: Given = os.environ) -> bool:
    """Tell whether what goes to a database stays on this machine or goes to whom a certificate names.

    Judged is what libpq makes of it: what the URL names beside its host, and what the variables of libpq add.
    """
    told = {name: value for name, value in database.get("OPTIONS", {}).items() if value}
    if database.get("HOST"):
        told["host"] = database["HOST"]

    def meant(name: str, variable: str) -> str:
        return str(told.get(name) or given.get(variable) or "")

    if meant("service", "PGSERVICE"):  # its file goes before the variables, and may name any host
        return told.get("sslmode") in VERIFIED
    if meant("sslmode", "PGSSLMODE") in VERIFIED:
        return True
    if meant("hostaddr", "PGHOSTADDR"):
        return False
    hosts = [host.strip() for host in meant("host", "PGHOST").split(",")]
    return all(not host or host.startswith(("/", "@")) for host in hosts)


def is_broker_private(url: str) -> bool:
    """The same of the URL of a Redis, or of several with a semicolon between, as redis-py and kombu read it."""
    return all(map(_is_redis_private, url.split(";")))


def _is_redis_private(url: str) -> bool:
    """Of a word that stands twice one reads the first and the other the last: all have to be safe."""
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket"):
        return True
    told = {name: {value.lower() for value in values} for name, values in parse_qs(unquote(parts.query)).items()}
    verifies = told.get("ssl_cert_reqs", {"required"}) <= {"required", "cert_required"}
    return parts.scheme == "rediss" and verifies and told.get("ssl_check_hostname", {"true"}) <= {"true"}


def _partners(may_be_plain: list[str]) -> Iterator[Fault]:
    unsigned = "comes without what its reports are signed with, so that anybody could report and reply in its name."
    if settings.SMS_TRANSPORT == "twilio" and not settings.TWILIO_TOKENS:
        yield Fault("twilio_unsigned", f"Twilio {unsigned}", "Set TWILIO_AUTH_TOKEN.")
    if settings.EMAIL_TRANSPORT == "sendgrid" and not settings.SENDGRID_WEBHOOK_KEYS:
        yield Fault("sendgrid_unsigned", f"SendGrid {unsigned}", "Set SENDGRID_WEBHOOK_KEYS.")
    for name in ("TWILIO_BASE_URL", "SENDGRID_BASE_URL"):
        if (url := getattr(settings, name)) and urlsplit(url).scheme != "https":
            yield Fault("provider_http", f"{name} is not https, so that messages travel in plain text.", "Use https.")
    is_open = settings.EMAIL_TRANSPORT == "smtp" and settings.SMTP_SECURITY == "none"
    if is_open and "smtp" not in may_be_plain:
        sentence = "SMTP_SECURITY is none, so that mails to patients and the password travel in plain text."
        yield Fault("smtp_plain", sentence, _or_name("Set starttls or tls.", "smtp"))
    bucket = os.environ.get("CARERELAY_EXPORT_S3_ENDPOINT", "") if settings.EXPORT_BUCKET else ""
    if bucket and urlsplit(bucket).scheme != "https" and "exports" not in may_be_plain:
        sentence = "CARERELAY_EXPORT_S3_ENDPOINT is not https, so that whole exports travel in plain text."
        yield Fault("exports_plain", sentence, _or_name("Use https.", "exports"))


def _or_name(mend: str, link: str) -> str:
    return f"{mend} Where TLS ends elsewhere, name {link} in CARERELAY_PLAINTEXT_ALLOWED."


def _web(given: Given) -> Iterator[Fault]:
    if not _is_here(given) and settings.TRUSTED_PROXIES in (0, []):
        sentence = "Web listens for other machines and no proxy is named, so that its plain text port is the door."
        yield Fault("web_open", sentence, "Set CARERELAY_TRUSTED_PROXIES, or CARERELAY_BIND=127.0.0.1.")
    networks = settings.TRUSTED_PROXIES if isinstance(settings.TRUSTED_PROXIES, list) else []
    if any(network.prefixlen < WIDEST[network.version] for network in networks):
        sentence = "CARERELAY_TRUSTED_PROXIES names a network so wide that anybody's word on an address is believed."
        yield Fault(
            "web_proxies", sentence, "Name the proxies, or the network they stand in: 10.0.0.0/8 at the widest."
        )


def _mllp(given: Given) -> Iterator[Fault]:
    has = [given.get(f"CARERELAY_MLLP_{name}", "") for name in ("CERTIFICATE", "KEY", "CLIENT_CA")]
    if "mllp" not in plain():
        if not all(has):
            sentence = "MLLP would take results of laboratories in plain text, or from anybody without a certificate."
            mend = "Set CARERELAY_MLLP_CERTIFICATE, CARERELAY_MLLP_KEY and CARERELAY_MLLP_CLIENT_CA."
            yield Fault("mllp_plain", sentence, _or_name(mend, "mllp"))
    elif not _is_here(given, _published(given)) and "mllp" not in _let_open(given):
        sentence = "MLLP listens for other machines in plain text, so that anybody who reaches it is a laboratory."
        yield Fault("mllp_open", sentence, "Set CARERELAY_BIND=127.0.0.1, or name mllp in CARERELAY_OPEN_BINDS.")


def _flower(given: Given) -> Iterator[Fault]:
    logins = given.get("FLOWER_BASIC_AUTH", "").split(",")  # of several each opens it
    if min(len(login.partition(":")[2]) for login in logins) < SHORTEST_PASSWORD:
        sentence = f"Flower has no password of {SHORTEST_PASSWORD} characters, so that anybody sees the work."
        yield Fault("flower_login", sentence, "Set FLOWER_BASIC_AUTH as name:password.")
    if not _is_here(given, _published(given)) and "flower" not in _let_open(given):
        sentence = "Flower listens for other machines, by plain text."
        mend = "Set CARERELAY_BIND=127.0.0.1, or name flower in CARERELAY_OPEN_BINDS where a firewall stands before it."
        yield Fault("flower_open", sentence, mend)


def _is_here(given: Given, published: str = "") -> bool:
    return (published or given.get("CARERELAY_BIND", "127.0.0.1")).startswith(LOOPBACK)


def _published(given: Given) -> str:
    """Return where a container's port is reached: within, it has to listen for all."""
    return given.get("CARERELAY_PUBLISHED", "")


def _let_open(given: Given) -> list[str]:
    return [name.strip() for name in given.get("CARERELAY_OPEN_BINDS", "").split(",")]
