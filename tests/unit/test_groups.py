# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A set of groups: made by config, one line for all of them, and never changed by config alone."""

import copy
import json

import pytest
from ops import testing

from holds import Holds
from tests.unit.actions.acting import act, holds, refusal
from tests.unit.stub import PODS, SETS_OF_GROUPS, pod
from tests.unit.test_charm import api, ctx, decoder, engine, relation, settle, state, template

__all__ = ["api", "ctx"]

GROUP_NAME = "rbg.workloads.x-k8s.io/group-name"
ROLE_NAME = "rbg.workloads.x-k8s.io/role-name"
ALLOWED = "juju run llama/leader scale groups={} allow-recreate=true"


def roles(api):
    made = api.objects[api.set_path]["spec"]
    template = made["groupTemplate"]["spec"] if "groupTemplate" in made else made["template"]
    return {r["name"]: r for r in template["roles"]}


def one_of(role, group, i, **more):
    template = copy.deepcopy(role["standalonePattern"]["template"])
    labels = {**template["metadata"]["labels"], GROUP_NAME: group, **more.pop("labels", {})}
    return pod(f"{group}-{role['name']}-{i}", role["name"], template, labels=labels, **more)


def pods_of_groups(api, count, ready=True):
    return [
        one_of(role, f"llama-{g}", i, ready=ready)
        for g in range(count)
        for role in roles(api).values()
        for i in range(role["replicas"])
    ]


def grouped(ctx, api, given, groups=3):
    """A set that runs, as config made it."""
    out = ctx.run(ctx.on.config_changed(), given)
    api.lists[PODS] = pods_of_groups(api, groups)
    return ctx.run(ctx.on.update_status(), out)


def three(*relations, groups=3, **more):
    return state(*relations, config={"groups": groups}, **more)


# --- one object, one line ----------------


def test_config_makes_a_set_of_the_same_group(ctx, api):
    given = three(engine(), decoder(replicas=4))
    out = grouped(ctx, api, given)
    assert out.unit_status == testing.ActiveStatus("3 groups: engine 6/6, decoder 12/12")
    made = api.objects[api.set_path]
    assert made["kind"] == "RoleBasedGroupSet"
    assert list(made["spec"]) == ["replicas", "groupTemplate"]
    assert made["spec"]["replicas"] == 3
    assert roles(api)["decoder"]["replicas"] == 4
    assert made["metadata"]["ownerReferences"][0]["uid"] == "owner-uid"
    assert "rbg-k8s.charm/applied" in made["metadata"]["annotations"]
    group = made["spec"]["groupTemplate"]
    assert group["labels"]["rbg-k8s.charm/group"] == "llama"
    mode = "rbg.workloads.x-k8s.io/discovery-config-mode"
    assert group["annotations"] == {mode: "refine"}
    assert api.group_path not in api.objects


def test_the_dry_run_is_about_one_group(ctx, api, monkeypatch):
    sent = []
    answer = api._answer

    def listen(request):
        if request.method == "POST":
            sent.append(json.loads(request.content))
        return answer(request)

    monkeypatch.setattr(api, "_answer", listen)
    ctx.run(ctx.on.config_changed(), three(engine()))
    [body] = sent
    assert (body["kind"], list(body["spec"])) == ("RoleBasedGroup", ["roles"])


def test_a_hook_that_finds_nothing_to_do_makes_two_requests(ctx, api):
    out = grouped(ctx, api, three(engine(), decoder()))
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), out)
    assert [r.partition("?")[0] for r in api.requests] == [f"GET {api.set_path}", f"GET {PODS}"]
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), three(engine(), leader=False))
    assert [r.partition("?")[0] for r in api.requests] == [f"GET {api.set_path}", f"GET {PODS}"]
    assert out.unit_status == testing.ActiveStatus("3 groups: engine 6/6, decoder 3/3")


def test_a_unit_that_does_not_lead_finds_a_held_set(ctx, api):
    grouped(ctx, api, three(engine()))
    out = ctx.run(ctx.on.update_status(), state(engine(), leader=False))
    assert out.unit_status == testing.ActiveStatus("3 groups: engine 6/6")


def test_on_rbg_0_6_the_set_has_its_older_form(ctx, api):
    api.version = "v1alpha1"
    api.__post_init__()
    from tests.unit.stub import CRD, crd

    api.objects[CRD] = crd("v1alpha1")
    out = ctx.run(ctx.on.config_changed(), three(engine()))
    made = api.objects[api.set_path]
    assert list(made["spec"]) == ["replicas", "template"]
    assert list(made["spec"]["template"]) == ["roles"]
    [container] = roles(api)["engine"]["template"]["spec"]["containers"]
    names = [e["name"] for e in container["env"]]
    assert "GROUP_NAME" not in names  # RBG's own is each group's
    assert "ROLE_NAME" in names
    told = out.get_relation(11).local_app_data
    assert told["host"] == '"$(GROUP_NAME)-engine.ml.svc"'
    api.requests.clear()
    ctx.run(ctx.on.update_status(), out)
    read = [r.partition("?")[0] for r in api.requests]
    assert read[:2] == [f"GET {api.set_path}", f"GET {PODS}"]
    asked = next(r for r in api.requests if "/statefulsets?" in r)
    assert "rolebasedgroup.workloads.x-k8s.io%2Fname" in asked
    assert "llama-0%2Cllama-1%2Cllama-2" in asked


def test_each_pod_knows_its_own_group(ctx, api):
    ctx.run(ctx.on.config_changed(), three(engine()))
    [container] = roles(api)["engine"]["standalonePattern"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env["GROUP_NAME"] == "$(RBG_GROUP_NAME)"


def test_components_find_the_leader_of_their_own_group(ctx, api):
    from tests.unit.stub import CRD, crd

    api.objects[CRD] = crd("v1alpha2", "customComponentsPattern")
    parts = [{"name": "main", "template": template()}, {"name": "more", "template": template()}]
    ctx.run(ctx.on.config_changed(), three(engine(template=None, components=parts)))
    made = roles(api)["engine"]["customComponentsPattern"]["components"]
    env = {e["name"]: e.get("value") for e in made[1]["template"]["spec"]["containers"][0]["env"]}
    host = "$(RBG_ROLE_INSTANCE_NAME)-main-0.s-$(RBG_GROUP_NAME)-engine.ml"
    assert env["LEADER_ADDRESS"] == host


def test_role_charms_are_told_how_to_find_their_own_group(ctx, api):
    router = relation("router", "gateway", 13, template=template(), discovers=["engine"])
    out = grouped(ctx, api, three(engine(), router))
    told = json.loads(out.get_relation(13).local_app_data["roles"])
    own = {
        "rbg-k8s.charm/group": "llama",
        "rbg-k8s.charm/role": "engine",
        GROUP_NAME: "$(GROUP_NAME)",
    }
    assert told == [
        {
            "role": "engine",
            "host": "s-$(GROUP_NAME)-engine.ml.svc",
            "selector": own,
            "leader_selector": {**own, "rbg-k8s.charm/leader": "true"},
        }
    ]


def test_somebody_who_scales_the_set_by_hand_is_put_right(ctx, api):
    out = grouped(ctx, api, three(engine()))
    made = api.objects[api.set_path]
    made["spec"]["replicas"] = 5
    made["metadata"]["managedFields"].append(
        {"manager": "kubectl", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    )
    ctx.run(ctx.on.update_status(), out)
    assert api.objects[api.set_path]["spec"]["replicas"] == 3


def test_a_set_of_somebody_else_is_left_alone(ctx, api):
    api.objects[api.set_path] = {
        "apiVersion": "workloads.x-k8s.io/v1alpha2",
        "kind": "RoleBasedGroupSet",
        "metadata": {"name": "llama", "uid": "theirs"},
        "spec": {"replicas": 2, "groupTemplate": {"spec": {"roles": []}}},
    }
    out = ctx.run(ctx.on.config_changed(), three(engine()))
    message = "RoleBasedGroupSet llama is someone else's; remove it or deploy under another name"
    assert out.unit_status == testing.BlockedStatus(message)
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    assert out.unit_status == testing.BlockedStatus(message)
    assert not api.calls("PATCH") + api.calls("DELETE")


# --- one group of several is not well ----------------


def test_what_is_wrong_in_one_group_is_said_with_its_name_the_worst_first(ctx, api):
    out = grouped(ctx, api, three(engine(), decoder()))
    pods = api.lists[PODS] = pods_of_groups(api, 3)
    pull = {"state": {"waiting": {"reason": "ImagePullBackOff"}}, "name": "serve"}
    sick = next(p for p in pods if p["metadata"]["name"] == "llama-2-engine-1")
    sick["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    sick["status"]["containerStatuses"] = [pull]
    slow = next(p for p in pods if p["metadata"]["name"] == "llama-0-engine-0")
    slow["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    out = ctx.run(ctx.on.update_status(), out)
    message = "3 groups: engine 4/6: llama-2: cannot pull image example.test/e:1; decoder 3/3"
    assert out.unit_status == testing.BlockedStatus(message)


def test_a_group_without_pods_counts_as_nothing(ctx, api):
    out = grouped(ctx, api, three(engine()))
    api.objects[api.set_path]["status"] = {"replicas": 3}
    api.lists[PODS] = pods_of_groups(api, 2)
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.WaitingStatus("3 groups: engine 4/6: llama-2: no pods yet")
    api.lists[PODS] = pods_of_groups(api, 1)
    out = ctx.run(ctx.on.update_status(), out)
    message = "3 groups: engine 2/6: llama-1 and 1 more: no pods yet"
    assert out.unit_status == testing.WaitingStatus(message)


def test_what_is_the_same_in_every_group_needs_no_name(ctx, api):
    out = ctx.run(ctx.on.config_changed(), three(engine()))
    api.lists[PODS] = pods_of_groups(api, 3, ready=False)
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.WaitingStatus("3 groups: engine 0/6: starting")


def test_a_rollout_is_counted_over_all_groups(ctx, api):
    given = three(engine())
    out = grouped(ctx, api, given)
    old = api.lists[PODS]
    given = three(engine(template=template("example.test/e:2")), peers=out.get_relation(1))
    out = ctx.run(ctx.on.config_changed(), given)
    new = pods_of_groups(api, 3)
    api.lists[PODS] = [new[0], *old[1:]]
    out = ctx.run(ctx.on.update_status(), out)
    message = "3 groups: engine 6/6: updating, 1/6 updated"
    assert out.unit_status == testing.MaintenanceStatus(message)


def test_pods_of_a_group_that_goes_are_not_counted_but_told(ctx, api):
    out = grouped(ctx, api, three(engine()))
    api.lists[PODS] = pods_of_groups(api, 5)
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.MaintenanceStatus("3 groups, 2 more going: engine 6/6")


def test_a_pod_of_no_group_is_not_taken_for_one_of_each(ctx, api):
    out = grouped(ctx, api, three(engine()))
    stray = one_of(roles(api)["engine"], "", 9)
    api.lists[PODS] = [*pods_of_groups(api, 3), stray]
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("3 groups: engine 6/6")


def test_a_role_scaled_to_zero_and_a_paused_one(ctx, api):
    given = three(
        engine(), decoder(), peers=held(Holds(replicas={"decoder": 0}, paused=("engine",)))
    )
    out = grouped(ctx, api, given)
    message = "3 groups: engine 6/6 (paused), decoder 0 (scaled to zero, held)"
    assert out.unit_status == testing.ActiveStatus(message)


def held(holds):
    return testing.PeerRelation("group", id=1, local_app_data={"holds": str(holds)})


def test_workloads_are_asked_once_for_all_groups_and_each_is_healed_by_itself(ctx, api):
    """Trap A1 in one group of the set."""
    out = grouped(ctx, api, three(engine(replicas=1)))
    base = "/apis/workloads.x-k8s.io/v1alpha2/namespaces/ml"

    def workload(group, **status):
        labels = {GROUP_NAME: group, ROLE_NAME: "engine"}
        meta = {"name": f"{group}-engine", "generation": 1, "labels": labels}
        seen = {"observedGeneration": 1, "updateRevision": "new", **status}
        return {"metadata": meta, "spec": {"replicas": 1}, "status": seen}

    broken = {"currentRevision": "old", "updatedReplicas": 0, "readyReplicas": 0}
    well = {"currentRevision": "new", "updatedReplicas": 1, "readyReplicas": 1}
    sets = [
        workload("llama-0", **well),
        workload("llama-1", **broken),
        workload("llama-2", **well),
    ]
    api.lists[f"{base}/roleinstancesets"] = sets
    instance = {"name": "llama-1-engine-0", "labels": {"controller-revision-hash": "old"}}
    api.lists[f"{base}/roleinstances"] = [{"metadata": instance}]
    pods = api.lists[PODS] = pods_of_groups(api, 3)
    pods[1]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pods[1]["metadata"]["annotations"] = {}
    pods[1]["metadata"]["labels"]["rbg.workloads.x-k8s.io/role-instance-name"] = instance["name"]
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), out)
    assert api.calls("DELETE") == [f"DELETE {base}/roleinstances/llama-1-engine-0"]
    message = "3 groups: engine 2/3: llama-1: replacing pods that RBG left behind"
    assert out.unit_status == testing.MaintenanceStatus(message)
    asked = [r for r in api.requests if "roleinstancesets" in r]
    assert len(asked) == 1
    assert "llama-0%2Cllama-1%2Cllama-2" in asked[0]
    [instances] = [r for r in api.calls("GET") if "roleinstances?" in r]
    assert "group-name%3Dllama-1" in instances


# --- from one to several, and back ----------------


@pytest.mark.parametrize("groups", [0, -2])
def test_no_group_at_all_is_refused(ctx, api, groups):
    out = settle(ctx, api, state(engine()))
    out = ctx.run(ctx.on.config_changed(), three(engine(), groups=groups))
    message = "llama: config groups: must be 1 or more"
    assert out.unit_status == testing.BlockedStatus(message)
    assert api.calls("DELETE") == []


def test_config_alone_never_replaces_a_running_group(ctx, api):
    out = settle(ctx, api, state(engine()))
    before = copy.deepcopy(api.objects)
    api.requests.clear()
    given = three(engine(replicas=5), peers=out.get_relation(1))
    out = ctx.run(ctx.on.config_changed(), given)
    message = f"llama: config groups: 3 replaces every pod; run `{ALLOWED.format(3)}`"
    assert out.unit_status == testing.BlockedStatus(message)
    assert len(message) <= 120
    assert not api.calls("PATCH") + api.calls("DELETE")
    assert api.objects == before


def test_nor_a_running_set(ctx, api):
    out = grouped(ctx, api, three(engine()))
    before = copy.deepcopy(api.objects)
    out = ctx.run(ctx.on.config_changed(), state(engine(), peers=out.get_relation(1)))
    message = f"llama: config groups: 1 replaces every pod; run `{ALLOWED.format(1)}`"
    assert out.unit_status == testing.BlockedStatus(message)
    assert api.objects == before


def test_from_several_to_more_is_a_plain_scale(ctx, api):
    out = grouped(ctx, api, three(engine()))
    ctx.run(ctx.on.config_changed(), three(engine(), groups=5, peers=out.get_relation(1)))
    assert api.objects[api.set_path]["spec"]["replicas"] == 5
    assert not api.calls("DELETE")


def test_scale_groups_is_held(ctx, api):
    out = grouped(ctx, api, three(engine()))
    results, out = act(ctx, "scale", out, groups=4)
    assert results["groups"] == "4"
    assert results["held"] == "true"
    assert holds(out) == {"groups": 4}
    api.lists[PODS] = pods_of_groups(api, 4)
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("4 groups (held): engine 8/8")
    results, out = act(ctx, "scale", out, release=True)
    assert (results["groups"], results["held"]) == ("3", "false")
    assert api.objects[api.set_path]["spec"]["replicas"] == 3
    assert holds(out) == {}


def test_a_role_of_a_set_is_scaled_in_each_group(ctx, api):
    out = grouped(ctx, api, three(engine()))
    results, _ = act(ctx, "scale", out, role="engine", replicas=3)
    assert roles(api)["engine"]["replicas"] == 3
    assert results["replicas"] == "3"


def test_one_group_becomes_a_set_only_when_it_is_allowed(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    message = refusal(ctx, "scale", out, groups=3)
    assert message == (
        "going from 1 group to 3 groups replaces every pod (3); add allow-recreate=true to do it"
    )
    assert not api.calls("DELETE")
    old = api.lists[PODS]
    api.requests.clear()
    results, out = act(ctx, "scale", out, groups=3, allow_recreate=True)
    writes = [r for r in api.requests if r.split()[0] in ("DELETE", "PATCH")]
    assert [w.partition("?")[0] for w in writes] == [
        f"DELETE {api.group_path}",
        f"PATCH {api.set_path}",
    ]
    assert api.group_path not in api.objects
    assert results["status"].startswith("3 groups (held), 1 more going: engine 0/6: ")
    assert holds(out) == {"groups": 3, "recreate": True}
    api.lists[PODS] = [*old, *pods_of_groups(api, 3)]
    out = ctx.run(ctx.on.update_status(), out)
    message = "3 groups (held), 1 more going: engine 6/6, decoder 3/3"
    assert out.unit_status == testing.MaintenanceStatus(message)
    assert holds(out) == {"groups": 3}
    api.lists[PODS] = pods_of_groups(api, 3)
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("3 groups (held): engine 6/6, decoder 3/3")
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), out)
    assert [r.partition("?")[0] for r in api.requests] == [f"GET {api.set_path}", f"GET {PODS}"]


def test_and_a_set_one_group(ctx, api):
    out = grouped(ctx, api, three(engine()))
    results, out = act(ctx, "scale", out, groups=1, allow_recreate=True)
    assert results["groups"] == "1"
    assert api.set_path not in api.objects
    assert api.group["kind"] == "RoleBasedGroup"
    assert list(api.group["spec"]) == ["roles"]
    api.lists[PODS] = []
    out = settle(ctx, api, out)
    assert out.unit_status == testing.ActiveStatus("1 group (held): engine 2/2")


def test_what_is_given_back_may_need_the_permission_too(ctx, api):
    out = settle(ctx, api, state(engine()))
    _, out = act(ctx, "scale", out, groups=2, allow_recreate=True)
    api.lists[PODS] = pods_of_groups(api, 2)
    out = ctx.run(ctx.on.update_status(), out)
    message = refusal(ctx, "scale", out, release=True)
    assert message == (
        "going from 2 groups to 1 group replaces every pod (4); add allow-recreate=true to do it"
    )
    act(ctx, "scale", out, release=True, allow_recreate=True)
    assert api.set_path not in api.objects
    assert api.group["kind"] == "RoleBasedGroup"


def test_an_api_server_that_goes_away_after_the_deletion_is_finished_by_the_next_hook(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.answers["PATCH", SETS_OF_GROUPS.format("v1alpha2")] = (503, "away")
    with pytest.raises(testing.ActionFailed) as failure:
        act(ctx, "scale", out, groups=3, allow_recreate=True)
    assert failure.value.message == (
        "begun, and goes on by itself: waiting for the Kubernetes API server: it answers 503"
    )
    out = failure.value.state
    assert holds(out) == {"groups": 3, "recreate": True}
    assert api.group_path not in api.objects
    api.answers.clear()
    out = ctx.run(ctx.on.update_status(), out)
    assert api.objects[api.set_path]["spec"]["replicas"] == 3
    out = ctx.run(ctx.on.update_status(), out)
    assert holds(out) == {"groups": 3}


def test_an_old_group_beside_the_set_goes_as_long_as_it_is_allowed(ctx, api):
    out = settle(ctx, api, state(engine()))
    old = api.group
    _, out = act(ctx, "scale", out, groups=3, allow_recreate=True)
    api.objects[api.group_path] = old  # its deletion was only believed to be done
    out = ctx.run(ctx.on.update_status(), out)
    assert api.group_path not in api.objects
    assert api.objects[api.set_path]["spec"]["replicas"] == 3
    out = ctx.run(ctx.on.update_status(), out)
    assert holds(out) == {"groups": 3}


def test_a_deletion_that_is_refused_changes_nothing(ctx, api):
    out = settle(ctx, api, state(engine()))
    denied = 'admission webhook "v.kb.io" denied the request: no'
    api.answers["DELETE", "/"] = (403, denied)
    message = refusal(ctx, "scale", out, groups=3, allow_recreate=True)
    assert message == "nothing was changed: no"
    del api.answers["DELETE", "/"]
    out = ctx.run(ctx.on.update_status(), out)
    assert holds(out) == {}
    assert api.group_path in api.objects


def test_a_deletion_of_which_nobody_knows_goes_on(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.answers["DELETE", "/"] = (503, "away")
    with pytest.raises(testing.ActionFailed) as failure:
        act(ctx, "scale", out, groups=3, allow_recreate=True)
    out = failure.value.state
    assert holds(out)["recreate"]
    api.answers.clear()
    ctx.run(ctx.on.update_status(), out)
    assert api.group_path not in api.objects
    assert api.objects[api.set_path]["spec"]["replicas"] == 3


def test_a_group_that_could_not_be_made_anew_is_not_deleted(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    given = state(engine(replicas=-1), decoder(), peers=out.get_relation(1))
    message = refusal(ctx, "scale", given, groups=3, allow_recreate=True)
    assert message.startswith("prefill (role engine): replicas: ")
    cause = {"field": "spec.roles[0].standalonePattern.template.x", "message": "Required value"}
    invalid = {"reason": "Invalid", "message": "no", "details": {"causes": [cause]}}
    api.answers["POST", "/apis/workloads"] = (422, invalid)
    out = ctx.run(ctx.on.update_status(), state(engine(), decoder(), peers=held(RECREATE)))
    assert out.unit_status.message.startswith("decode (role decoder): template.x: Required value")
    assert api.calls("DELETE") == []


RECREATE = Holds(groups=3, recreate=True)


def test_a_role_whose_relation_is_not_there_yet_keeps_its_pods_for_now(ctx, api):
    """A unit that starts sees its relations one by one."""
    settle(ctx, api, state(engine(), decoder()))
    given = state(engine(), peers=held(RECREATE))
    out = ctx.run(ctx.on.config_changed(), given)
    message = "waits to become 3 groups (held): engine 2/2, decoder 1/1"
    assert out.unit_status.message == message
    assert api.calls("DELETE") == []
    given = state(engine(), decoder(), peers=out.get_relation(1))
    ctx.run(ctx.on.config_changed(), given)
    assert api.set_path in api.objects


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (Holds(pin=2), "the group is held at revision 2; run rollout-resume first"),
        (
            Holds(migrating=("engine",)),
            "engine is being migrated; wait until that is over",
        ),
    ],
)
def test_not_while_something_else_is_held(ctx, api, kept, message):
    from manifests import groupset
    from names import PIN

    settle(ctx, api, state(engine()))
    api.group["metadata"]["annotations"][PIN] = f"{kept.pin} 0"
    given = state(engine(), peers=held(kept))
    assert refusal(ctx, "scale", given, groups=2, allow_recreate=True) == message
    assert groupset.kind_for(1) == api.group["kind"]
    assert not api.calls("DELETE")


SAY = "say role=<name>, or groups=<count>, or release=true alone"
OF_ALL = "groups and allow-recreate are of the whole group; leave role out"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"groups": 0}, "groups: Input should be greater than or equal to 1"),
        ({}, SAY),
        ({"groups": 2, "release": True}, SAY),
        ({"allow_recreate": True}, SAY),
        ({"groups": 2, "role": "engine"}, OF_ALL),
        ({"role": "engine", "replicas": 1, "allow_recreate": True}, OF_ALL),
        ({"groups": 2, "replicas": 1}, "say which role with role=<name>"),
        (
            {"release": True},
            "no number of groups is held; say role=<name> to release a role",
        ),
    ],
)
def test_scale_refuses(ctx, api, params, message):
    out = settle(ctx, api, state(engine()))
    assert refusal(ctx, "scale", out, **params) == message


# --- what a set cannot do ----------------


def test_a_role_of_a_set_cannot_be_autoscaled(ctx, api):
    from tests.unit.stub import CRD, crd

    api.objects[CRD] = crd("v1alpha2", "scalingAdapter")
    scaled = engine(scaling={"min": 1, "max": 3})
    out = ctx.run(ctx.on.config_changed(), three(scaled, decoder()))
    problem = (
        "prefill (role engine): scaling: cannot be autoscaled in a set of groups; "
        "leave it out or run scale groups=1"
    )
    assert out.unit_status == testing.BlockedStatus(problem)
    assert list(roles(api)) == ["decoder"]
    # Nor does a running group become one with such a role in it.
    del api.objects[api.set_path]
    out = settle(ctx, api, state(scaled, decoder()))
    assert refusal(ctx, "scale", out, groups=2, allow_recreate=True) == problem
    assert not [r for r in api.calls("DELETE") if "rolebasedgroup" in r]


def test_counts_of_the_role_charms_stand_where_nobody_scales(ctx, api):
    given = state(engine(scaling={"min": 1, "max": 3}), config={"groups": 2, "autoscaler": "none"})
    out = grouped(ctx, api, given, 2)
    assert out.unit_status == testing.ActiveStatus("2 groups: engine 4/4")


def test_roles_of_a_set_do_not_grow_in_step(ctx, api):
    given = state(
        engine(), decoder(), config={"groups": 2, "scale-together": "engine,decoder:20%"}
    )
    out = ctx.run(ctx.on.config_changed(), given)
    assert out.unit_status.message == (
        "llama: config scale-together: works on one group only; "
        "leave it empty or run scale groups=1"
    )


def test_a_name_must_be_short_enough_with_its_number(ctx, api):
    name = "c" * 43  # llama-<name> has 49 of at most 50 characters
    role = relation("role", name, 30, template=template())
    out = ctx.run(ctx.on.config_changed(), state(role))
    assert out.unit_status.name == "waiting"
    api.objects.pop(api.group_path)
    out = ctx.run(ctx.on.config_changed(), three(role))
    message = f"{name}: role: '{name}' is longer than 42 characters; use a shorter name"
    assert out.unit_status == testing.BlockedStatus(message)


def test_an_application_called_like_a_workload_of_any_group(ctx, api):
    other = relation("role", "llama-1-engine", 31, template=template())
    out = ctx.run(ctx.on.config_changed(), three(engine(), other))
    assert out.unit_status == testing.BlockedStatus(
        "prefill (role engine): role: application llama-1-engine has the name RBG gives to role "
        "engine; deploy it under another name"
    )


def test_migrate_api_says_the_other_way(ctx, api):
    out = grouped(ctx, api, three(engine()))
    assert refusal(ctx, "migrate-api", out) == (
        "a set of groups cannot go role by role; run `scale groups=1 allow-recreate=true`, "
        "then the groups again"
    )


# --- what actions show of a set ----------------


def test_status_detail_shows_each_group(ctx, api):
    out = grouped(ctx, api, three(engine()))
    pods = api.lists[PODS] = pods_of_groups(api, 3)
    pods[2]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    results, _ = act(ctx, "status-detail", out)
    assert results["status"] == "waiting: 3 groups: engine 5/6: llama-1: starting"
    found = results["groups"]
    assert {name: role["engine"]["ready"] for name, role in found.items()} == {
        "llama-0": "2/2",
        "llama-1": "1/2",
        "llama-2": "2/2",
    }
    assert found["llama-1"]["engine"]["pods-not-ready"] == {"llama-1-engine-0": "starting"}
    assert found["llama-1"]["engine"]["workload"] == "RoleInstanceSet/llama-1-engine"
    results, _ = act(ctx, "rollout-status", out)
    assert results["roles"]["llama-1"]["engine"]["ready"] == "1/2"
    assert results["complete"] == "false"


def test_show_manifest_shows_the_set(ctx, api):
    out = grouped(ctx, api, three(engine()))
    results, _ = act(ctx, "show-manifest", out, format="json")
    [shown] = json.loads(results["manifest"])
    assert shown["kind"] == "RoleBasedGroupSet"
    assert shown["spec"]["groupTemplate"]["spec"]["roles"][0]["name"] == "engine"
    results, _ = act(ctx, "show-manifest", out, diff=True)
    assert results["diff"] == ""


def revision(api, number, owner="llama-0", kind="RoleBasedGroup"):
    said = copy.deepcopy(list(roles(api).values()))
    for role in said:
        role.pop("replicas")
    said.insert(0, {"$patch": "replace"})
    owned = [{"kind": kind, "name": owner, "uid": "child-uid"}]
    meta = {"name": f"{owner}-{number}", "creationTimestamp": "2026-11-22T12:00:00Z"}
    return {
        "metadata": {**meta, "ownerReferences": owned},
        "revision": number,
        "data": {"spec": {"roles": said}},
    }


def test_undo_goes_back_to_a_revision_of_the_first_group(ctx, api):
    revisions = "/apis/apps/v1/namespaces/ml/controllerrevisions"
    out = grouped(ctx, api, three(engine()))
    api.lists[revisions] = [revision(api, 1), revision(api, 7, kind="StatefulSet")]
    given = three(engine(template=template("example.test/e:2")), peers=out.get_relation(1))
    out = ctx.run(ctx.on.config_changed(), given)
    api.lists[revisions] += [revision(api, 2), revision(api, 9, owner="llama-1")]
    results, out = act(ctx, "rollout-history", out)
    assert list(results["revisions"]) == ["1", "2"]
    asked = [r for r in api.requests if "controllerrevisions" in r]
    assert "group-name%3Dllama-0" in asked[-1]
    results, out = act(ctx, "rollout-undo", out)
    assert results["revision"] == "1"
    image = roles(api)["engine"]["standalonePattern"]["template"]["spec"]["containers"][0]["image"]
    assert image == "example.test/engine:1"
    assert api.objects[api.set_path]["spec"]["replicas"] == 3
    message = refusal(ctx, "scale", out, groups=1, allow_recreate=True)
    assert message == "the group is held at revision 1; run rollout-resume first"
    _, out = act(ctx, "scale", out, groups=4)  # but more groups of that revision are fine
    assert api.objects[api.set_path]["spec"]["replicas"] == 4
