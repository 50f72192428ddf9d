# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The watcher's connection, and one kind listed and watched over it; TLS is functional."""

import json
import socket
import socketserver
import threading

import pytest

import watch_api
from watch_api import Connection, Kind, Refused, lines

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
