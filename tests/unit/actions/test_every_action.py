# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What every action does where it cannot be done."""

import dataclasses

import pytest

from actions import HANDLERS
from tests.unit.actions.acting import ACTIONS as DECLARED
from tests.unit.actions.acting import refusal
from tests.unit.conftest import ROOT
from tests.unit.test_charm import engine, settle, state

ACTIONS = sorted(DECLARED)
REQUIRED = {"scale": {"role": "engine", "replicas": 1}, "rollout-diff": {"revision": 1}}
WITHOUT_A_GROUP = ("show-manifest", "status-detail")


def test_each_declared_action_is_observed_and_handled():
    assert set(DECLARED) == set(HANDLERS)
    observed = (ROOT / "src/charm.py").read_text()
    for action in DECLARED:
        assert f'self.on["{action}"].action, self._on_action' in observed


def test_no_action_takes_unknown_parameters():
    assert all(action["additionalProperties"] is False for action in DECLARED.values())


@pytest.mark.parametrize("action", ACTIONS)
def test_only_the_leader(ctx, api, action):
    given = state(engine(), leader=False)
    message = refusal(ctx, action, given, **REQUIRED.get(action, {}))
    assert message == f"only the leader can; run `juju run llama/leader {action}`"


@pytest.mark.parametrize("action", ACTIONS)
def test_the_api_server_is_away(ctx, api, action):
    out = settle(ctx, api, state(engine()))
    api.answers["GET", "/"] = (503, "away")
    before = dict(api.objects)
    message = refusal(ctx, action, out, **REQUIRED.get(action, {}))
    assert message == "waiting for the Kubernetes API server: it answers 503"
    assert api.objects == before


@pytest.mark.parametrize("action", [a for a in ACTIONS if a not in WITHOUT_A_GROUP])
def test_there_is_no_group_yet(ctx, api, action):
    message = refusal(ctx, action, state(engine()), **REQUIRED.get(action, {}))
    assert message == "there is no group on the cluster yet; see `juju status`"


@pytest.mark.parametrize("action", ACTIONS)
def test_without_the_peer_relation_nothing_is_known(ctx, api, action):
    given = state(engine())
    given = dataclasses.replace(given, relations=[engine()])
    message = refusal(ctx, action, given, **REQUIRED.get(action, {}))
    assert message == "the unit is starting or going; run the action again later"


@pytest.mark.parametrize("action", ["rollout-pause", "rollout-restart", "rollout-resume", "scale"])
def test_an_unknown_role(ctx, api, action):
    out = settle(ctx, api, state(engine()))
    params = {"replicas": 1} if action == "scale" else {}
    message = refusal(ctx, action, out, role="store", **params)
    assert message == "no role 'store'; the roles are: engine"
