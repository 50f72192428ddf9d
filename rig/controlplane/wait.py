"""Waiting for something with a deadline, the only way anything here waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    probe: Callable[[], T],
    what: str,
    timeout: float = 30.0,
    interval: float = 0.05,
    tolerate: tuple[type[Exception], ...] = (),
) -> T:
    """Call `probe` until it returns something true, and return that.

    Args:
        probe: asked again and again; what it returned last is shown when time is up.
        what: what is awaited, for the message.
        timeout: seconds.
        interval: seconds between two questions.
        tolerate: exceptions of `probe` that mean "not yet".

    Raises:
        TimeoutError: it did not happen in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            last: object = (answer := probe())
            if answer:
                return answer
        except tolerate as error:
            last = error
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s, last seen: {last!r}")
        time.sleep(interval)
