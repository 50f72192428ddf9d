# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the watcher costs: memory, connections, CPU while nothing happens."""

import time
from pathlib import Path

from rig.controlplane import until
from tests.functional.watcher.live import CONTAINER, UNIT, Live

MIB = 1024
IDLE = 60
MANY = 200


def resident(pid: int) -> int:
    """KiB in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def cpu(pid: int) -> float:
    """CPU seconds of all its threads, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def test_idle(still: Live):
    pid, before, hooks = still.watcher, cpu(still.watcher), len(still.model.hooks)
    time.sleep(IDLE)
    used = cpu(pid) - before
    print(
        f"\nidle for {IDLE} s: {resident(pid) / MIB:.1f} MiB, {used * 1000:.1f} ms of CPU "
        f"({used / IDLE:.4%}), {still.proxy.open} connections, {still.proxy.accepted} ever"
    )
    assert resident(pid) <= 20 * MIB
    assert still.proxy.open == 2 == still.proxy.accepted
    assert still.pebbles.pump(still.model, 0) == 0 and len(still.model.hooks) == hooks


def test_many_pods_are_not_held_in_memory(still: Live):
    for i in range(1, MANY):
        still.add_pod(f"llama-engine-{i}")
    still.quiet()
    pid, notices = still.watcher, len(still.pebbles.notices)
    still.say("llama-engine-1", ready=False, restarts=3)
    until(lambda: len(still.pebbles.notices) > notices, "a notice")
    print(f"\n{MANY} pods, seen to come: {resident(pid) / MIB:.1f} MiB")
    assert resident(pid) <= 20 * MIB
    # The same from a list, which a new watcher begins with.
    notices = len(still.pebbles.notices)
    still.pebbles.client(UNIT, CONTAINER).restart_services(["watcher"])
    until(lambda: len(still.pebbles.notices) > notices, "a notice of the new one")
    assert still.watcher != pid
    print(f"{MANY} pods, listed: {resident(still.watcher) / MIB:.1f} MiB")
    assert resident(still.watcher) <= 20 * MIB
