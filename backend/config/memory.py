"""Settles the memory of a web process before its first request; else full collections stop requests for 100 ms."""

import gc

from django.urls import get_resolver

YOUNG = 20_000  # new objects between two small collections: about what one long list makes and drops again


def settle() -> None:
    """Load every view, then tell the garbage collector that what is loaded now stays."""
    get_resolver()._populate()  # type: ignore[attr-defined]  # what the first request would do
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
