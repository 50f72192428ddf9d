# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Measure, compare with the bounds, write docs/performance.md."""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from lightkube.generic_resource import create_global_resource, create_namespaced_resource

from rig import ROOT, crds
from rig.bench.dispatch import Charm, at_rest, bare
from rig.embedded import EmbeddedCluster
from rig.standin import StandIn

MAX_RATIO = 2.7
MAX_GROWTH = 2.0
MAX_TOOLS, MAX_TOOLS_PER_ROLE = 12, 3
MAX_REQUESTS = 2
ML = {"name": "ml"}


@dataclass
class Idle:
    """What an idle hook of one charm costs."""

    name: str
    cpu: float
    instructions: int | None
    tools: int
    requests: int


def ratio(one: Charm, other: Charm, pairs: int) -> tuple[float, float, float]:
    """Median CPU of each, run in turn, and the median of the ratios pair by pair."""
    found = [(one.cpu(), other.cpu()) for _ in range(pairs)]
    ratios = [a / b for a, b in found]
    first, second = zip(*found, strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(ratios)


def counted(charm: Charm, requests: Callable[[], int]) -> tuple[int, int]:
    """Hook tools and Kubernetes requests of one idle hook."""
    charm.stubs.calls()
    before = requests()
    charm.dispatch("update-status")
    if charm.stubs.land():
        raise RuntimeError("an idle hook wrote a databag")
    return len(charm.stubs.calls()), requests() - before


def measure(roles: int, pairs: int) -> tuple[list[Idle], dict[str, float]]:
    """Measure the bare charm and ours with one role and with many."""
    with EmbeddedCluster.start() as cluster:
        cluster.install_crds(crds.load(crds.V0_8))
        client = cluster.client("ml")
        client.create(create_global_resource("", "v1", "Namespace", "namespaces")(metadata=ML))
        kind = create_namespaced_resource("apps", "v1", "StatefulSet", "statefulsets")
        spec = {"replicas": 0, "template": {}}
        client.create(kind(metadata={"name": "llama"}, spec=spec))  # as Juju makes it
        charms = [("bare ops charm", bare())]
        # Both groups are called llama, so the first is measured and gone before the second.
        idle: list[Idle] = []
        ratios: dict[str, float] = {}
        floor = charms[0][1]
        for count in (1, roles):
            with StandIn(cluster.kubeconfig(), namespace="ml").running():
                ours = at_rest(cluster, count)
            tools, requests = counted(ours, lambda: len(cluster.api))
            cpu, base, against_bare = ratio(ours, floor, pairs)
            label = f"{count} role" + ("s" if count > 1 else "")
            if not idle:
                few, _ = counted(floor, lambda: 0)
                idle.append(Idle("bare ops charm", base, floor.instructions(), few, 0))
            idle.append(Idle(f"rbg-k8s, {label}", cpu, ours.instructions(), tools, requests))
            ratios[label] = against_bare
        return idle, ratios


def failures(idle: list[Idle], ratios: dict[str, float], roles: int) -> list[str]:
    """Every bound that is passed, as a sentence."""
    _, one, many = idle
    growth = ratios[f"{roles} roles"] / ratios["1 role"]
    checks = [
        (ratios["1 role"] > MAX_RATIO, f"1 role: {ratios['1 role']:.2f} x bare > {MAX_RATIO}"),
        (growth > MAX_GROWTH, f"{roles} roles: {growth:.2f} x 1 role > {MAX_GROWTH}"),
    ]
    for cost, count in ((one, 1), (many, roles)):
        bound = MAX_TOOLS + MAX_TOOLS_PER_ROLE * count
        checks.append((cost.tools > bound, f"{cost.name}: {cost.tools} hook tools > {bound}"))
        checks.append(
            (
                cost.requests > MAX_REQUESTS,
                f"{cost.name}: {cost.requests} requests > {MAX_REQUESTS}",
            )
        )
    return [sentence for failed, sentence in checks if failed]


def report(idle: list[Idle], ratios: dict[str, float], roles: int, pairs: int) -> str:
    """The page."""
    growth = ratios[f"{roles} roles"] / ratios["1 role"]
    tools = f"{MAX_TOOLS} hook tools plus {MAX_TOOLS_PER_ROLE} per role"
    rows: list[str] = []
    for cost in idle:
        millions = f"{cost.instructions / 1e6:.0f}" if cost.instructions else "-"
        key = cost.name.removeprefix("rbg-k8s, ")
        times = f"{ratios[key]:.2f}" if key in ratios else "1"
        rows.append(
            f"| {cost.name} | {times} | {cost.cpu:.2f} | {millions} | {cost.tools} "
            f"| {cost.requests} |"
        )
    table = "\n".join(rows)
    return f"""# Performance

What a hook costs that finds nothing to do, written by `tox -e bench`. Ratios are pairs of runs in
turn, median of {pairs}; the seconds are of whatever machine this was (Python
{platform.python_version()}), so quote the ratios. Instructions are callgrind's, of the charm's own
process, in millions.

| idle `update-status` | CPU, x bare | CPU s | M instructions | hook tools | Kubernetes requests |
|---|---|---|---|---|---|
{table}

| bound | measured |
|---|---|
| one role: at most {MAX_RATIO} x a bare ops charm | {ratios["1 role"]:.2f} |
| {roles} roles: at most {MAX_GROWTH:g} x the dispatch of 1 role | {growth:.2f} |
| at most {tools} | {idle[1].tools} and {idle[2].tools} |
| at most {MAX_REQUESTS} Kubernetes requests | {idle[1].requests} and {idle[2].requests} |

How it stays there: the group carries a fingerprint of the inputs it was rendered from, so an idle
hook imports neither pydantic nor the schema; what the role charms were told last is one digest in
the peer databag, so their databags are not read back; pods carry the digest of their template, so
no workload is asked while every role is well. httpx2 and httpcore2 log at WARNING and ops at INFO,
since each log record is a process.
"""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="runs of each, in turn")
    parser.add_argument("--roles", type=int, default=64, help="roles of the large group")
    parser.add_argument("--no-write", action="store_true", help="leave docs/performance.md")
    given = parser.parse_args()
    idle, ratios = measure(given.roles, given.pairs)
    page = report(idle, ratios, given.roles, given.pairs)
    print(page)
    if not given.no_write:
        (ROOT / "docs").mkdir(exist_ok=True)
        (ROOT / "docs/performance.md").write_text(page)
    passed = failures(idle, ratios, given.roles)
    for sentence in passed:
        print(f"bound passed: {sentence}", file=sys.stderr)
    return 1 if passed else 0


if __name__ == "__main__":
    sys.exit(main())
