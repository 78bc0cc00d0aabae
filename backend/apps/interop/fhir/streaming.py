"""Answers what is long piece by piece; without it Django would gather it in memory first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest


def in_pieces(request: HttpRequest, pieces: Generator[bytes]) -> Iterator[bytes] | AsyncIterator[bytes]:
    """Return the pieces as the server of this request takes them one at a time."""
    return _awaited(pieces) if isinstance(request, ASGIRequest) else pieces


async def _awaited(pieces: Generator[bytes]) -> AsyncIterator[bytes]:
    """Read in a thread: Django gathers an iterator that is not asynchronous in memory before it answers."""
    following = sync_to_async(_next)
    try:
        while piece := await following(pieces):
            yield piece
    finally:
        await sync_to_async(pieces.close)()


def _next(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")
