# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A change in Kubernetes is shown by itself; how fast is measured and said, not asserted."""

import statistics
import time

from tests.functional.watcher.live import UNIT, Live

POD = "llama-engine-0"
CHANGES = 50


def crashes(restarts: int) -> str:
    times = f"{restarts} restart{'' if restarts == 1 else 's'}"
    return f"blocked: engine 0/1: container serve crashes (exit code 1, {times})"


def test_fifty_changes_are_each_shown(still: Live):
    took, hooks, said = [], len(still.model.hooks), 0.0
    for i in range(1, CHANGES + 1):
        time.sleep(max(0, said + 1.3 - time.monotonic()))  # else the pace would be measured
        said = time.monotonic()
        still.say(POD, ready=False, restarts=i)
        took.append(still.shows(crashes(i), 30))
    ours = [record for record in still.model.hooks[hooks:] if record.unit == UNIT]
    dispatches = [record.duration for record in ours]
    print(
        f"\n{CHANGES} changes: status after {statistics.median(took):.2f} s (median), "
        f"{max(took):.2f} s (worst); one dispatch {statistics.median(dispatches):.2f} s; "
        f"{len(ours)} hooks"
    )
    assert {record.hook for record in ours} <= {
        "watcher-pebble-custom-notice",
        "watcher-pebble-check-failed",
    }


def test_a_thousand_changes_in_ten_seconds_make_eleven_wake_ups(still: Live):
    before, edges = len(still.pebbles.notices), len(still.pebbles.edges)
    began = time.monotonic()
    for i in range(1, 1001):
        # Every other one is ready: the check must not add to the wake-ups either.
        last = time.monotonic()
        still.say(POD, ready=bool(i % 2), restarts=i)
        time.sleep(max(0, began + i * 0.01 - time.monotonic()))
    burst = time.monotonic() - began
    still.shows(crashes(1000), 30)
    still.quiet(8)
    notices, checks = len(still.pebbles.notices) - before, len(still.pebbles.edges) - edges
    print(f"\n1000 changes in {burst:.1f} s: {notices} notices, {checks} check edges")
    assert still.status == crashes(1000)
    assert still.pebbles.edges[edges:] == [(UNIT, "group-ready", True)]
    # Not only the check's edge, a few seconds later: a notice followed the last change.
    assert still.pebbles.notices[-1][2] > last
    assert notices <= 1 + round(burst)  # 11, unless this machine is too slow for the burst
