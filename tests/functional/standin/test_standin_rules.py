"""Dependencies, refusals, scaling, removal, events: what happens to a group as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from lightkube.types import PatchType
from standin_world import NEW, OBSERVED, RBG, RI, RIS, ROOT, Pod, State, World, role

Start = Callable[..., World]


def test_statuses_on_the_way_up(world: Start) -> None:
    here = world()
    since = here.apply("g", role("engine"), role("router", 1, after=("engine",)))
    assert "status" not in since
    here.ready("g")
    seen = here.history("g", since)[1:]
    none = (0, 0, 0)
    assert seen[0] == State(1, 1, "False", {"engine": none, "router": none})
    assert seen[-1] == State(1, 1, "True", {"engine": (2, 2, 2), "router": (1, 1, 1)})
    assert [s.ready for s in seen[:-1]] == ["False"] * (len(seen) - 1)
    # The router is not made before the engine is ready.
    assert all(s.roles["router"] == none for s in seen if s.roles["engine"][1] < 2)
    condition = here.group("g")["status"]["conditions"]
    assert [
        (c["type"], c["reason"], c["message"], c["observedGeneration"]) for c in condition
    ] == [("Ready", "AllRolesReady", "All roles are ready", 1)]
    events = here.until(lambda: (e := here.events("g")).get("Succeed") and e)
    assert events["DependencyNotMet"] == "dependencies not met for role 'router'"
    assert events["SucceedCreateRevision"] == "Successful create revision for RoleBasedGroup"
    assert events["Succeed"] == "ReconcileSucceed"


def _recorded_states(path: str) -> list[State]:
    states = []
    for line in (OBSERVED / path).read_text().splitlines():
        _, found, text = line.partition(" WATCH MODIFIED ")
        if not found:
            continue
        entry = json.loads(text)
        roles = {
            n: (r["replicas"], r["readyReplicas"], r["updatedReplicas"])
            for n, r in entry["roles"].items()
        }
        ready = "True" if "Ready=True/AllRolesReady" in entry["cond"] else "False"
        states.append(State(entry["gen"], entry["obs"], ready, roles))
    return states


@pytest.mark.skipif(not OBSERVED.exists(), reason="no recordings here")
def test_an_image_update_goes_through_the_recorded_states(world: Start) -> None:
    """Every state of the engine in the genuine rollout occurs here too, in the same order."""
    path = "v0.8.0-alpha.5-v1alpha2/watch.log"
    theirs = _order(s for s in _recorded_states(path) if s.observed == s.generation == 5)
    here = world()
    here.apply("g", role("engine"))
    here.ready("g")
    since = here.apply("g", role("engine", image="e:2"))
    here.ready("g")
    mine = _order(s for s in here.history("g", since) if s.observed == 2)
    assert theirs[0] == mine[0] == (2, 2, 2)
    assert [entry for entry in mine if entry in theirs] == theirs


def _order(states: Any) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    for state in states:
        if not found or found[-1] != state.roles["engine"]:
            found.append(state.roles["engine"])
    return found


def test_a_pod_deleted_shows_and_comes_back(world: Start) -> None:
    here = world()
    here.apply("g", role("multi", size=2))
    here.ready("g")
    since = here.group("g")
    before = {n: p["metadata"]["uid"] for n, p in here.all(Pod).items()}
    here.client.delete(Pod, "g-multi-1-1", namespace=here.namespace)
    here.until(lambda: State(1, 1, "False", {"multi": (2, 1, 2)}) in here.history("g", since)[-3:])
    here.ready("g")
    after = {n: p["metadata"]["uid"] for n, p in here.all(Pod).items()}
    assert {n for n in after if after[n] != before[n]} == {"g-multi-1-1"}


def test_scaling(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 3))
    here.ready("g")
    since = here.apply("g", role("engine", 1))
    here.ready("g")
    here.until(lambda: list(here.images()) == ["g-engine-0"])
    first = next(s for s in here.history("g", since) if s.observed == 2)
    assert first == State(2, 2, "False", {"engine": (3, 3, 3)})
    here.apply("g", role("engine", 0))
    assert here.ready("g").roles == {"engine": (0, 0, 0)}
    here.until(lambda: not here.all(Pod) and not here.all(RI))


def test_in_place_keeps_the_pod_and_else_it_is_made_anew(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 1))
    here.ready("g")
    uid = here.get(Pod, "g-engine-0")["metadata"]["uid"]
    here.apply("g", role("engine", 1, image="e:2"))
    here.ready("g")
    pod = here.get(Pod, "g-engine-0")
    assert (pod["metadata"]["uid"], here.images()) == (uid, {"g-engine-0": "2"})
    assert NEW + "inplace-update-state" in pod["metadata"]["annotations"]
    changed = role("engine", 1, image="e:2")
    changed["standalonePattern"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "A", "value": "1"}
    ]
    here.apply("g", changed)
    here.until(lambda: (p := here.find(Pod, "g-engine-0")) and p["metadata"]["uid"] != uid)
    here.ready("g")
    uid = here.get(Pod, "g-engine-0")["metadata"]["uid"]
    changed["rolloutStrategy"] = {"rollingUpdate": {"type": "RecreatePod"}}
    changed["standalonePattern"]["template"]["spec"]["containers"][0]["image"] = "e:3"
    here.apply("g", changed)
    here.until(lambda: (p := here.find(Pod, "g-engine-0")) and p["metadata"]["uid"] != uid)
    here.ready("g")
    assert here.images() == {"g-engine-0": "3"}


def test_the_highest_goes_first_and_as_many_as_may_be_away(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 4))
    here.ready("g")
    since = here.apply("g", role("engine", 4, image="e:2", rolling={"maxUnavailable": "50%"}))
    here.until(lambda: here.images()["g-engine-3"] == "2")
    assert here.images()["g-engine-0"] == "1"
    here.ready("g")
    assert min(s.roles["engine"][1] for s in here.history("g", since)) == 2


def test_pattern_change_in_place(world: Start) -> None:
    here = world()
    here.apply("g", role("engine"))
    here.ready("g")
    uid = here.get(RIS, "g-engine")["metadata"]["uid"]
    here.apply("g", role("engine", size=2))
    names = ["g-engine-0-0", "g-engine-0-1", "g-engine-1-0", "g-engine-1-1"]
    here.until(lambda: list(here.images()) == names)
    here.ready("g")
    ris = here.get(RIS, "g-engine")["metadata"]
    assert ris["uid"] == uid
    assert ris["labels"][NEW + "role-type"] == "LeaderWorkerSet"


@pytest.mark.parametrize(("roles", "reason", "message"), [
    ([role("a", after=("b",)), role("b", after=("a",))], "InvalidRoleDependency",
     "failed to sort roles by dependency order: cycle detected for role 'a'"),
    ([role("a", after=("a",))], "InvalidRoleDependency",
     "failed to sort roles by dependency order: cycle detected for role 'a'"),
    ([role("router", after=("nope",))], "InvalidRoleDependency",
     "role [router] with dependency role [nope] not found in rbg"),
    ([{"name": "engine", "replicas": 1}], "FailedReconcileWorkload",
     "Failed to reconcile role engine: no valid pattern found for role engine"),
])  # fmt: skip
def test_a_group_that_cannot_be(
    world: Start, roles: list[dict[str, Any]], reason: str, message: str
) -> None:
    here = world()
    here.apply("bad", *roles)
    here.until(lambda: here.events("bad").get(reason) == message)
    state = here.state("bad")
    assert (state.observed, state.ready) == (1, "False")
    assert set(state.roles.values()) == {(0, 0, 0)}
    assert here.all(RIS) == {}


def test_an_unsupported_workload_gets_no_status(world: Start) -> None:
    here = world()
    here.apply("bad", role("engine", kind="apps/v1/DaemonSet"))
    text = "Failed to validate role engine, err: unsupported workload type: apps/v1/DaemonSet"
    here.until(lambda: here.events("bad").get("FailedReconcileWorkload") == text)
    assert "status" not in here.group("bad")


def test_a_cycle_freezes_a_running_group(world: Start) -> None:
    here = world()
    here.apply("g", role("a", 1), role("b", 1))
    here.ready("g")
    here.apply("g", role("a", 1, image="e:2", after=("b",)), role("b", 3, after=("a",)))
    here.until(lambda: "InvalidRoleDependency" in here.events("g"))
    here.holds(lambda: here.images() == {"g-a-0": "1", "g-b-0": "1"}, during=0.4)


def test_a_dependency_not_ready_blocks_updates_and_clean_up(world: Start) -> None:
    here = world()
    roles = (role("engine", 1), role("router", 1, after=("engine",)), role("old", 1))
    here.apply("g", *roles)
    here.ready("g")
    here.apply(
        "g", role("engine", 2, hold=True), role("router", 1, image="r:2", after=("engine",))
    )
    here.until(lambda: "g-engine-1" in here.images())
    here.until(lambda: here.state("g").observed == 2)

    def blocked() -> bool:
        images = here.images()
        return images["g-router-0"] == "1" and images.get("g-old-0") == "1"

    here.holds(blocked, during=0.5)
    # Scaled to nothing, a dependency counts as ready.
    here.apply("g", role("engine", 0), role("router", 1, image="r:2", after=("engine",)))
    here.until(lambda: here.images() == {"g-router-0": "2"})


def test_metadata_alone_wakes_nothing(world: Start) -> None:
    """Trap 3; a key in a role's annotations does wake it and restarts no pod."""
    here = world()
    here.apply("g", role("engine", 1))
    here.ready("g")
    pod = here.get(Pod, "g-engine-0")["metadata"]["uid"]
    before = here.group("g")["metadata"]["resourceVersion"]
    patch = {"metadata": {"labels": {"touched": "yes"}}}
    here.client.patch(RBG, "g", patch, namespace=here.namespace, patch_type=PatchType.MERGE)
    here.until(lambda: here.group("g")["metadata"]["resourceVersion"] != before)
    touched = here.group("g")["metadata"]["resourceVersion"]
    here.holds(lambda: here.group("g")["metadata"]["resourceVersion"] == touched, during=0.4)
    spec = role("engine", 1)
    spec["annotations"] = {"poke": "1"}
    here.apply("g", spec)
    here.until(lambda: here.state("g").observed == 2)
    here.until(lambda: here.get(RIS, "g-engine")["metadata"]["annotations"].get("poke") == "1")
    assert here.get(Pod, "g-engine-0")["metadata"]["uid"] == pod


def test_a_group_deleted_takes_all_with_it(world: Start) -> None:
    here = world()
    here.apply("g", role("engine"), role("multi", size=2))
    here.ready("g")
    here.client.delete(RBG, "g", namespace=here.namespace)
    here.until(lambda: not here.all(Pod) and not here.all(RI) and not here.all(RIS))


def test_pods_that_cannot_start(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 2, image="lmsysorg/sglang:missing"))
    here.until(lambda: here.state("g").roles == {"engine": (2, 0, 2)})
    status = here.until(lambda: (s := here.status(RI, "g-engine-0"))["conditions"] and s)
    text = (f"instance need all pods to be ready, but {here.namespace}/g-engine-0 is in "
            "notready condition")  # fmt: skip
    assert [(c["type"], c["status"], c["reason"], c["message"]) for c in status["conditions"]] == [
        ("RoleInstanceReady", "False", "PodsNotReady", "NotReady"),
        ("RoleInstanceAllPodsReady", "False", "AtLeastOnePodNotReady", text),
    ]


def test_ordered_ready(world: Start) -> None:
    here = world()
    spec = role("engine", 2, hold=True)
    spec["podManagementPolicy"] = "OrderedReady"
    here.apply("g", spec)
    here.until(lambda: list(here.images()) == ["g-engine-0"])
    here.holds(lambda: list(here.images()) == ["g-engine-0"], during=0.3)


def test_as_a_command(cluster: Any) -> None:
    """``python -m rig.standin`` does the same and ends when told to."""
    with cluster.namespace() as namespace:
        here = World(cluster.client(namespace), namespace)
        command = [sys.executable, "-m", "rig.standin", "--namespace", namespace]
        command += ["--kubeconfig", str(cluster.kubeconfig()), "--traps", "A1,8"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "standin: watching\n"
            here.apply("g", role("engine"))
            here.ready("g")
            process.terminate()
            assert process.wait(timeout=10) == 0


def test_a_command_with_a_wrong_trap() -> None:
    command = [sys.executable, "-m", "rig.standin", "--kubeconfig", "none", "--traps", "B1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "standin: unknown traps: B1\n"
