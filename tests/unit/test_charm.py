# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Juju events in, exact status texts, applied manifests and answers out."""

import dataclasses
import datetime
import json
from types import SimpleNamespace

import httpx2
import pytest
import yaml
from ops import hookcmds, testing

import departures
import kubeapi
from charm import RbgCharm
from charms.rbg_k8s.v0.rbg_role import (
    ModelSettings,
    ModelStorage,
    PeerRole,
    Port,
    RoleState,
)
from tests.shapes import said, template
from tests.unit.conftest import ROOT
from tests.unit.stub import CRD, GROUPS, OWNER, PODS, REVIEW, Api, crd, pod

META = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
ACTIONS = yaml.safe_load((ROOT / "actions.yaml").read_text())
TRUST = "not trusted; run `juju trust llama --scope=cluster`"
NO_ROLE = "no role related; run `juju integrate <role charm>:role llama:engine`"


@pytest.fixture
def api(monkeypatch):
    stub = Api()
    monkeypatch.setattr(kubeapi, "Client", stub.client)
    monkeypatch.setattr(departures, "time", SimpleNamespace(time=lambda: stub.now))
    goal_state(monkeypatch)
    return stub


@pytest.fixture
def ctx():
    return testing.Context(RbgCharm, meta=META, config=CONFIG, actions=ACTIONS, app_name="llama")


PEERS = testing.PeerRelation("group", id=1)


def goal_state(monkeypatch, own="active", unit="llama/0"):
    """What goal-state says of our own unit."""
    goal = hookcmds.Goal(status=own, since=datetime.datetime.min)
    state = hookcmds.GoalState(units={unit: goal}, relations={})
    monkeypatch.setattr(hookcmds, "goal_state", lambda: state)


def relation(endpoint, app, relation_id, **fields):
    return testing.Relation(
        endpoint,
        "rbg_role",
        id=relation_id,
        remote_app_name=app,
        remote_app_data=said(**fields),
    )


def engine(**fields):
    return relation("engine", "prefill", 11, **{"template": template(), "replicas": 2, **fields})


def decoder(**fields):
    return relation("decoder", "decode", 12, **{"template": template(), **fields})


SIDECAR = testing.Container("watcher")  # that cannot be reached: see test_sidecar.py


def state(*relations, leader=True, peers=PEERS, **more):
    return testing.State(
        leader=leader,
        relations=[peers, *relations],
        model=testing.Model("ml"),
        containers=more.pop("containers", [SIDECAR]),
        **more,
    )


def settle(ctx, api, given, ready=True):
    """Apply, then let every asked-for pod be there and look again."""
    out = ctx.run(ctx.on.config_changed(), given)
    api.lists[PODS] = pods_of(api, ready=ready)
    return ctx.run(ctx.on.update_status(), out)


def pods_of(api, ready=True):
    found = []
    for role in api.group["spec"]["roles"]:
        for i in range(role["replicas"]):
            name = f"llama-{role['name']}-{i}"
            made = role["standalonePattern"]["template"]
            found.append(pod(name, role["name"], made, ready=ready))
    return found


def status_of(out):
    assert out.unit_status == out.app_status
    assert "\n" not in out.unit_status.message
    return out.unit_status


# --- the way to Active -------------------------------------------------------------------------


def test_no_role_is_blocked_with_the_command(ctx, api):
    out = ctx.run(ctx.on.config_changed(), state())
    assert status_of(out) == testing.BlockedStatus(NO_ROLE)
    assert not api.calls("PATCH")


def test_a_related_role_is_applied_in_the_same_hook(ctx, api):
    given = state(engine())
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert status_of(out) == testing.WaitingStatus("engine 0/2: waiting for the RBG controller")
    assert api.group["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "llama", "uid": "owner-uid"}
    ]
    assert [r.partition("?")[0] for r in api.requests] == [
        f"GET {api.group_path}",
        f"GET {api.set_path}",
        f"GET {CRD}",
        f"POST {GROUPS.format('v1alpha2')}",
        f"GET {OWNER}",
        f"PATCH {api.group_path}",
        f"GET {PODS}",
    ]
    assert "dryRun=All" in api.calls("POST")[0]
    assert "fieldValidation=Strict" in api.calls("POST")[0]
    assert "fieldManager=rbg-k8s" in api.calls("PATCH")[0]
    assert "force=true" in api.calls("PATCH")[0]


def test_active_when_every_pod_is_ready(ctx, api):
    out = settle(ctx, api, state(engine(), decoder(replicas=4)))
    assert status_of(out) == testing.ActiveStatus("engine 2/2, decoder 4/4")


def test_a_hook_with_nothing_to_do_makes_two_requests_and_writes_nothing(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    api.requests.clear()
    again = ctx.run(ctx.on.update_status(), out)
    assert [r.partition("?")[0] for r in api.requests] == [f"GET {api.group_path}", f"GET {PODS}"]
    assert again.relations == out.relations


def test_a_change_of_the_group_makes_three_more(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.requests.clear()
    changed = state(engine(replicas=3), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_changed(changed.get_relation(11)), changed)
    assert len(api.requests) == 2 + 2  # a count needs no dry run
    api.requests.clear()
    new = engine(replicas=3, template=template("example.test/engine:2"))
    changed = state(new, peers=out.get_relation(1))
    ctx.run(ctx.on.relation_changed(changed.get_relation(11)), changed)
    assert len(api.requests) == 2 + 3


def test_scaling_and_updating_are_seen(ctx, api):
    out = settle(ctx, api, state(engine()))
    changed = engine(template=template("example.test/engine:2"))
    given = state(changed, peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_changed(changed), given)
    message = "engine 2/2: updating, 0/2 updated"
    assert status_of(out) == testing.MaintenanceStatus(message)


def test_a_rolebasedgroup_of_someone_else_is_never_taken_over(ctx, api):
    api.objects[api.group_path] = {
        "apiVersion": "workloads.x-k8s.io/v1alpha2",
        "metadata": {"name": "llama"},
        "spec": {"roles": [{"name": "engine"}]},
    }
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "RoleBasedGroup llama is someone else's; remove it or deploy under another name"
    assert status_of(out) == testing.BlockedStatus(message)
    assert not api.calls("PATCH")


def test_units_that_do_not_lead_say_how_the_group_stands_and_touch_nothing(ctx, api):
    settle(ctx, api, state(engine()))
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), state(engine(), leader=False))
    assert out.unit_status == testing.ActiveStatus("engine 2/2")
    assert len(api.requests) == len(api.calls("GET")) == 2


def test_units_that_do_not_lead_wait_for_the_leader(ctx, api):
    out = ctx.run(ctx.on.update_status(), state(leader=False))
    assert out.unit_status == testing.WaitingStatus("waiting for the group to be applied")


def test_a_unit_that_does_not_lead_tells_why_it_cannot_see(ctx, api):
    api.answers["GET", api.group_path] = (503, "busy")
    out = ctx.run(ctx.on.update_status(), state(leader=False))
    message = "waiting for the Kubernetes API server: it answers 503"
    assert out.unit_status == testing.WaitingStatus(message)


def leave(ctx, api, given, relation_id):
    """A relation ends, and nobody integrates another charm in time."""
    ended = given.get_relation(relation_id)
    out = ctx.run(ctx.on.relation_broken(ended), given)
    rest = [r for r in out.relations if r.id not in (1, relation_id)]
    api.now += departures.GRACE
    return ctx.run(ctx.on.leader_elected(), state(*rest, peers=out.get_relation(1)))


# --- roles that go -----------------------------------------------------------------------------


def test_a_role_whose_relation_is_removed_leaves_the_group(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    given = state(engine(), decoder(), peers=out.get_relation(1))
    leave(ctx, api, given, 12)
    assert set(api.roles) == {"engine"}


def test_a_role_charm_replaced_by_another_makes_one_rollout(ctx, api):
    """The relation ends before the next one is made: the role stays for a while."""
    out = settle(ctx, api, state(engine()))
    given = state(engine(), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_broken(given.get_relation(11)), given)
    assert api.roles["engine"]["replicas"] == 2
    assert status_of(out) == testing.ActiveStatus("engine 2/2 (leaving)")
    api.now += departures.GRACE - 1
    other = relation("engine", "other", 21, template=template("example.test/engine:2"), replicas=2)
    given = state(other, peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(21)), given)
    assert status_of(out).message == "engine 2/2: updating, 0/2 updated"
    # And a unit that starts later, with no relation yet, does not take it for gone.
    api.now += 1000
    ctx.run(ctx.on.start(), state(peers=out.get_relation(1)))
    assert api.roles["engine"]["replicas"] == 2


def test_a_unit_that_starts_waits_for_its_relations(ctx, api):
    """The relation ended, the charm went to 0 within the grace, and came back with another one."""
    out = settle(ctx, api, state(engine(), decoder()))
    given = state(engine(), decoder(), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_broken(given.get_relation(11)), given)
    api.now += 1000
    given = state(decoder(), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_created(given.get_relation(12)), given)
    assert set(api.roles) == {"engine", "decoder"}
    given = state(engine(), decoder(), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_created(given.get_relation(11)), given)
    ctx.run(ctx.on.leader_elected(), state(decoder(), peers=out.get_relation(1)))
    assert set(api.roles) == {"engine", "decoder"}


def test_the_last_role_goes_to_no_pods_and_the_group_is_not_deleted(ctx, api):
    out = settle(ctx, api, state(engine()))
    given = state(engine(), peers=out.get_relation(1))
    out = leave(ctx, api, given, 11)
    assert api.roles["engine"]["replicas"] == 0
    assert not api.calls("DELETE")
    assert status_of(out) == testing.BlockedStatus(NO_ROLE)


def test_a_unit_on_its_way_out_takes_nothing_away(ctx, api, monkeypatch):
    out = settle(ctx, api, state(engine(), decoder()))
    goal_state(monkeypatch, own="dying")
    api.requests.clear()
    given = state(engine(), decoder(), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_broken(given.get_relation(12)), given)
    assert not api.calls("PATCH") and not api.calls("DELETE")
    assert set(api.roles) == {"engine", "decoder"}
    assert status_of(out) == testing.ActiveStatus("engine 2/2, decoder 1/1")
    goal_state(monkeypatch)  # scaled back up, its relations not made yet
    api.now += 1000
    ctx.run(ctx.on.start(), state(peers=out.get_relation(1)))
    assert set(api.roles) == {"engine", "decoder"}


@pytest.mark.parametrize("event", ["install", "leader_elected", "config_changed", "start"])
def test_a_unit_that_starts_before_its_relations_takes_nothing_away(ctx, api, event):
    """After scaling to 0 and back, hooks run before relation-created."""
    out = settle(ctx, api, state(engine(), decoder()))
    api.requests.clear()
    out = ctx.run(getattr(ctx.on, event)(), state(peers=out.get_relation(1)))
    assert not api.calls("PATCH") and not api.calls("DELETE")
    assert set(api.roles) == {"engine", "decoder"}
    assert status_of(out) == testing.ActiveStatus("engine 2/2, decoder 1/1")


def test_a_removal_missed_is_made_up_for_by_update_status(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    given = state(engine(), peers=out.get_relation(1))
    ctx.run(ctx.on.config_changed(), given)
    assert set(api.roles) == {"engine", "decoder"}
    ctx.run(ctx.on.update_status(), given)
    assert set(api.roles) == {"engine"}


def test_a_further_role_is_known_by_its_application(ctx, api):
    store = relation("role", "store", 30, template=template())
    out = settle(ctx, api, state(engine(), store))
    given = state(engine(), store, peers=out.get_relation(1))
    leave(ctx, api, given, 30)
    assert set(api.roles) == {"engine"}


@pytest.mark.parametrize("event", ["stop", "remove"])
def test_teardown_asks_kubernetes_nothing(ctx, api, event):
    ctx.run(getattr(ctx.on, event)(), state(engine()))
    assert api.requests == []


def test_an_application_that_goal_state_no_longer_knows(ctx, api, monkeypatch):
    out = settle(ctx, api, state(engine(), decoder()))
    given = state(engine(), peers=out.get_relation(1))
    goal_state(monkeypatch, unit="llama/1")
    ctx.run(ctx.on.update_status(), given)
    assert set(api.roles) == {"engine", "decoder"}

    def gone():
        raise hookcmds.Error(returncode=1, cmd=["goal-state"])

    monkeypatch.setattr(hookcmds, "goal_state", gone)
    ctx.run(ctx.on.update_status(), given)
    assert set(api.roles) == {"engine", "decoder"}


# --- bad input ---------------------------------------------------------------------------------

BAD = {
    "empty": ({}, "template is missing"),
    "not JSON": ({"template": "{", "replicas": "2"}, "template: is not JSON"),
    "wrong type": (
        said(template=template(), replicas="many"),
        "replicas: Input should be a valid integer, unable to parse string as an integer",
    ),
    "unknown enum value": (
        said(template=template(), workload="DaemonSet"),
        'workload: "DaemonSet" is not valid: input should be '
        "'auto', 'StatefulSet', 'Deployment', 'LeaderWorkerSet' or 'RoleInstanceSet'",
    ),
    "1 MiB": (said(template=template("x" * 2**20)), "template: is larger than 256 KiB"),
    "unknown role": (
        said(template=template(), start_after=["store"]),
        "start_after: the group has no role 'store'; relate one or leave it out",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_role_that_turns_bad_is_kept_as_it_runs_and_the_others_go_on(ctx, api, case):
    databag, reason = BAD[case]
    out = settle(ctx, api, state(engine(), decoder()))
    before = api.roles["decoder"]
    bad = testing.Relation(
        "decoder", "rbg_role", id=12, remote_app_name="decode", remote_app_data=databag
    )
    changed = engine(replicas=5)
    given = state(changed, bad, peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_changed(bad), given)
    assert status_of(out) == testing.BlockedStatus(f"decode (role decoder): {reason}")
    assert api.roles["decoder"] == before
    assert api.roles["engine"]["replicas"] == 5
    told = out.get_relation(12).local_app_data
    assert json.loads(told["state"]) == "blocked"
    assert json.loads(told["reason"]) == f"decode (role decoder): {reason}"


def test_of_two_problems_the_first_is_shown_and_status_detail_lists_both(ctx, api):
    given = state(engine(replicas=-1), decoder(workload="no"))
    out = ctx.run(ctx.on.config_changed(), given)
    first = (
        "prefill (role engine): replicas: -1 is not valid: "
        "input should be greater than or equal to 0"
    )
    assert status_of(out) == testing.BlockedStatus(f"{first} (1 more in status-detail)")
    ctx.run(ctx.on.action("status-detail"), given)
    problems = ctx.action_results["problems"]
    assert problems["1"] == first
    assert problems["2"].startswith('decode (role decoder): workload: "no" is not valid')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model-storage": "claim"},
            "config model-storage: must be <claim>:<mount path>, e.g. llm-models:/models",
        ),
        ({"model": "two words"}, "config model: must not contain white space"),
    ],
)
def test_an_invalid_option_is_named_and_nothing_is_changed(ctx, api, options, message):
    good = {"model": "qwen", "model-storage": "llm:/models"}
    out = settle(ctx, api, state(engine(), config=good))
    assert "model" in out.get_relation(11).local_app_data
    api.requests.clear()
    changed = dataclasses.replace(
        out.get_relation(11), remote_app_data=said(template=template(), replicas=9)
    )
    given = state(changed, peers=out.get_relation(1), config={**good, **options})
    after = ctx.run(ctx.on.config_changed(), given)
    assert status_of(after) == testing.BlockedStatus(f"llama: {message}")
    assert not api.calls("PATCH")
    # Nor is the model taken back from the role charms: they would publish other pods.
    assert after.get_relation(11).local_app_data == out.get_relation(11).local_app_data


def test_a_misspelt_field_is_named_with_its_path_and_held_back(ctx, api):
    bad = (
        'RoleBasedGroup in version "v1alpha2" cannot be handled as a RoleBasedGroup: strict '
        'decoding error: unknown field "spec.roles[0].standalonePattern.template.spec.bogus"'
    )
    posted = []

    def answer(request):
        if request.method == "POST" and "rolebasedgroups" in request.url.path:
            names = [r["name"] for r in json.loads(request.content)["spec"]["roles"]]
            posted.append(names)
            if "decoder" in names:
                return httpx2.Response(400, json={"code": 400, "message": bad})
        return Api._answer(api, request)

    api._answer = answer
    out = ctx.run(ctx.on.config_changed(), state(engine(), decoder()))
    reason = "template.spec.bogus: unknown field; correct its spelling"
    assert status_of(out) == testing.BlockedStatus(f"decode (role decoder): {reason}")
    assert posted == [["decoder", "engine"], ["engine"]]
    assert set(api.roles) == {"engine"}


def test_an_invalid_value_is_told_in_the_servers_words(ctx, api):
    causes = [{"field": "spec.roles[0].replicas", "message": "Invalid value: -1: spec.roles[0]"}]
    api.answers["POST", GROUPS.format("v1alpha2")] = (
        422,
        {
            "message": "RoleBasedGroup is invalid",
            "reason": "Invalid",
            "details": {"causes": causes},
        },
    )
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "prefill (role engine): replicas: Invalid value: -1: role"
    assert status_of(out) == testing.BlockedStatus(message)
    assert not api.calls("PATCH")


def test_a_refusal_that_is_about_no_related_role(ctx, api):
    causes = [{"field": "metadata.name", "message": "too long"}]
    api.answers["POST", GROUPS.format("v1alpha2")] = (
        422,
        {"message": "invalid", "details": {"causes": causes}},
    )
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "the API server refuses metadata.name: too long"
    assert status_of(out) == testing.BlockedStatus(message)


# --- a cluster in trouble ----------------------------------------------------------------------

WAITING = {
    "429": (429, "slow down", "waiting for the Kubernetes API server: it answers 429"),
    "503": (503, "no leader", "waiting for the Kubernetes API server: it answers 503"),
    "conflict": (
        409,
        "the object has been modified",
        "waiting: the group was changed by someone else at the same moment",
    ),
    "webhook down": (
        500,
        'failed calling webhook "vrolebasedgroup.kb.io": connection refused',
        "waiting for RBG's webhook: the RBG controller does not answer",
    ),
    "forbidden, but trusted": (403, "nope", "waiting for Kubernetes to grant access: nope"),
    "unauthorized": (401, "who", "waiting for Kubernetes to grant access: who"),
}


@pytest.mark.parametrize("case", WAITING)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_what_heals_by_itself_waits_and_is_done_at_the_next_event(ctx, api, method, case):
    code, answer, message = WAITING[case]
    path = GROUPS.format("v1alpha2")
    api.answers[method, path] = (code, answer)
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    assert status_of(out) == testing.WaitingStatus(message)
    del api.answers[method, path]
    out = ctx.run(ctx.on.update_status(), out)
    assert status_of(out) == testing.WaitingStatus("engine 0/2: waiting for the RBG controller")


def test_an_api_server_that_does_not_answer(ctx, api):
    api.answers["GET", "/"] = (0, httpx2.ConnectError("refused"))
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "waiting for the Kubernetes API server: ConnectError"
    assert status_of(out) == testing.WaitingStatus(message)


def test_an_answer_that_is_not_kubernetes(ctx, api):
    def answer(request):
        return httpx2.Response(502, text="<html>", headers={"content-type": "text/html"})

    api._answer = answer
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "waiting for the Kubernetes API server: it answers 502"
    assert status_of(out) == testing.WaitingStatus(message)


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", GROUPS.format("v1alpha2")), ("PATCH", GROUPS.format("v1alpha2")), ("GET", OWNER)],
)
def test_not_trusted_only_when_the_review_says_so(ctx, api, method, path, code):
    api.answers[method, path] = (code, "forbidden")
    api.answers["POST", REVIEW] = (201, {"status": {"allowed": False}})
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    assert status_of(out) == testing.BlockedStatus(TRUST)


def test_a_review_that_fails_is_no_proof(ctx, api):
    api.answers["GET", api.group_path] = (403, "forbidden")
    api.answers["POST", REVIEW] = (500, "broken")
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "waiting for Kubernetes to grant access: forbidden"
    assert status_of(out) == testing.WaitingStatus(message)


def test_no_credentials_yet(ctx, monkeypatch):
    from lightkube.core.exceptions import ConfigError

    def refuse(**_):
        raise ConfigError("Configuration file not found")

    monkeypatch.setattr(kubeapi, "Client", refuse)
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "waiting for Kubernetes credentials: Configuration file not found"
    assert status_of(out) == testing.WaitingStatus(message)


@pytest.mark.parametrize(
    ("method", "answer", "message"),
    [
        ("POST", (403, 'admission webhook "v.kb.io" denied the request: no'), "no"),
        ("PATCH", (422, "bad\nthings"), "the API server refuses the group: bad things"),
        (
            "PATCH",
            (500, ".spec.bogus: field not declared in schema"),
            "the API server refuses the group: .spec.bogus: field not declared in schema",
        ),
    ],
)
def test_what_will_not_heal_is_blocked(ctx, api, method, answer, message):
    api.answers[method, GROUPS.format("v1alpha2")] = answer
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    assert status_of(out) == testing.BlockedStatus(message)


def test_rbg_not_installed(ctx, api):
    del api.objects[CRD]
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "RoleBasedGroup is not installed; install the RBG controller (0.3 or later)"
    assert status_of(out) == testing.BlockedStatus(message)


def test_conversion_not_installed(ctx, api):
    both = crd("v1alpha2")
    both["spec"]["versions"] += crd("v1alpha1")["spec"]["versions"]
    both["status"]["storedVersions"] = ["v1alpha1", "v1alpha2"]
    api.objects[CRD] = both
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "RBG's conversion webhook is not installed; install the CRDs with RBG's Helm chart"
    assert status_of(out) == testing.BlockedStatus(message)


def test_a_release_that_cannot_be_used(ctx, api):
    odd = crd("v1alpha2", "leaderWorkerPattern.restartPolicy")
    role = odd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    role = role["properties"]["roles"]["items"]["properties"]["leaderWorkerPattern"]
    role["properties"]["restartPolicy"]["type"] = "object"
    api.objects[CRD] = odd
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "RBG 0.8.0-alpha.3 and alpha.4 cannot be used; install alpha.5 or later"
    assert status_of(out) == testing.BlockedStatus(message)


def test_juju_has_not_made_the_statefulset_yet(ctx, api):
    del api.objects[OWNER]
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = "waiting for Juju: StatefulSet llama is not there yet"
    assert status_of(out) == testing.WaitingStatus(message)


# --- an old RBG, and an upgrade under a running group ------------------------------------------


@pytest.fixture
def old(api):
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1")
    return api


def test_on_an_old_rbg_v1alpha1_is_applied_and_remembered(ctx, old):
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    assert old.roles["engine"]["workload"]["kind"] == "StatefulSet"
    assert out.get_relation(1).local_app_data["api"] == "v1alpha1"
    assert out.workload_version == "RBG v1alpha1"
    role = old.roles["engine"]
    old.lists[PODS] = [pod(f"p{i}", "engine", role["template"]) for i in range(2)]
    out = ctx.run(ctx.on.update_status(), out)
    assert status_of(out) == testing.ActiveStatus("engine 2/2")
    old.requests.clear()
    ctx.run(ctx.on.update_status(), out)
    assert len(old.requests) == 2


def test_units_that_do_not_lead_find_an_old_group(ctx, old):
    ctx.run(ctx.on.config_changed(), state(engine()))
    out = ctx.run(ctx.on.update_status(), state(leader=False))
    message = "engine 0/2: waiting for the RBG controller"
    assert out.unit_status == testing.WaitingStatus(message)


def test_a_lost_memory_of_an_old_rbg_is_made_up_for(ctx, old):
    ctx.run(ctx.on.config_changed(), state(engine()))
    old.requests.clear()
    ctx.run(ctx.on.config_changed(), state(engine()))
    assert not old.calls("PATCH")


def test_an_upgrade_of_rbg_under_the_group_changes_no_pod(ctx, old):
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    kind = {"rbg.workloads.x-k8s.io/role-workload-type": "apps/v1/StatefulSet"}
    stored = old.group
    before = stored["spec"]["roles"][0]
    template_before = before.pop("template")
    del before["workload"]
    stored["spec"]["roles"] = [
        {**before, "annotations": kind, "standalonePattern": {"template": template_before}}
    ]
    converted = {**stored, "apiVersion": "workloads.x-k8s.io/v1alpha2"}
    old.objects[GROUPS.format("v1alpha2") + "/llama"] = converted
    old.objects[CRD] = crd("v1alpha2")
    old.version = "v1alpha2"
    out = ctx.run(ctx.on.update_status(), out)
    assert old.roles["engine"]["standalonePattern"]["template"] == template_before
    assert old.roles["engine"]["annotations"] == kind
    assert out.get_relation(1).local_app_data.get("api", "") == ""


def test_what_rbg_can_do_is_read_anew_when_a_role_asks_for_more(ctx, api):
    """After an upgrade of RBG; until then nothing changes."""
    out = settle(ctx, api, state(engine()))
    api.objects[CRD] = crd("v1alpha2", "minReadySeconds")
    api.requests.clear()
    given = state(engine(replicas=3), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert f"GET {CRD}" not in api.requests
    given = state(engine(replicas=3), decoder(min_ready_seconds=5), peers=out.get_relation(1))
    ctx.run(ctx.on.relation_changed(given.get_relation(12)), given)
    assert f"GET {CRD}" in api.requests
    assert api.roles["decoder"]["minReadySeconds"] == 5
    stored = api.group["metadata"]["annotations"]["rbg-k8s.charm/api"]
    assert stored == "v1alpha2 min-ready-seconds"


def test_an_upgraded_rbg_gives_no_running_role_another_spelling(ctx, api):
    policy = {"type": "None", "base_delay_seconds": 5}
    multi = engine(multi_node={"size": 2, "restart_policy": policy})
    out = ctx.run(ctx.on.config_changed(), state(multi, decoder()))
    before = api.roles["engine"]
    assert before["leaderWorkerPattern"]["restartPolicy"] == "None"
    delays = "leaderWorkerPattern.restartPolicyConfig.baseDelaySeconds"
    api.objects[CRD] = crd("v1alpha2", delays)
    given = state(multi, decoder(replicas=3), peers=out.get_relation(1))
    ctx.run(ctx.on.relation_changed(given.get_relation(12)), given)
    assert api.roles["decoder"]["replicas"] == 3
    assert api.roles["engine"] == before


def test_a_hint_of_an_rbg_that_is_no_longer_there(ctx, api):
    """The group of someone else in the version now served is left alone all the same."""
    foreign = {
        "apiVersion": "workloads.x-k8s.io/v1alpha2",
        "metadata": {"name": "llama"},
        "spec": {"roles": [{"name": "engine"}]},
    }
    api.objects[api.group_path] = foreign
    peers = testing.PeerRelation("group", id=1, local_app_data={"api": "v1alpha1"})
    out = ctx.run(ctx.on.config_changed(), state(engine(), peers=peers))
    message = "RoleBasedGroup llama is someone else's; remove it or deploy under another name"
    assert status_of(out) == testing.BlockedStatus(message)
    assert not api.calls("PATCH")


# --- what role charms are told -----------------------------------------------------------------


def test_role_charms_are_told_where_they_stand_and_how_to_find_each_other(ctx, api):
    ports = [{"name": "http", "port": 8000}]
    config = {"model": "qwen", "model-storage": "llm:/models"}
    out = settle(ctx, api, state(engine(ports=ports), decoder(), config=config))
    selector = {"rbg-k8s.charm/group": "llama", "rbg-k8s.charm/role": "engine"}
    told = {k: json.loads(v) for k, v in out.get_relation(12).local_app_data.items()}
    assert RoleState.model_validate(told) == RoleState(
        group="llama",
        namespace="ml",
        role="decoder",
        endpoint="decoder",
        api_version="workloads.x-k8s.io/v1alpha2",
        desired=1,
        ready=1,
        updated=1,
        state="ready",
        host="s-llama-decoder.ml.svc",
        roles=[
            PeerRole(
                role="engine",
                host="s-llama-engine.ml.svc",
                ports=[Port(name="http", port=8000)],
                selector=selector,
                leader_selector={**selector, "rbg-k8s.charm/leader": "true"},
            )
        ],
        model=ModelSettings(name="qwen", storage=ModelStorage(claim="llm", mount_path="/models")),
    )


def test_an_api_server_away_takes_nothing_back_from_role_charms(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.answers["GET", "/"] = (503, "away")
    again = ctx.run(ctx.on.update_status(), out)
    assert again.get_relation(11).local_app_data == out.get_relation(11).local_app_data
    assert again.unit_status.name == "waiting"


@pytest.mark.parametrize("event", ["relation_created", "relation_broken"])
def test_without_peers_no_count_is_applied_since_no_hold_is_known(ctx, api, event):
    """On a unit that starts or goes the peer relation comes later or ends before the others."""
    out = settle(ctx, api, state(engine(), decoder()))
    held = testing.PeerRelation(
        "group", id=1, local_app_data={"holds": '{"replicas": {"engine": 8}}'}
    )
    ctx.run(ctx.on.update_status(), state(engine(), decoder(), peers=held))
    assert api.roles["engine"]["replicas"] == 8
    api.requests.clear()
    given = testing.State(leader=True, relations=[engine(), decoder()], model=testing.Model("ml"))
    out = ctx.run(getattr(ctx.on, event)(given.get_relation(12)), given)
    assert not api.calls("PATCH")
    assert status_of(out) == testing.WaitingStatus("engine 2/8: starting; decoder 1/1")


@pytest.mark.parametrize(
    "holds", ["{", "[1]", '{"replicas": {"engine": "x"}}', '{"replicas": {"engine": null}}']
)
def test_holds_that_cannot_be_read_are_none(ctx, api, holds):
    peers = testing.PeerRelation("group", id=1, local_app_data={"holds": holds})
    ctx.run(ctx.on.update_status(), state(engine(), peers=peers))
    assert api.roles["engine"]["replicas"] == 2


def test_a_lost_trust_takes_nothing_back_from_role_charms(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    api.answers["GET", "/"] = (403, "forbidden")
    api.answers["POST", REVIEW] = (201, {"status": {"allowed": False}})
    again = ctx.run(ctx.on.update_status(), out)
    assert status_of(again) == testing.BlockedStatus(TRUST)
    for relation_id in (11, 12):
        before = out.get_relation(relation_id).local_app_data
        assert again.get_relation(relation_id).local_app_data == before


def test_a_role_charm_is_told_of_a_trust_that_never_was(ctx, api):
    api.answers["GET", "/"] = (403, "forbidden")
    api.answers["POST", REVIEW] = (201, {"status": {"allowed": False}})
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    told = out.get_relation(11).local_app_data
    assert json.loads(told["role"]) == "engine"
    assert json.loads(told["reason"]) == TRUST


# --- discovery ---------------------------------------------------------------------------------


def router(**fields):
    return relation("router", "gateway", 13, **{"template": template(), **fields})


def kinds(api):
    return sorted({p.split("/")[-2] for p in api.objects if p.endswith("/llama-router-discovery")})


def test_a_role_that_discovers_gets_its_account_and_loses_it_again(ctx, api):
    out = settle(ctx, api, state(engine(), router(discovers=["engine"])))
    assert kinds(api) == ["rolebindings", "roles", "serviceaccounts"]
    given = state(engine(), router(), peers=out.get_relation(1))
    api.requests.clear()
    ctx.run(ctx.on.relation_changed(given.get_relation(13)), given)
    deleted = [r.rpartition("/")[0].rpartition("/")[2] for r in api.calls("DELETE")]
    assert deleted == ["roles", "rolebindings", "serviceaccounts"]
    assert all(r.endswith("/llama-router-discovery") for r in api.calls("DELETE"))


def test_the_account_of_a_role_that_turned_bad_is_kept(ctx, api):
    out = settle(ctx, api, state(engine(), router(discovers=["engine"])))
    given = state(engine(), router(replicas="x"), peers=out.get_relation(1))
    api.requests.clear()
    ctx.run(ctx.on.relation_changed(given.get_relation(13)), given)
    assert not api.calls("DELETE")


# --- somebody else's hands ---------------------------------------------------------------------


def test_an_edit_by_someone_else_is_put_back(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.group["spec"]["roles"][0]["replicas"] = 7
    api.group["metadata"]["managedFields"] = [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    ctx.run(ctx.on.update_status(), out)
    assert api.roles["engine"]["replicas"] == 2


def test_a_role_taken_out_by_someone_else_comes_back(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    del api.group["spec"]["roles"][0]
    ctx.run(ctx.on.update_status(), out)
    assert set(api.roles) == {"engine", "decoder"}


def test_defaults_of_the_api_server_are_no_edit(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.group["spec"]["roles"][0]["podManagementPolicy"] = "Parallel"
    api.group["metadata"]["managedFields"] = [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    api.requests.clear()
    ctx.run(ctx.on.update_status(), out)
    assert not api.calls("PATCH")
