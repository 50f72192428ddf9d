# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The watcher is placed where Pebble answers, once; its events lead to the same report."""

import dataclasses
import os
import subprocess
import sys

import ops
import pytest
from ops import pebble, testing

import sidecar
from tests.unit.conftest import ROOT
from tests.unit.test_charm import PODS, api, ctx, engine, settle, state, status_of

__all__ = ["api", "ctx"]
CALLS = ("get_plan", "get_services", "exists", "push", "add_layer", "replan")
CHANGES = ["push", "push", "push", "add_layer", "replan"]


@pytest.fixture(autouse=True)
def in_cluster(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    monkeypatch.delenv("RBG_WATCHER_HOME", raising=False)
    monkeypatch.delenv("RBG_WATCHER_PORT", raising=False)


@pytest.fixture
def calls(monkeypatch):
    """Every Pebble call there is, by name."""
    made = []
    for name in CALLS:
        real = getattr(ops.Container, name)

        def spy(self, *args, _name=name, _real=real, **kwargs):
            made.append(_name)
            return _real(self, *args, **kwargs)

        monkeypatch.setattr(ops.Container, name, spy)
    return made


def reachable(**more):
    return testing.Container("watcher", can_connect=True, **more)


def changes(calls):
    return [name for name in calls if name in CHANGES]


def placed(ctx, tmp=None):
    """The state after pebble-ready; `tmp` keeps the container's files for the next hook."""
    mounts = {"tmp": testing.Mount(location="/tmp", source=tmp)} if tmp else {}
    container = reachable(mounts=mounts)
    return ctx.run(ctx.on.pebble_ready(container), state(containers=[container]))


@pytest.mark.parametrize("event", ["pebble_ready", "config_changed", "upgrade_charm"])
@pytest.mark.parametrize("leader", [True, False])
def test_the_watcher_is_placed_on_any_unit(ctx, api, calls, event, leader):
    container = reachable()
    given = state(containers=[container], leader=leader)
    on = ctx.on.pebble_ready(container) if event == "pebble_ready" else getattr(ctx.on, event)()
    out = ctx.run(on, given).get_container("watcher")
    service = out.plan.services["watcher"]
    assert changes(calls) == CHANGES
    assert out.service_statuses["watcher"] is pebble.ServiceStatus.ACTIVE
    told = dict(service.environment)
    version = told.pop("WATCH_VERSION")
    assert told == {
        "WATCH_APPLICATION": "llama",
        "WATCH_NAMESPACE": "ml",
        "WATCH_PLURAL": "rolebasedgroups",
        "WATCH_PORT": "8017",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "6443",
        "MALLOC_ARENA_MAX": "1",
    }
    assert service.command == f"python3 -ESs /tmp/rbg-k8s-{version}/watcher.py"
    assert service.startup == "enabled"
    home = out.get_filesystem(ctx) / f"tmp/rbg-k8s-{version}"
    for name in sidecar.FILES:
        assert (home / name).read_text() == (ROOT / "src" / name).read_text()


def test_the_check_has_no_level_so_no_probe_depends_on_the_group(ctx, api):
    check = placed(ctx).get_container("watcher").plan.checks["group-ready"]
    assert check.http == {"url": "http://127.0.0.1:8017/ready"}
    assert check.level in (None, "", pebble.CheckLevel.UNSET)
    assert check.threshold == 2


def test_what_runs_already_is_left_alone(ctx, api, calls, tmp_path):
    out = placed(ctx, tmp_path)
    calls.clear()
    again = ctx.run(ctx.on.config_changed(), out)
    assert changes(calls) == []
    assert again.get_container("watcher").plan == out.get_container("watcher").plan


def test_a_new_watcher_file_is_a_new_version(ctx, api, calls, monkeypatch):
    out = placed(ctx)
    before = out.get_container("watcher").plan.services["watcher"].command
    monkeypatch.setattr(sidecar, "FILES", ("watcher.py",))
    calls.clear()
    out = ctx.run(ctx.on.upgrade_charm(), out)
    assert changes(calls) == ["push", "add_layer", "replan"]
    assert out.get_container("watcher").plan.services["watcher"].command != before


def test_a_container_that_lost_its_files_gets_them_again(ctx, api, calls, tmp_path):
    out = placed(ctx, tmp_path)
    [lost] = tmp_path.glob("*/watch_api.py")
    lost.unlink()
    calls.clear()
    ctx.run(ctx.on.pebble_ready(out.get_container("watcher")), out)
    assert changes(calls) == ["push"]


def test_a_service_that_does_not_run_is_started(ctx, api, calls, tmp_path):
    out = placed(ctx, tmp_path)
    dead = dataclasses.replace(
        out.get_container("watcher"),
        service_statuses={"watcher": pebble.ServiceStatus.ERROR},
    )
    calls.clear()
    ctx.run(ctx.on.config_changed(), dataclasses.replace(out, containers=[dead]))
    assert changes(calls) == ["replan"]


def test_another_kind_is_another_plan(ctx, api):
    container = reachable()
    with ctx(ctx.on.update_status(), state(containers=[container])) as manager:
        sidecar.place(
            manager.charm.unit.get_container("watcher"), "llama", "ml", "rolebasedgroupsets"
        )
        out = manager.run()
    environment = out.get_container("watcher").plan.services["watcher"].environment
    assert environment["WATCH_PLURAL"] == "rolebasedgroupsets"


def test_without_pebble_the_hook_goes_on(ctx, api):
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    assert status_of(out).name == "waiting"
    assert not [log for log in ctx.juju_log if log.level == "WARNING" and "watcher" in log.message]


@pytest.mark.parametrize(
    "error",
    [
        pebble.ChangeError("no python3", None),
        pebble.APIError({}, 500, "bad", "no"),
        pebble.TimeoutError("slow"),
        pebble.PathError("permission-denied", "no"),
        pebble.ProtocolError("what"),
        ConnectionResetError("gone in the middle"),
    ],
)
def test_a_pebble_that_cannot_is_said_and_no_more(ctx, api, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(ops.Container, "replan", fail)
    if isinstance(error, pebble.ChangeError):
        monkeypatch.setattr(pebble.ChangeError, "__str__", lambda self: "no python3")
    out = placed(ctx)
    assert status_of(out).name == "blocked"  # no role is related: what the hook is about
    [said] = [log for log in ctx.juju_log if "no watcher" in log.message]
    assert said.level == "WARNING"


def test_its_events_lead_to_the_report_and_ask_nothing_of_pebble(ctx, api, calls):
    notice = testing.Notice("rbg-k8s.charm/changed")
    layer = pebble.Layer({"checks": {"group-ready": {"override": "replace", "threshold": 2}}})
    up, down = (
        testing.CheckInfo("group-ready", failures=n, status=s, threshold=2)
        for n, s in ((0, pebble.CheckStatus.UP), (2, pebble.CheckStatus.DOWN))
    )
    settled = settle(ctx, api, state(engine()))
    pods = api.lists[PODS]
    calls.clear()
    for info, event in ((up, "custom_notice"), (down, "check_failed"), (up, "check_recovered")):
        container = reachable(notices=[notice], layers={"base": layer}, check_infos=[info])
        given = state(engine(), containers=[container], peers=settled.get_relation(1))
        api.lists[PODS] = [] if event == "check_failed" else pods
        argument = notice if event == "custom_notice" else info
        out = ctx.run(getattr(ctx.on, f"pebble_{event}")(container, argument), given)
        expected = "waiting" if event == "check_failed" else "active"
        assert status_of(out).name == expected, event
    ctx.run(ctx.on.update_status(), given)
    given = state(engine(), containers=[container])
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert calls == []


def test_the_files_that_are_pushed_need_nothing_else():
    """They run with `-ESs`, where there is neither our `src` nor any site-packages."""
    code = "import watcher, sys; print(*sorted(m for m in sys.modules if m in ('ops', 'typing')))"
    command = [sys.executable, "-ESs", "-c", f"import sys; sys.path.insert(0, '.'); {code}"]
    ran = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, env={})
    assert (ran.returncode, ran.stdout.strip()) == (0, ""), ran.stderr
    imported = {
        line.split()[1]
        for name in sidecar.FILES
        for line in (ROOT / "src" / name).read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    ours = {name[:-3] for name in os.listdir(ROOT / "src") if name.endswith(".py")}
    assert {f"{name}.py" for name in imported & ours} <= set(sidecar.FILES)


# --- waking once, later ------------------------------------------------------------------------


def test_the_end_of_a_relation_wakes_the_charm_once_more(ctx, api):
    """The role leaves then, unless another charm was integrated meanwhile."""
    out = settle(ctx, api, state(engine(), containers=[reachable()]))
    given = state(engine(), peers=out.get_relation(1), containers=[reachable()])
    out = ctx.run(ctx.on.relation_broken(given.get_relation(11)), given)
    container = out.get_container("watcher")
    service = container.plan.services["wake"]
    notify = "exec ${WATCH_PEBBLE:-/charm/bin/pebble} notify rbg-k8s.charm/due"
    assert service.command == f"sh -c 'sleep 16; {notify}'"
    assert service.startup == "disabled"
    assert container.service_statuses["wake"] == pebble.ServiceStatus.ACTIVE


def test_without_the_container_update_status_has_to_do(ctx, api):
    out = settle(ctx, api, state(engine()))
    given = state(engine(), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_broken(given.get_relation(11)), given)
    assert out.unit_status == testing.ActiveStatus("engine 2/2 (leaving)")


def test_a_set_of_groups_is_watched_as_one(ctx, api):
    given = state(engine(), containers=[reachable()])
    given = dataclasses.replace(given, config={"groups": 2})
    out = ctx.run(ctx.on.config_changed(), given)
    environment = out.get_container("watcher").plan.services["watcher"].environment
    assert environment["WATCH_PLURAL"] == "rolebasedgroupsets"
