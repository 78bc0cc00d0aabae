"""Which types of messages are taken, and as what; without it the door would refuse what a worker could file."""

from __future__ import annotations

# MSH-9 as code and trigger; a trigger is empty where an older sender leaves it out.
RESULTS = frozenset(("ORU", trigger) for trigger in ("", "R01", "R30", "R31", "R32")) | frozenset(
    ("OUL", trigger) for trigger in ("", "R21", "R22", "R23", "R24")
)
RESULT_CODES = frozenset(code for code, _ in RESULTS) | {""}  # what is filed as results, whatever its trigger
ANSWERS = frozenset({"ACK", "ORL", "ORR", "ORG", "MCF"})  # to our orders; never answered by another one
CHANGES = frozenset({"OML", "ORM"})  # of our orders, by the laboratory itself
ABOUT_ORDERS = ANSWERS | CHANGES
