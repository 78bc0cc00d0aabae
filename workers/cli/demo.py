"""One clinic day, end to end: a lab sends a result, a patient gets a reminder; without it nobody sees it work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workers.cli import console, demo_claims, demo_credentials, demo_fhir, demo_labs, demo_reminders
from workers.cli.desk import Line
from workers.cli.errors import Refused
from workers.cli.state import Running


def run(stack: Running, names: Sequence[str]) -> int:
    """Play the named scenes (all without names) on `stack`; return 0 when every one ended as it should."""
    unknown = sorted(set(names) - set(SCENES))
    if unknown:
        raise Refused(f"There is no scene {unknown[0]!r}; there are: {', '.join(SCENES)}.")
    console.say(f"Demo on {stack.web_url}")
    lines, good = list[Line](), True
    for name in names or SCENES:
        told, ended_well = SCENES[name](stack)
        lines += told
        good = good and ended_well
    if lines:
        console.table("What happened", ("what", "id", "state"), lines)
    console.say("Everything ended as it should." if good else "Something did not end as it should; see above.")
    return 0 if good else 1


SCENES: dict[str, Callable[[Running], tuple[list[Line], bool]]] = {
    "claims": demo_claims.play,
    "credentials": demo_credentials.play,
    "fhir": demo_fhir.play,
    "labs": demo_labs.play,
    "reminders": demo_reminders.play,
}
