"""One clinic day, end to end: a lab sends a result, a patient gets a reminder; without it nobody sees it work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workers.cli import console, demo_claims, demo_credentials, demo_fhir, demo_ground, demo_labs, demo_reminders
from workers.cli.desk import Line
from workers.cli.errors import Refused, reason
from workers.cli.state import Running


def run(stack: Running, names: Sequence[str]) -> int:
    """Play the named scenes (all without names) on `stack`; return 0 when every one ended as it should.

    Raises:
        Refused: it is no demo clinic, or what the scenes send would leave this machine.
    """
    chosen = names or list(SCENES)
    demo_ground.require_demo_clinic(stack)
    demo_ground.require_nobody_written_to(stack, chosen)
    console.say(f"Demo on {stack.web_url}")
    good = played(stack, chosen)
    console.say("Everything ended as it should." if good else "Something did not end as it should; see above.")
    return 0 if good else 1


def check(names: Sequence[str]) -> None:
    """Refuse a name that is no scene's."""
    if unknown := sorted(set(names) - set(SCENES)):
        raise Refused(f"There is no scene {unknown[0]!r}; there are: {', '.join(SCENES)}.")


def played(stack: Running, names: Sequence[str]) -> bool:
    """Play scenes, also after one that broke off, and tell what happened; return whether all ended as they should."""
    lines, good = list[Line](), True
    for name in names:
        try:
            told, ended_well = SCENES[name](stack)
        except Exception as error:  # noqa: BLE001 - the others are played, and the exit code tells
            broken_off(name, error)
            told, ended_well = [], False
        lines += told
        good = good and ended_well
    if lines:
        console.table("What happened", ("what", "id", "state"), lines)
    return good


def broken_off(name: str, error: Exception) -> None:
    """Tell of a part of a day that could not go on."""
    console.say(f"{'broken off':16}{name}  {reason(error)}   <- NOT as it should be")


SCENES: dict[str, Callable[[Running], tuple[list[Line], bool]]] = {
    "claims": demo_claims.play,
    "credentials": demo_credentials.play,
    "fhir": demo_fhir.play,
    "labs": demo_labs.play,
    "reminders": demo_reminders.play,
}
