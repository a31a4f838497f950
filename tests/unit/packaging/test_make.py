"""`make` on machines with other Pythons than it needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


class Machine:
    """A checkout and a PATH of one's own, with made-up Pythons."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.checkout = folder / "bin", folder / "checkout"
        self.bin.mkdir()
        self.checkout.mkdir()
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        for name in ["Makefile", "requirements.txt", "requirements-dev.txt"]:
            shutil.copy(ROOT / name, self.checkout)
        for tool in ["make", "sh", "dirname", "sed"]:
            (self.bin / tool).symlink_to(shutil.which(tool) or pytest.skip(f"there is no {tool} here"))

    def python(self, name: str, script: str) -> Path:
        """Put a program called `name` on the PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.checkout, env={"PATH": str(self.bin), **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def says(version: str) -> str:
    return f"echo '{version} CPython /opt/python{version}'"


def test_one_sentence_says_what_is_needed_and_what_was_found(machine: Machine) -> None:
    machine.python("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    machine.python("python3", says("3.9"))
    machine.python("python", says("3.13"))
    done = machine.run("scripts/find-python")
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for part in ["3.11 or 3.12", "Bytewax", "python3 is 3.9", "python is 3.13", "make PYTHON="]:
        assert part in done.stderr
    assert "pyenv" not in done.stderr


def test_a_machine_without_python_is_told_so(machine: Machine) -> None:
    done = machine.run("scripts/find-python")
    assert done.returncode != 0
    assert "none can be run" in done.stderr


def test_make_stops_with_that_sentence(machine: Machine) -> None:
    machine.python("python3", says("3.9"))
    done = machine.run("make", "demo")
    assert done.returncode != 0
    assert done.stderr.startswith("ConScope needs Python 3.11 or 3.12")
    assert not (machine.checkout / ".venv").exists()


def test_the_first_that_fits_is_taken(machine: Machine) -> None:
    machine.python("python3.12", "exit 127")
    machine.python("python3.11", says("3.11"))
    machine.python("python3", says("3.12"))
    assert machine.run("scripts/find-python").stdout == "/opt/python3.11\n"


def test_a_python_that_is_named_goes_first(machine: Machine) -> None:
    machine.python("python3.12", says("3.12"))
    named = machine.python("mine", "echo '3.11 CPython /opt/mine'")
    assert machine.run("scripts/find-python", PYTHON=str(named)).stdout == "/opt/mine\n"


def test_another_python_implementation_is_not_taken(machine: Machine) -> None:
    machine.python("python3.12", "echo '3.12 PyPy /opt/pypy'")
    assert machine.run("scripts/find-python").returncode != 0


def test_a_python_without_venv_names_the_package_to_install(machine: Machine) -> None:
    path = machine.bin / "python3.11"
    script = f"""case "$2" in
        *ensurepip*) exit 1 ;;
        *platform*) echo '3.11 CPython {path}' ;;
        *) echo 3.11 ;;
    esac"""
    machine.python("python3.11", script)
    done = machine.run("make", "demo")
    assert done.returncode != 0
    assert "install the package python3.11-venv" in done.stderr


def test_help_lists_every_command(machine: Machine) -> None:
    listed = {line.split()[1] for line in machine.run("make").stdout.splitlines()}
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    assert listed == set(phony.split()[1:])
