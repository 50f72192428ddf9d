"""Child processes that never outlive the tests: logs, ports, and a sure end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class StartError(RuntimeError):
    """A part of the control plane did not come up; the message ends with its log."""


# Runs in the child before the program itself. The kernel then kills the program when the thread
# that started it ends, even by SIGKILL. A small script instead of `preexec_fn`, which can deadlock
# in a process with threads. Where there is no prctl (not Linux), `stop` and atexit must do.
_LAUNCHER = """
import ctypes, os, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
try:
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
except (AttributeError, OSError):
    pass
if os.getppid() != parent:  # it ended before prctl was there to tell us
    sys.exit(1)
os.execv(program[0], program)
"""


class Process:
    """A running program with its log in the run directory.

    The program dies with the thread that made this object, so make it in a thread that stays.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], run_dir: Path, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = run_dir / f"{name}.log"
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *(str(part) for part in command)],
                cwd=run_dir,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Out of the terminal's process group: Ctrl-C is for the tests, which then stop it.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise when the program has ended.

        Raises:
            StartError: with the end of the log.
        """
        code = self._process.poll()
        if code is not None:
            raise StartError(f"{self.name} ended with {code}:\n{self.tail()}")

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line[:500] for line in text[-lines:])

    def kill(self) -> None:
        """End the program at once; nothing it leaves behind is kept."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
