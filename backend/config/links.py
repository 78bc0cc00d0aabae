"""How Redis is spoken to by TLS; without it Flower and the probes would read another half of the URL than workers."""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlsplit


def redis_tls(url: str) -> dict[str, Any] | bool:
    """Return the `ssl_...` words of a rediss URL as redis-py's client takes them; False of any other URL."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return False
    told: dict[str, Any] = {name: value for name, value in parse_qsl(parts.query) if name.startswith("ssl_")}
    told["ssl_cert_reqs"] = (
        ssl.CERT_NONE if told.get("ssl_cert_reqs", "").lower().endswith("none") else ssl.CERT_REQUIRED
    )
    if "ssl_check_hostname" in told:
        told["ssl_check_hostname"] = told["ssl_check_hostname"].lower() == "true"
    return told
