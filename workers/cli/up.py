"""`carerelay up`: servers, tables, a first clinic and every part under one supervisor; without it nothing runs."""

import argparse
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from workers.cli import console, environments, logs, processes, stack, state, stopping
from workers.cli.errors import Refused
from workers.cli.parts import PARTS
from workers.cli.state import Lock, Ports, Running
from workers.cli.supervisor import Supervisor

READY_LIMIT_S = 90.0
HOPELESS = 4  # deaths of one part while starting
SEED_PATIENTS = 200
DEMO_LOGIN = "admin@demo.clinic / demo-clinic-2026"


def run(words: list[str]) -> int:
    options = parser().parse_args(words)
    caller = dict(os.environ) if options.no_env_file else state.settings_of_caller()
    if options.embedded:
        caller = stack.without_servers(caller)
    ports = state.chosen_ports(
        caller, {"web": options.web_port, "mllp": options.mllp_port, "flower": options.flower_port}
    )
    folder = state.prepare(state.state_folder())
    with stopping.on_signals():
        try:
            with Lock(folder):
                (folder / "stack.json").unlink(missing_ok=True)  # of a run that was killed
                require_free(ports)
                up(folder, caller, ports, quiet=options.quiet)
        except stopping.Stop:
            console.say("Stopped. `./carerelay up` goes on with the same data.")
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carerelay up",
        description="Start PostgreSQL, Redis, web, worker, beat, MLLP listener and Flower; Ctrl-C stops them all.",
        epilog="DATABASE_URL and REDIS_URL (environment or .env) replace the embedded servers. "
        "CARERELAY_STATE names another data folder.",
    )
    parser.add_argument("--web-port", type=int, metavar="N", help="default 8000, or CARERELAY_WEB_PORT")
    parser.add_argument("--mllp-port", type=int, metavar="N", help="default 2575, or CARERELAY_MLLP_PORT")
    parser.add_argument("--flower-port", type=int, metavar="N", help="default 5555, or CARERELAY_FLOWER_PORT")
    parser.add_argument("--embedded", action="store_true", help="ignore DATABASE_URL and REDIS_URL")
    parser.add_argument("--no-env-file", action="store_true", help="do not read .env")
    parser.add_argument("--quiet", action="store_true", help="keep the parts' log lines off the terminal")
    return parser


def up(folder: Path, caller: Mapping[str, str], ports: Ports, *, quiet: bool) -> None:
    """Bring everything up, then supervise until told to stop."""
    seeds = caller.get("CARERELAY_ENV") != "production"
    steps = console.Steps(3 + seeds + len(PARTS))
    with steps, stack.servers(folder, caller, steps) as servers:
        env = {**stack.settings(folder, caller, servers.urls, ports), "TMPDIR": str(state.emptied(folder / "tmp"))}
        django(["migrate", "--noinput"], "tables", env, folder, steps)
        if seeds:
            seed = ["seed", "--patients", str(SEED_PATIENTS), "--if-empty"]
            django(seed, "demo clinic", env, folder, steps)
        supervisor = Supervisor(folder / "logs", show=console.nothing if quiet else console.prefixed)
        try:
            start_parts(supervisor, environments.without_owner(env), steps)
            steps.close()
            report(supervisor, env, ports, folder)
            supervise(supervisor, servers, Running(ports, environments.shared(env), {}, ready=False), folder)
        finally:
            stopping.ignore()
            (folder / "stack.json").unlink(missing_ok=True)
            supervisor.stop()


def django(words: list[str], title: str, env: Mapping[str, str], folder: Path, steps: console.Steps) -> None:
    """Run one Django command as a step; its output goes to a log, its last line into the refusal."""
    log = folder / "logs" / f"{words[0]}.log"
    with steps.step(title), log.open("wb") as output:
        child = processes.spawn(stack.manage(words), env=env, output=output)
        try:
            while child.poll() is None:
                steps.tick()
                wait(child, 0.1)
        finally:
            processes.finish(child, within_s=5)
        if child.returncode:
            raise Refused(f"`manage {words[0]}` failed: {logs.raised(log)} (all of it in {log})")


def wait(child: processes.Child, seconds: float) -> None:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def start_parts(supervisor: Supervisor, env: Mapping[str, str], steps: console.Steps) -> None:
    """Start all parts at once and report each as it becomes ready; go on without one that takes too long."""
    for part in PARTS:
        supervisor.start(part, env)
    told: set[str] = set()
    deadline = steps.seconds + READY_LIMIT_S
    while steps.seconds < deadline and not supervisor.probe():
        supervisor.tick(wait_s=0.1)
        refuse_hopeless(supervisor)
        told |= tell_new(supervisor, told, steps)
    tell_new(supervisor, told, steps)


def refuse_hopeless(supervisor: Supervisor) -> None:
    """End a start in which one part dies again and again; later on the supervisor keeps trying for ever."""
    for name, one in supervisor.running.items():
        if one.failures >= HOPELESS:
            log = Path(one.log.name)
            raise Refused(f"{name} does not start: {logs.raised(log)} (all of it in {log})")


def tell_new(supervisor: Supervisor, told: set[str], steps: console.Steps) -> set[str]:
    """Report the parts that became ready since the last look."""
    new = {name for name, one in supervisor.running.items() if one.ready} - told
    for name in sorted(new):
        steps.finished(f"{name} ready", supervisor.running[name].age_s)
    steps.tick()
    return new


def supervise(supervisor: Supervisor, servers: stack.Servers, start: Running, folder: Path) -> None:
    """Keep servers and parts alive until a signal raises Stop; `stack.json` tells other commands what runs."""
    known = start
    while True:
        now = replace(start, pids={**servers.pids(), **supervisor.pids()}, ready=supervisor.probe())
        if now != known:
            state.write_running(folder, now)
            known = now
        supervisor.tick(wait_s=0.2)
        servers.revive(supervisor.show)


def report(supervisor: Supervisor, env: Mapping[str, str], ports: Ports, folder: Path) -> None:
    """Tell the person where everything is."""
    found = Running(ports, {}, {}, ready=True)
    demo = "" if env.get("CARERELAY_ENV") == "production" else DEMO_LOGIN
    address = {
        "web": (f"{found.web_url}/api/docs/", demo),
        "admin": (f"{found.web_url}/admin/", demo),
        "mllp": (f"mllp://{state.HOST}:{ports.mllp}", ""),
        "flower": (found.flower_url, env.get("FLOWER_BASIC_AUTH", "").replace(":", " / ", 1)),
    }
    states = {name: one.state for name, one in supervisor.running.items()}
    states["admin"] = states["web"]
    order = ("web", "admin", "worker", "beat", "mllp", "flower")
    rows: list[tuple[str, ...]] = [(name, *address.get(name, ("", "")), states[name]) for name in order]
    console.table("CareRelay", ("part", "URL", "login", "state"), rows)
    console.say(f"Logs and data: {folder}   Stop: Ctrl-C")


def require_free(ports: Ports) -> None:
    for name, port in (("web", ports.web), ("mllp", ports.mllp), ("flower", ports.flower)):
        if not state.is_free(port):
            raise Refused(
                f"Port {port} is in use on {state.HOST}. End the other program or choose a port with --{name}-port."
            )
