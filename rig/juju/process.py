"""Runs one hook process and answers its hook tools over a Unix socket."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .records import HookRecord

Answer = tuple[int, str, str]
TOOLS = """
action-fail action-get action-log action-set application-version-set close-port config-get
credential-get goal-state is-leader juju-log network-get open-port opened-ports relation-get
relation-ids relation-list relation-model-get relation-set resource-get secret-add secret-get
secret-grant secret-ids secret-info-get secret-remove secret-revoke secret-set status-get
status-set storage-add storage-get storage-list unit-get
"""


# Taken over from our own environment; everything else a hook gets is Juju's to give.
_INHERITED = ("HOME", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_FILE")


class Processes:
    """The socket, the directory of hook tools, and at most one hook at a time."""

    def __init__(self):
        # A socket's path has room for some hundred bytes: pytest's directories are too long.
        self.directory = Path(tempfile.mkdtemp(prefix="juju-"))
        self.tools = self.directory / "tools"
        self.tools.mkdir()
        tool = self.directory / "hooktool"
        python = getattr(sys, "_base_executable", None) or sys.executable
        source = Path(__file__).with_name("hooktool.py").read_text()
        tool.write_text(f"#!{python} -ISXutf8\n{source}")
        tool.chmod(0o755)
        for name in TOOLS.split():
            os.symlink(tool, self.tools / name)
        self.address = self.directory / "socket"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.address))
        self._listener.listen(16)

    def close(self) -> None:
        """Remove the socket and all files."""
        self._listener.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self, pythonpath: Sequence[Path]) -> dict[str, str]:
        """What a hook process needs to find Python modules and the hook tools."""
        env = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        return env | {
            "JUJU_AGENT_SOCKET_ADDRESS": str(self.address),
            "JUJU_AGENT_SOCKET_NETWORK": "unix",
            "PATH": f"{self.tools}:{os.environ.get('PATH', os.defpath)}",
            # as the `dispatch` that charmcraft writes
            "PYTHONPATH": ":".join(["lib", "src", *(str(p.resolve()) for p in pythonpath)]),
        }

    def run(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        record: HookRecord,
        answer: Callable[[list[str], bytes], Answer],
        kill: Callable[[HookRecord], bool] | None,
        timeout: float,
    ) -> None:
        """Run a hook to its end and write into the record what became of it."""
        start = time.monotonic()
        with tempfile.TemporaryFile(dir=self.directory) as output:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that its hook tools can be killed with it
            )
            record.pid = process.pid
            pidfd = os.pidfd_open(process.pid)
            try:
                with selectors.DefaultSelector() as ready:
                    ready.register(pidfd, selectors.EVENT_READ)
                    ready.register(self._listener, selectors.EVENT_READ)
                    while process.poll() is None:
                        left = start + timeout - time.monotonic()
                        if left <= 0:
                            record.failure = f"still running after {timeout:.0f} s"
                            break
                        for key, _ in ready.select(left):
                            if key.fd != pidfd:
                                self._serve(record, env["JUJU_CONTEXT_ID"], answer, kill)
            finally:
                os.close(pidfd)
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                record.exit_code = process.wait()
            output.seek(0)
            record.stderr = output.read().decode(errors="replace")
        record.duration = time.monotonic() - start

    def _serve(
        self,
        record: HookRecord,
        context: str,
        answer: Callable[[list[str], bytes], Answer],
        kill: Callable[[HookRecord], bool] | None,
    ) -> None:
        connection, _ = self._listener.accept()
        with connection:
            request = b""
            while chunk := connection.recv(1 << 20):
                request += chunk
            size, _, body = request.partition(b"\n")
            if not size:
                return  # killed before it could ask
            head, stdin = body[: int(size)], body[int(size) :]
            caller, *words = head.decode(errors="surrogateescape").split("\0")
            if caller != context:  # left over from an earlier hook, where Juju has no context
                code, out, err = 1, "", f'ERROR context "{caller}" not found\n'
            else:
                code, out, err = answer(words, stdin)
                if kill and kill(record):
                    os.killpg(record.pid, signal.SIGKILL)
                    return
            raw_out, raw_err = (text.encode(errors="surrogateescape") for text in (out, err))
            try:
                connection.sendall(b"%d %d\n%b%b" % (code, len(raw_out), raw_out, raw_err))
            except BrokenPipeError:
                return  # the hook ended without waiting for its tool
