"""Where a bucket is spoken to: a name that is one of ours when it is asked leads nowhere else when it is called."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from backend.apps.interop.fhir.exports.bucket import Bucket
from integrations import egress
from tests.support.s3_double import S3Double


def bucket_at(name: str, s3: S3Double) -> Bucket:
    once = Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"})
    url = f"http://{name}:{s3.url.rpartition(':')[2]}"
    return Bucket(**{**s3.options(), "endpoint_url": url, "client_config": once})


def means(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Let every name mean these addresses, another at each look-up."""
    left = list(answers)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_bucket_whose_name_means_another_address_a_moment_later_is_not_called_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CARERELAY_ENV", "production")
    with S3Double() as inside:
        inside.objects["x"] = b"kept"
        monkeypatch.setenv("CARERELAY_EGRESS_ALLOW", "127.0.0.2")
        means(monkeypatch, "127.0.0.2", "127.0.0.1", "127.0.0.1")
        store = bucket_at("rebinds.example", inside)
        with pytest.raises(EndpointConnectionError):
            store.exists("x")
        with pytest.raises(egress.Forbidden):
            store.exists("x")
        assert (inside.requests, inside.connections) == ([], 0)
        monkeypatch.setenv("CARERELAY_EGRESS_ALLOW", "127.0.0.1")
        means(monkeypatch, "127.0.0.1", "127.0.0.1")
        assert bucket_at("minio.example", inside).exists("x"), "who may be called is"
