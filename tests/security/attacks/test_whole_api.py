"""Calls the running API with what its own description allows and forbids: no answer is a server error.

The short form takes a share of all operations; CARERELAY_FUZZ_OPERATIONS=10000 CARERELAY_FUZZ_EXAMPLES=50 takes all.
It stands last in the folder, for it writes whatever it is let.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import requests
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, openapi

from tests.security.attacks.attack import crashes, leaked
from tests.security.attacks.stack import AttackedStack
from tests.security.matrix import Practice

OPERATIONS = int(os.environ.get("CARERELAY_FUZZ_OPERATIONS", "40"))
EXAMPLES = int(os.environ.get("CARERELAY_FUZZ_EXAMPLES", "3"))
LEFT_OUT = ("/auth/", "/sign_out_everywhere/", "/deactivate/")  # they would end the session we call with
HOW = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def operations(stack: AttackedStack, token: str) -> list[Any]:
    """Return a share of what the API describes, spread over all of it."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    described = requests.get(f"{stack.url}/api/schema/?format=json", headers=headers, timeout=60)
    assert described.status_code == 200
    schema = openapi.from_dict(described.json())
    found = [one.ok() for one in schema.get_all_operations()]
    usable = [one for one in found if not any(part in one.path for part in LEFT_OUT)]
    assert len(usable) > 300
    return usable[:: max(1, len(usable) // OPERATIONS)]


def test_no_call_within_or_beside_the_description_breaks_the_api(
    stack: AttackedStack, mine: Practice, rows: dict[str, Any]
) -> None:
    token, logs = stack.token(mine.logins["admin"]), stack.logs()
    broken: list[tuple[Any, ...]] = []
    calls: list[int] = []

    def called(case: Any) -> None:
        answer = case.call(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        calls.append(answer.status_code)
        if answer.status_code >= 500:
            broken.append((case.method, case.formatted_path, answer.status_code, str(case.body)[:300]))

    for operation in operations(stack, token):
        row = rows.get(operation.path.strip("/").split("/")[2])
        known = {"path_parameters": {"id": str(row.pk)}} if row is not None and "{id}" in operation.path else {}
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            with suppress(Unsatisfiable):  # nothing can be wrong with what has no parameters
                seed(7)(HOW(given(operation.as_strategy(mode, **known))(called)))()
    assert broken == []
    assert len(calls) > OPERATIONS
    assert {200, 400} <= set(calls)
    written = stack.logged_since(logs)
    assert crashes(written) == []
    assert leaked(written) == []
