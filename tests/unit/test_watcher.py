# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The watcher's parts: what a change is, the pace of wake-ups, /ready, lists and watches."""

import copy
import itertools
import json
import os
import socket
import socketserver
import stat
import threading
import time

import pytest

import names
import watch_api
import watch_meaning
import watcher
from causes import is_ready
from rolepods import RolePods
from tests.unit.stub import pod
from watch_api import Connection, Kind, Refused, lines
from watch_meaning import group_meaning, pod_meaning

# --- what a change is --------------------------------------------------------------------------


def a_pod(**status):
    made = pod("llama-engine-0", "engine", **status)
    made["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": [{"time": "t"}]}
    made["metadata"]["labels"][names.ROLE_LABEL] = "engine"
    made["metadata"]["annotations"] = {names.TEMPLATE_DIGEST: "d", "other": "1"}
    made["status"].setdefault("containerStatuses", [{"name": "serve", "restartCount": 0}])
    return made


def put(tree, path, value):
    changed = copy.deepcopy(tree)
    at = changed
    *way, last = path
    for key in way:
        at = at[key]
    at[last] = value
    return changed


SERVE = ("status", "containerStatuses", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "uid"), "v"),
        (("metadata", "deletionTimestamp"), "2026-01-01T00:00:00Z"),
        (("metadata", "annotations", names.TEMPLATE_DIGEST), "e"),
        (("metadata", "labels", names.ROLE_INSTANCE_LABEL), "i"),
        (("spec", "containers", 0, "image"), "other:1"),
        (("spec", "nodeName"), ""),
        (("status", "phase"), "Failed"),
        (("status", "reason"), "Evicted"),
        (("status", "conditions", 0, "status"), "False"),
        (("status", "conditions", 0, "reason"), "ReadinessGatesNotReady"),
        (("status", "conditions"), [{"type": "PodScheduled", "message": "0/4 nodes"}]),
        ((*SERVE, "restartCount"), 1),
        ((*SERVE, "state"), {"waiting": {"reason": "ErrImagePull"}}),
        ((*SERVE, "state"), {"waiting": {"message": "no secret"}}),
        ((*SERVE, "state"), {"terminated": {"exitCode": 1}}),
        ((*SERVE, "lastState"), {"terminated": {"reason": "OOMKilled"}}),
        (("status", "initContainerStatuses"), [{"name": "init", "restartCount": 0}]),
    ],
)
def test_what_the_health_line_depends_on_is_a_change(path, value):
    assert pod_meaning(put(a_pod(), path, value))[0] != pod_meaning(a_pod())[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "resourceVersion"), "2"),
        (("metadata", "managedFields"), []),
        (("metadata", "annotations", "other"), "2"),
        (("status", "conditions", 0, "lastTransitionTime"), "now"),
        (("status", "conditions", 0, "lastProbeTime"), "now"),
        (("status", "podIP"), "10.0.0.1"),
        ((*SERVE, "containerID"), "x"),
        ((*SERVE, "state"), {"running": {"startedAt": "now"}}),
    ],
)
def test_what_it_does_not_depend_on_is_none(path, value):
    assert pod_meaning(put(a_pod(), path, value)) == pod_meaning(a_pod())


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"ready": False},
        {"phase": "Succeeded"},
        {"phase": "Failed"},
        {"conditions": []},
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"conditions": [{"type": t, "status": s} for t, s in (("Ready", "True"), ("X", "False"))]},
        {
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "ContainersReady", "status": "False"},
            ]
        },
    ],
)
@pytest.mark.parametrize("going", [None, "now"])
def test_a_pod_is_ready_where_the_charm_says_so(status, going):
    made = a_pod(**status)
    made["metadata"]["deletionTimestamp"] = going
    _, role, ready = pod_meaning(made)
    assert (role, ready) == ("engine", is_ready(made))


def test_a_pod_of_which_nothing_is_known():
    assert pod_meaning({"metadata": {"name": "x"}})[1:] == ("", False)


def test_the_names_are_those_of_the_charm():
    assert watch_meaning.GROUP_LABEL == names.GROUP_LABEL
    assert watch_meaning.ROLE_LABEL == names.ROLE_LABEL
    assert watch_meaning.TEMPLATE_DIGEST == names.TEMPLATE_DIGEST
    assert watcher.API == names.RBG_GROUP


ROLES = [
    {"name": "plain", "replicas": 3},
    {"name": "one"},
    {"name": "none", "replicas": 0},
    {"name": "wide", "replicas": 2, "leaderWorkerPattern": {"size": 4}},
    {"name": "old", "replicas": 2, "leaderWorkerSet": {"size": 3}},
    {
        "name": "parts",
        "replicas": 2,
        "customComponentsPattern": {"components": [{"size": 2}, {"name": "x"}]},
    },
]
NEEDS = {"plain": 3, "one": 1, "none": 0, "wide": 8, "old": 6, "parts": 6}
GROUP = {
    "metadata": {"name": "llama", "uid": "u", "generation": 1, "resourceVersion": "1"},
    "spec": {"roles": ROLES},
    "status": {
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "a"}],
        "roleStatuses": [{"name": "plain", "readyReplicas": 1}],
    },
}


def test_the_pods_a_role_is_to_have():
    assert group_meaning(GROUP)[1] == NEEDS
    for role in ROLES:
        of_charm = RolePods(role["name"], role, ())
        assert NEEDS[role["name"]] == of_charm.desired * of_charm.size


@pytest.mark.parametrize(
    ("spec", "times"),
    [
        ({"replicas": 3, "groupTemplate": {"spec": {"roles": ROLES}}}, 3),
        ({"replicas": 2, "template": {"roles": ROLES}}, 2),
        ({"template": {"roles": ROLES}}, 1),
        ({"replicas": 0, "template": {"roles": ROLES}}, 0),
    ],
)
def test_a_set_of_groups_has_each_of_them_so_often(spec, times):
    needs = group_meaning({"metadata": {}, "spec": spec})[1]
    assert needs == {name: times * count for name, count in NEEDS.items()}


@pytest.mark.parametrize(
    ("path", "value", "changes"),
    [
        (("metadata", "generation"), 2, True),
        (("metadata", "uid"), "v", True),
        (("metadata", "labels"), {"a": "b"}, True),
        (("status", "conditions", 0, "status"), "True", True),
        (("status", "roleStatuses", 0, "readyReplicas"), 2, True),
        (("status", "conditions", 0, "lastTransitionTime"), "b", False),
        (("metadata", "resourceVersion"), "2", False),
    ],
)
def test_what_a_change_of_the_group_is(path, value, changes):
    assert (group_meaning(put(GROUP, path, value)) != group_meaning(GROUP)) is changes


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
    assert woken == [10.0, pytest.approx(11.01)]
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
    assert gaps == [pytest.approx(n + 0.01) for n in (2, 4, 8, 10, 10, 10)]
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


# --- the connection ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_put_together_however_they_were_cut(size):
    said = b'{"a": 1}\n{"b": 2}\n\n{"c": 3}'
    pieces = [said[i : i + size] for i in range(0, len(said), size)]
    assert list(lines(pieces)) == said.split(b"\n")


class Answers(socketserver.ThreadingTCPServer):
    """Answers each request with the next of some bytes; keeps what it was asked."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, *answers):
        self.answers, self.asked, self.connections = list(answers), [], 0
        super().__init__(("127.0.0.1", 0), Talk)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Talk(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        while first := self.rfile.readline().decode().strip():
            headers = iter(lambda: self.rfile.readline().decode().strip(), "")
            self.server.asked.append((first, dict(h.split(": ", 1) for h in headers)))
            if not self.server.answers:
                return
            self.wfile.write(self.server.answers.pop(0))


class Plain(Connection):
    """The same without TLS, which the functional suite has."""

    def _connect(self):
        self._socket = socket.create_connection((self._host, self._port))
        self._file = self._socket.makefile("rb")
        return self._socket


def whole(body, code=200, more=""):
    data = json.dumps(body).encode()
    return f"HTTP/1.1 {code} X\r\nContent-Length: {len(data)}\r\n{more}\r\n".encode() + data


def chunked(*events, end=True):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(json.dumps(e).encode() + b"\n" for e in events)
    cuts = [body[i : i + 50] for i in range(0, len(body), 50)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in cuts) + b"0\r\n\r\n" * end


@pytest.fixture
def serve(tmp_path):
    servers, connections = [], []
    (tmp_path / "token").write_text("one\n")

    def start(*answers):
        servers.append(Answers(*answers))
        connections.append(Plain("127.0.0.1", servers[-1].server_address[1], str(tmp_path)))
        return servers[-1], connections[-1]

    yield start
    for connection in connections:
        connection.close()
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_token_is_read_for_each_request_and_the_connection_kept(serve, tmp_path):
    server, connection = serve(whole({"a": 1}), chunked({"b": 2}), whole({"c": 3}))
    assert b"".join(connection.get("/x", 5)) == b'{"a": 1}'
    (tmp_path / "token").write_text("two")
    assert b"".join(connection.get("/y?z", 5)) == b'{"b": 2}\n'
    assert b"".join(connection.get("/z", 5)) == b'{"c": 3}'
    assert server.connections == 1
    assert [(first, h["Authorization"]) for first, h in server.asked] == [
        ("GET /x HTTP/1.1", "Bearer one"),
        ("GET /y?z HTTP/1.1", "Bearer two"),
        ("GET /z HTTP/1.1", "Bearer two"),
    ]


def test_a_server_that_closes_is_connected_anew(serve):
    server, connection = serve(whole({}, more="Connection: close\r\n"), whole({}))
    for _ in range(2):
        b"".join(connection.get("/", 5))
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhat\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200",
    ],
)
def test_an_answer_that_is_none_is_an_error_to_be_outlived(serve, answer):
    server, connection = serve(answer)
    server.answers.append(b"")

    def talk():
        return b"".join(connection.get("/", 0.5))

    with pytest.raises((OSError, ValueError)):
        talk()


def test_a_refusal_has_its_code(serve):
    _, connection = serve(whole({"message": "no"}, 403))
    with pytest.raises(Refused, match=r"403 .*no") as refused:
        connection.get("/", 5)
    assert refused.value.code == 403


# --- one kind ----------------------------------------------------------------------------------


def item(name, value, version="1"):
    return {"metadata": {"name": name, "resourceVersion": version}, "value": value}


def listed(version, *items, more=""):
    return whole({"metadata": {"resourceVersion": version, "continue": more}, "items": items})


def event(what, thing):
    return {"type": what, "object": thing}


@pytest.fixture
def watch(serve, monkeypatch):
    """A kind whose API server answers as told; `slept` are its pauses."""
    slept = []
    monkeypatch.setattr(watch_api.time, "sleep", slept.append)

    def start(*answers, paths=("/v2", "/v1")):
        server, connection = serve(*answers)
        news = []
        kind = Kind(
            connection, list(paths), "q", lambda o: (o["value"],), lambda: news.append(1), 7
        )
        kind.news, kind.slept, kind.server = news, slept, server
        return kind

    return start


def asked(kind):
    return [first.split()[1] for first, _ in kind.server.asked]


def test_list_then_watch_then_go_on_from_the_last_version(watch):
    kind = watch(
        listed("10", item("a", 1), more="m"),
        listed("10", item("b", 2)),
        chunked(
            event("MODIFIED", item("a", 1, "11")),
            event("MODIFIED", item("a", 5, "12")),
            event("ADDED", item("c", 3, "13")),
            event("DELETED", item("b", 2, "14")),
            event("DELETED", item("never-seen", 2, "15")),
            event("BOOKMARK", {"metadata": {"resourceVersion": "20"}}),
        ),
        chunked(),
    )
    kind.step()
    assert kind.objects == {"a": (5,), "c": (3,)}
    assert kind.known
    # The list, the watch that began, and three changes of a meaning.
    assert len(kind.news) == 5
    kind.step()
    assert len(kind.news) == 5
    how = "watch=1&allowWatchBookmarks=true&timeoutSeconds=7&resourceVersion="
    assert asked(kind) == [
        "/v2?q&limit=20",
        "/v2?q&limit=20&continue=m",
        f"/v2?q&{how}10",
        f"/v2?q&{how}20",
    ]
    assert kind.server.connections == 1
    assert kind.slept == [1, 1]  # watches that end at once are not asked for without pause


GONE = {"kind": "Status", "code": 410, "message": "too old"}


@pytest.mark.parametrize(
    "gone", [chunked(event("ERROR", GONE)), whole(GONE, 410)], ids=["event", "answer"]
)
def test_gone_is_listed_anew_and_only_what_differs_is_a_change(watch, gone):
    kind = watch(
        listed("10", item("a", 1)),
        chunked(),
        gone,
        listed("50", item("a", 1)),
        chunked(),
        gone,
        listed("90", item("b", 1)),
        chunked(),
    )
    for _ in range(3):
        kind.step()
    assert (len(kind.news), kind.objects) == (2, {"a": (1,)})
    for _ in range(2):
        kind.step()
    assert (len(kind.news), kind.objects) == (3, {"b": (1,)})
    assert kind.server.answers == []


def test_a_watch_that_is_cut_goes_on_where_it_was(watch):
    kind = watch(
        listed("10"),
        chunked(event("ADDED", item("a", 1, "11")), end=False),
    )
    kind.server.answers.append(b"")  # what was begun is never ended: the connection breaks
    kind._connection._file = None
    began = len(kind.news)
    threading.Timer(0.2, lambda: kind._connection._socket.shutdown(socket.SHUT_RDWR)).start()
    kind.step()
    assert kind.objects == {"a": (1,)} and len(kind.news) == began + 2
    kind.server.answers[:] = [chunked()]
    kind.step()
    assert asked(kind)[-1].endswith("resourceVersion=11")
    assert len(kind.news) == began + 2  # nothing was missed, nothing is told


def test_a_request_that_fails_is_a_loss_that_ends_in_a_wake_up(watch):
    kind = watch(listed("10"), chunked())
    kind.step()
    before = len(kind.news)
    kind.server.answers[:] = [b"garbage\r\n\r\n"]
    kind.step()
    assert not kind.known and len(kind.news) == before
    kind.server.answers[:] = [chunked()]
    kind.step()
    assert kind.known and len(kind.news) == before + 1


def test_pauses_grow_and_end_with_success(watch):
    bad = whole({"message": "broken"}, 500)
    kind = watch(*[bad] * 8, listed("1"), chunked(), bad)
    for _ in range(10):
        kind.step()
    assert kind.slept == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 1, 0.2]
    assert len(kind.news) == 1  # a broken API server is nothing to wake anybody for


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_refusal_that_says_something_wakes_once(watch, code):
    kind = watch(listed("1", item("a", 1)), chunked(), *[whole({}, code)] * 3)
    kind.step()
    before = len(kind.news)
    for _ in range(3):
        kind.step()
    assert len(kind.news) == before + 1
    assert not kind.known
    assert kind.objects == ({} if code == 404 else {"a": (1,)})


def test_the_version_that_is_served_is_found(watch):
    kind = watch(whole({}, 404), listed("1", item("a", 1)), chunked())
    for _ in range(2):
        kind.step()
    assert [path.partition("?")[0] for path in asked(kind)] == ["/v2", "/v1", "/v1"]
    assert kind.objects == {"a": (1,)}


def test_a_list_allowed_and_a_watch_refused_does_not_wake_for_ever(watch):
    kind = watch(*[listed("1"), whole({}, 403)] * 6)
    for _ in range(6):
        kind.step()
    assert len(kind.news) == 1
    assert kind.slept == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4]


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
    import subprocess
    import sys

    code = (
        "import threading, time, watcher; threading.excepthook = watcher._die;"
        "threading.Thread(target=lambda: 1 / 0).start(); time.sleep(30)"
    )
    env = {**os.environ, "PYTHONPATH": os.path.dirname(watcher.__file__)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert ran.returncode == 1 and "ZeroDivisionError" in ran.stderr
