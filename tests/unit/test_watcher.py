# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The watcher's pace of wake-ups, its /ready, and what it is made of."""

import itertools
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

import watcher
from watch_meaning import group_meaning, pod_meaning

# --- the pace ----------------------------------------------------------------------------------


class Clock:
    """Time that only goes on when somebody sleeps."""

    def __init__(self):
        self.now, self.later = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.go_to(self.now + seconds)

    def at(self, moment, what):
        self.later.append((moment, what))

    def go_to(self, moment):
        for event in sorted((e for e in self.later if e[0] <= moment), key=lambda e: e[0]):
            self.later.remove(event)
            self.now = max(self.now, event[0])
            event[1]()
        self.now = moment


@pytest.fixture
def clock():
    return Clock()


def paced(clock, answers=()):
    woken, said = [], list(answers)

    def wake():
        woken.append(clock.now)
        clock.sleep(0.01)
        return said.pop(0) if said else True

    return watcher.Pace(wake, clock, clock.sleep), woken


def test_the_first_change_wakes_at_once_and_the_last_of_a_burst_is_not_lost(clock):
    pace, woken = paced(clock)
    clock.now = 100.0
    changes = [100 + i / 100 for i in range(1000)]
    for moment in changes[1:]:
        clock.at(moment, pace.changed)
    pace.changed()
    while pace._news.is_set() or clock.later:
        if not pace._news.is_set():
            clock.go_to(clock.later[0][0])
        pace.step()
    assert woken[0] == 100.0
    assert len(woken) <= 11
    assert woken[-1] >= changes[-1]
    assert all(b - a >= watcher.SPACING for a, b in itertools.pairwise(woken))


def test_a_change_during_a_wake_up_makes_another_one(clock):
    pace, woken = paced(clock)
    clock.now = 10.0
    pace.changed()
    clock.at(10.005, pace.changed)
    pace.step()
    assert pace._news.is_set()
    pace.step()
    assert woken == [10.0, pytest.approx(10.01 + watcher.SPACING)]
    assert not pace._news.is_set()


def test_a_new_watcher_lets_the_last_notice_of_the_old_one_pass(clock):
    """Pebble swallows what comes within REPEAT_AFTER, the change behind it would be lost."""
    pace, woken = paced(clock)
    pace.changed()
    pace.step()
    assert woken == [watcher.REPEAT_AFTER]
    assert watcher.REPEAT_AFTER < watcher.SPACING


def test_a_wake_up_that_failed_is_tried_again_ever_more_slowly(clock):
    pace, woken = paced(clock, [False] * 6)
    clock.now = 5.0
    pace.changed()
    for _ in range(7):
        pace.step()
    gaps = [b - a for a, b in itertools.pairwise(woken)]
    assert gaps == [pytest.approx(n + 0.01) for n in (2.1, 4.2, 8.4, 10, 10, 10)]
    assert not pace._news.is_set()
    pace.changed()
    pace.step()
    assert woken[-1] - woken[-2] == pytest.approx(watcher.SPACING + 0.01)


def fake_pebble(tmp_path, script):
    program = tmp_path / "pebble"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_notify_calls_pebble(tmp_path):
    program = fake_pebble(tmp_path, f'echo "$@" > {tmp_path}/said')
    assert watcher.notify(program)
    assert (tmp_path / "said").read_text() == "notify rbg-k8s.charm/changed --repeat-after=0.5s\n"


def test_notify_says_when_pebble_did_not_take_it(tmp_path, capsys, monkeypatch):
    assert not watcher.notify(fake_pebble(tmp_path, "exit 1"))
    assert not watcher.notify(str(tmp_path / "absent"))
    monkeypatch.setattr(watcher, "NOTIFY_TIMEOUT", 0.05)
    assert not watcher.notify(fake_pebble(tmp_path, "exec sleep 60"))
    assert "does not end" in capsys.readouterr().err


# --- /ready ------------------------------------------------------------------------------------


class Seen:
    def __init__(self, *values, known=True):
        self.objects, self.known = dict(enumerate(values)), known


def readiness(clock, group, pods):
    pace = watcher.Pace(lambda: True, clock)
    clock.now += 5
    return watcher.Readiness(group, pods, pace, clock), pace


@pytest.mark.parametrize(
    ("groups", "pods", "ready"),
    [
        ([], [], False),
        ([(1, {})], [], True),
        ([(1, {"engine": 0})], [], True),
        ([(1, {"engine": 1})], [], False),
        ([(1, {"engine": 1})], [(1, "engine", False)], False),
        ([(1, {"engine": 1})], [(1, "engine", False), (2, "engine", True)], True),
        ([(1, {"engine": 1})], [(1, "decoder", True)], False),
        ([(1, {"a": 1, "b": 2})], [(1, "a", True), (2, "b", True)], False),
        ([(1, {"a": 1, "b": 2})], [(1, "a", True), (2, "b", True), (3, "b", True)], True),
    ],
)
def test_ready_means_that_every_role_has_its_pods(clock, groups, pods, ready):
    assert readiness(clock, Seen(*groups), Seen(*pods))[0]() is ready


@pytest.mark.parametrize("unknown", ["group", "pods"])
def test_ready_is_not_said_before_the_api_server_was_reached(clock, unknown):
    kinds = {"group": Seen((1, {})), "pods": Seen()}
    kinds[unknown].known = False
    ready, _ = readiness(clock, **kinds)
    assert not ready()
    kinds[unknown].known = True
    assert ready()
    kinds[unknown].known = False  # lost: what was seen last is the best there is
    assert ready()


def test_ready_does_not_flicker_in_a_burst(clock):
    pods = Seen((1, "engine", True))
    ready, pace = readiness(clock, Seen((1, {"engine": 1})), pods)
    assert ready()
    pods.objects = {}
    pace.changed()
    clock.now += 0.5
    assert ready()
    clock.now += 0.5
    assert not ready()


def test_ready_is_not_kept_for_ever_by_changes_without_end(clock):
    pods = Seen((1, "engine", True))
    ready, pace = readiness(clock, Seen((1, {"engine": 1})), pods)
    assert ready()
    pods.objects, answers = {}, []
    for _ in range(24):
        pace.changed()
        clock.now += 0.5
        answers.append(ready())
    assert answers == [True] * 19 + [False] * 5


def test_ready_over_http():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = [True, False]
    threading.Thread(target=watcher.serve, args=(port, lambda: said.pop(0)), daemon=True).start()

    def ask(request):
        for _ in range(100):
            try:
                with socket.create_connection(("127.0.0.1", port), 2) as peer:
                    peer.sendall(request)
                    return peer.recv(1000).split(b"\r\n")[0]
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise AssertionError("not served")

    get = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
    assert ask(get % b"/ready") == b"HTTP/1.1 200 OK"
    assert ask(get % b"/ready") == b"HTTP/1.1 503 not ready"
    assert ask(get % b"/other") == b"HTTP/1.1 404 unknown"


# --- the whole ---------------------------------------------------------------------------------


def test_what_is_watched_comes_from_the_environment(monkeypatch, tmp_path):
    made, started = [], []

    class Made:
        def __init__(self, connection, paths, query, meaning, changed, seconds):
            made.append((paths, query, meaning, seconds))

        def run(self):
            started.append("run")

    class Stop(Exception):
        pass

    def stop(_):
        raise Stop

    monkeypatch.setattr(watcher, "Kind", Made)
    monkeypatch.setattr(watcher, "serve", lambda port, ready: started.append(port))
    monkeypatch.setattr(watcher.Pace, "step", stop)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    env = {
        "WATCH_APPLICATION": "llama",
        "WATCH_NAMESPACE": "ml",
        "WATCH_PLURAL": "rolebasedgroupsets",
        "WATCH_PORT": "8017",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }
    with pytest.raises(Stop):
        watcher.main(env)
    base = "/apis/workloads.x-k8s.io/{}/namespaces/ml/rolebasedgroupsets"
    assert made == [
        (
            [base.format("v1alpha2"), base.format("v1alpha1")],
            "fieldSelector=metadata.name%3Dllama",
            group_meaning,
            120,
        ),
        (
            ["/api/v1/namespaces/ml/pods"],
            "labelSelector=rbg-k8s.charm/group%3Dllama",
            pod_meaning,
            120,
        ),
    ]
    for _ in range(100):
        if len(started) == 3:
            break
        time.sleep(0.01)
    assert sorted(map(str, started)) == ["8017", "run", "run"]


def test_a_thread_that_ends_ends_the_watcher():
    """Pebble then starts a new one, instead of keeping one that is blind."""
    code = (
        "import threading, time, watcher; threading.excepthook = watcher._die;"
        "threading.Thread(target=lambda: 1 / 0).start(); time.sleep(30)"
    )
    env = {**os.environ, "PYTHONPATH": os.path.dirname(watcher.__file__)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert ran.returncode == 1 and "ZeroDivisionError" in ran.stderr
