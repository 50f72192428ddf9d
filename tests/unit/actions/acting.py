# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Run an action, and the revisions that RBG would have made."""

import json

import pytest
import yaml
from ops import testing

from tests.unit.conftest import ROOT
from tests.unit.test_charm import engine, state

REVISIONS = "/apis/apps/v1/namespaces/ml/controllerrevisions"
ACTIONS = yaml.safe_load((ROOT / "actions.yaml").read_text())


def act(ctx, action, given, **params):
    """Run an action with Juju's defaults; returns its results and the state after it."""
    said = {
        name: param["default"]
        for name, param in ACTIONS[action].get("params", {}).items()
        if "default" in param
    }
    given_params = {name.replace("_", "-"): value for name, value in params.items()}
    out = ctx.run(ctx.on.action(action, params={**said, **given_params}), given)
    return ctx.action_results, out


def refusal(ctx, action, given, **params):
    """The sentence with which an action fails."""
    with pytest.raises(testing.ActionFailed) as failure:
        act(ctx, action, given, **params)
    assert "\n" not in failure.value.message
    return failure.value.message


def holds(out):
    """What is held after a hook."""
    return json.loads(out.get_relation(1).local_app_data.get("holds", "{}"))


def again(out, *relations):
    """The model as it is after a hook, with other relations."""
    return state(*(relations or [engine()]), peers=out.get_relation(1))


def revision(number, roles, *, owner="group-uid", created="2026-11-22T12:00:00Z"):
    """A ControllerRevision as RBG makes it: a merge directive, then roles without replicas."""
    said = [
        {k: v for k, v in role.items() if k != "replicas"}
        for role in json.loads(json.dumps(roles))
    ]
    said.insert(0, {"$patch": "replace"})
    return {
        "metadata": {
            "name": f"llama-{number}",
            "creationTimestamp": created,
            "ownerReferences": [{"uid": owner}],
        },
        "revision": number,
        "data": {"spec": {"roles": said, "roleTemplates": [{"$patch": "replace"}]}},
    }


def keep_revision(api, number, **more):
    """Let RBG make a revision of the group as it is now."""
    made = revision(number, api.group["spec"]["roles"], **more)
    api.lists.setdefault(REVISIONS, []).append(made)
