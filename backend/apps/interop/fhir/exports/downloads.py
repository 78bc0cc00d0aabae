"""Hands out the files of an export in pieces, so that a file of any size costs the same memory and is not removed."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import timedelta
from typing import IO

from django.core.files.storage import storages
from django.db.models.functions import Greatest, Now
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from isal import igzip

from backend.apps.core.connections import let_go
from backend.apps.interop.fhir.exports.asked import NDJSON
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.streaming import in_pieces
from backend.apps.interop.models import ExportFile

PIECE = 256 * 1024  # bytes
KEPT_FOR = timedelta(minutes=10)  # after a reader last took a piece
NOTED_EVERY_S = 60
ORGANIZED = "Patients"  # what a file of several types is called


def answer(request: HttpRequest, file: ExportFile) -> HttpResponseBase:
    """Return the file as it is kept to those who take gzip, else inflated on the way.

    Raises:
        Refusal: it has been removed.
    """
    packed = takes_gzip(request.headers.get("Accept-Encoding", ""))
    stored = _opened(file)
    if request.method == "HEAD":
        stored.close()
        answered: HttpResponseBase = HttpResponse(content_type=NDJSON)
    else:
        pieces = _pieces(file, stored, packed=packed)
        answered = StreamingHttpResponse(in_pieces(request, pieces), content_type=NDJSON)
    if packed:
        answered["Content-Encoding"] = "gzip"
    answered["Content-Length"] = str(file.stored_bytes if packed else file.size_bytes)
    answered["Vary"] = "Accept-Encoding"
    answered["Cache-Control"] = "no-store, private"
    answered["Content-Disposition"] = f'attachment; filename="{file.resource_type or ORGANIZED}-{file.pk}.ndjson"'
    return answered


def takes_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding lets us answer gzip."""
    for each in header.lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() in {"gzip", "x-gzip"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def being_read(file: ExportFile) -> bool:
    """Note that somebody reads the file, so that it stays; False when it is gone."""
    there = ExportFile.objects.filter(pk=file.pk, removed_at=None)
    return bool(there.update(read_until=Greatest("read_until", Now() + KEPT_FOR)))


def _opened(file: ExportFile) -> IO[bytes]:
    gone = Refusal("This file has been removed.", status=410)
    if not being_read(file):
        raise gone
    try:
        opened: IO[bytes] = storages["exports"].open(file.path, "rb")
    except FileNotFoundError as error:
        raise gone from error
    return opened


def _pieces(file: ExportFile, stored: IO[bytes], *, packed: bool) -> Generator[bytes]:
    let_go()  # a download may last for hours
    noted_at = time.monotonic()
    with stored:
        read = stored.read if packed else igzip.open(stored, "rb").read
        while piece := read(PIECE):
            yield piece
            if time.monotonic() - noted_at > NOTED_EVERY_S:
                being_read(file)
                let_go()
                noted_at = time.monotonic()
