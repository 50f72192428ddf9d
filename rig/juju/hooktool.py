"""The one hook tool, linked under every tool's name; it asks the model over a Unix socket.

It runs dozens of times per hook, so it imports only what is built into Python. The model writes
it out with a first line of its own: ``#!python -ISXutf8``.
"""

import sys
from _socket import SHUT_WR, socket
from posix import environ, read, write


def main() -> int:
    """Send the command line (and the stdin, where the tool reads it) and print the answer."""
    words = [sys.argv[0].rpartition("/")[2], *sys.argv[1:]]
    raw = [environ[b"JUJU_CONTEXT_ID"], *(w.encode("utf-8", "surrogateescape") for w in words)]
    head = b"\0".join(raw)
    stdin = b""
    if "--file" in words and words[words.index("--file") + 1 :][:1] == ["-"]:
        while chunk := read(0, 1 << 20):
            stdin += chunk
    connection = socket(1)  # AF_UNIX
    connection.connect(environ[b"JUJU_AGENT_SOCKET_ADDRESS"])
    connection.sendall(b"%d\n%b%b" % (len(head), head, stdin))
    connection.shutdown(SHUT_WR)
    answer = b""
    while chunk := connection.recv(1 << 20):
        answer += chunk
    status, _, body = answer.partition(b"\n")
    code, length = (int(word) for word in status.split())
    for stream, text in ((1, body[:length]), (2, body[length:])):
        while text:
            text = text[write(stream, text) :]
    return code


if __name__ == "__main__":
    sys.exit(main())
