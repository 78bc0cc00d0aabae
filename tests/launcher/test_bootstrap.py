"""The first command on a fresh machine: a broken, slow or full one must end in a sentence or a good .venv."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.launcher.processes import UNSHARE, can_make_namespaces

ROOT = Path(__file__).resolve().parents[2]
CKSUM = shutil.which("cksum") or "/usr/bin/cksum"


def wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Write a wheel by hand; return its line for a lock file."""
    record = f"{name}-1.0.dist-info/RECORD"
    content = {
        **files,
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in content.items():
            archive.writestr(file, text)
        archive.writestr(
            record, "".join(f"{file},{digest(text)},\n" for file, text in content.items()) + f"{record},,\n"
        )
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return project(tmp_path)


@dataclass(frozen=True)
class Installed:
    """A project after two first runs at once."""

    folder: Path
    outcomes: tuple[tuple[int, str, str], ...]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = project(tmp_path_factory.mktemp("installed"))
    runs = [start(folder, word) for word in ("one", "two")]
    return Installed(folder, tuple(map(outcome, runs)))


def project(tmp_path: Path) -> Path:
    """Return a tiny project with the real bootstrap; its uv always fails, so pip has to do the work; no network."""
    folder = tmp_path / "checkout"
    (folder / "workers" / "cli").mkdir(parents=True)
    for name in ("carerelay", "workers/cli/bootstrap.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "workers" / "cli" / "__main__.py").write_text("import sys, tiny; print('handed over', *sys.argv[1:])")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    failing = wheel(wheels, "uv", {"uv-1.0.data/scripts/uv": "#!/bin/sh\nexit 1\n"})
    (folder / "requirements.lock").write_text(wheel(wheels, "tiny", {"tiny.py": ""}) + failing)
    return folder


def environment(checkout: Path, **more: str) -> dict[str, str]:
    wheels = str(checkout.parent / "wheels")
    return {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, **more}


def start(checkout: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([checkout / "carerelay", *words], env=environment(checkout, **more), **pipes)


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_two_first_runs_at_once_install_once_and_both_go_on(installed: Installed) -> None:
    (code_1, out_1, err_1), (code_2, out_2, err_2) = installed.outcomes
    assert (code_1, out_1) == (0, "handed over one\n")
    assert (code_2, out_2) == (0, "handed over two\n")
    assert (err_1 + err_2).count("locked packages") == 1
    assert (err_1 + err_2).count("waiting for it") == 1


def test_an_install_that_was_cut_off_is_started_afresh_and_a_good_one_is_left_alone(checkout: Path) -> None:
    (checkout / ".carerelay").mkdir()
    (checkout / ".carerelay" / "installing").touch()
    half = checkout / ".venv" / "bin" / "python"
    half.parent.mkdir(parents=True)
    half.write_text("half a file")
    assert outcome(start(checkout))[0] == 0
    code, out, err = outcome(start(checkout, "again", PIP_FIND_LINKS="/nonexistent"))
    assert (code, out, err) == (0, "handed over again\n", "")


def test_a_package_that_differs_from_the_lock_is_refused(checkout: Path, installed: Installed) -> None:
    shutil.copytree(installed.folder / ".venv", checkout / ".venv", symlinks=True)
    (checkout / ".venv" / ".installed").unlink()
    for file in checkout.glob(".venv/lib/*/site-packages/tiny*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    wheel(checkout.parent / "wheels", "tiny", {"tiny.py": "raise SystemExit('replaced')"})
    code, out, err = outcome(start(checkout))
    assert (code, out) == (2, "")
    assert "DO NOT MATCH THE HASHES" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("python", ["/bin/false", "/nonexistent/python"])
def test_a_wrong_python_is_refused_with_a_sentence(checkout: Path, python: str) -> None:
    code, _, err = outcome(start(checkout, PYTHON=python))
    assert code == 2
    assert err == f"carerelay: PYTHON={python} is not a working Python 3.11 to 3.14.\n"


def test_no_python_at_all_is_refused_with_a_sentence(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cksum", "cat"):
        (tools / name).symlink_to(shutil.which(name) or name)
    code, _, err = outcome(start(checkout, PYTHON="", PATH=str(tools)))
    assert code == 2
    assert err.startswith("carerelay: needs Python 3.11 to 3.14 on PATH, found none.")


@pytest.mark.skipif(not can_make_namespaces(), reason="mounting needs user namespaces, which are off here")
@pytest.mark.parametrize(
    ("mount", "sentence"),
    [
        ("mount --bind $1 $1 && mount -o remount,ro,bind $1", "is not writable for this user"),
        ("cp -r $1 $1.copy && mount -t tmpfs -o size=64k none $1 && cp -r $1.copy/. $1", "the disk is full"),
    ],
    ids=["read-only", "full"],
)
def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence(checkout: Path, mount: str, sentence: str) -> None:
    command = [UNSHARE, "-Urm", "sh", "-c", mount + " && exec $1/carerelay", "sh", checkout]
    done = subprocess.run(command, env=environment(checkout), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("carerelay: ")
    assert sentence in lines[-1]
    assert "Traceback" not in done.stderr


def test_a_call_from_another_folder_through_a_link_works_on_the_checkout(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$CARERELAY_CWD in $(pwd)" "$@"\n')
    (checkout / ".venv" / "bin" / "python").chmod(0o755)
    summed = subprocess.run([CKSUM], stdin=(checkout / "requirements.lock").open(), capture_output=True, check=True)
    (checkout / ".venv" / ".installed").write_bytes(summed.stdout)
    link = tmp_path / "link"
    link.symlink_to(checkout / "carerelay")
    done = subprocess.run([link, "up"], cwd="/", env=environment(checkout), capture_output=True, text=True, check=True)
    assert done.stdout == f"/ in {checkout} -m workers.cli up\n"
