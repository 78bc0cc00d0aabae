"""Which settings a stack and a command beside it get; without it a demo would reach the clinic its caller runs."""

from collections.abc import Mapping

MACHINE = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
OURS = (  # beginnings of names
    "CARERELAY_",
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "CELERY_",
    "DJANGO_",
    "PYTHONPATH",
    "FLOWER_BASIC_AUTH",
    "TWILIO_",
    "SENDGRID_",
    "SMTP_",
)
WHERE_THE_CALLER_IS = "CARERELAY_CWD"
OF_A_TRIAL = (WHERE_THE_CALLER_IS, "CARERELAY_SCREENSHOTS", "CARERELAY_BROWSER_PICTURES")  # where it leaves what it saw


def of_machine(caller: Mapping[str, str]) -> dict[str, str]:
    """Return what is about the machine and nobody's setting; no proxy, for all of a demo's partners are here."""
    return {name: value for name, value in caller.items() if name in MACHINE}


def shared(env: Mapping[str, str]) -> dict[str, str]:
    """Return what a stack tells those who work beside it."""
    return {name: value for name, value in env.items() if name.startswith(OURS) and name != WHERE_THE_CALLER_IS}


def beside(stack: Mapping[str, str], caller: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command beside a stack: of the settings that are ours only the stack's count.

    What the caller alone has set, such as DATABASE_URL_FILE or another broker, may lead to another clinic.
    """
    return {**{name: value for name, value in caller.items() if not name.startswith(OURS)}, **stack}


def without_owner(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a part: it has no need of who owns the tables."""
    return {name: value for name, value in env.items() if not name.startswith("DATABASE_OWNER_URL")}


def of_a_trial(caller: Mapping[str, str]) -> dict[str, str]:
    """Return what tests and benchmarks take of their caller: no setting, for it may lead to a clinic's files."""
    return {name: value for name, value in caller.items() if name in OF_A_TRIAL or not name.startswith(OURS)}
