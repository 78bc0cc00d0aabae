"""A store that speaks S3 behind a real socket; without it files of exports would be tried out on our own disk alone."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from integrations.doubles.server import Answer, HttpDouble, Request

BUCKET = "exports"


class S3Double(HttpDouble):
    """One bucket, addressed by path; `objects` holds what is in it by its key."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}

    def options(self) -> dict[str, Any]:
        """Return what S3Storage is told to speak to us."""
        keys = {"access_key": "test", "secret_key": "test", "region_name": "us-east-1"}
        return {"bucket_name": BUCKET, "endpoint_url": self.url, "file_overwrite": True, **keys}

    def take(self, request: Request) -> Answer:
        parts = urlsplit(request.path)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/")
        if request.method == "PUT":
            self.objects[key] = plain(request)
            return Answer(200, b"", {"ETag": '"1"'})
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return Answer(204)
        if not key:
            return Answer(200, self._listed(parse_qs(parts.query).get("prefix", [""])[0]))
        if key not in self.objects:
            return Answer(404, b"")
        return Answer(200, self.objects[key], {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})

    def _listed(self, prefix: str) -> bytes:
        found = (
            f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size></Contents>"
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return (
            f"<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>false</IsTruncated>{''.join(found)}"
            "</ListBucketResult>"
        ).encode()


def plain(request: Request) -> bytes:
    """Return what was put, without the lengths and check sums of `aws-chunked`."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if "aws-chunked" not in headers.get("content-encoding", ""):
        return request.body
    found, rest = b"", request.body
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if not size:
            break
        found, rest = found + rest[:size], rest[size + 2 :]
    return found
