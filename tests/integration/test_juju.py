# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""On a real Juju with a real RBG controller; never run in CI, which has neither."""

import os
from pathlib import Path

import pytest

jubilant = pytest.importorskip("jubilant")

CHARM, ROLE_CHARM = os.environ.get("CHARM_PATH"), os.environ.get("ROLE_CHARM_PATH")
SMALL = {"gpus": 0, "shared-memory": "", "image": "alpine:3"}

pytestmark = pytest.mark.skipif(
    not (CHARM and ROLE_CHARM), reason="CHARM_PATH and ROLE_CHARM_PATH name no packed charms"
)


@pytest.fixture(scope="module")
def juju():
    """A temporary model with the group and one engine."""
    with jubilant.temp_model() as model:
        model.deploy(
            Path(CHARM or "").resolve(),
            "llama",
            config={"model": "qwen"},
            resources={"watcher-image": "python:3.12-slim"},
        )
        model.deploy(Path(ROLE_CHARM or "").resolve(), "prefill", config=SMALL)
        model.integrate("prefill:role", "llama:engine")
        yield model


def message(status) -> str:
    """The group's application status message."""
    return status.apps["llama"].app_status.message


def test_trust_is_asked_for(juju):
    """Before `--trust` the exact command is shown."""
    wanted = "not trusted; run `juju trust llama --scope=cluster`"
    juju.wait(lambda s: message(s) == wanted, timeout=600)


def test_an_engine_is_seen(juju):
    """The engine's pod is made and judged; this image serves nothing."""
    juju.trust("llama", scope="cluster")
    juju.wait(lambda s: message(s).startswith("engine 0/1: "), timeout=600)


def test_scale_is_held(juju):
    """A held count shows in the status."""
    juju.run("llama/leader", "scale", {"role": "engine", "replicas": 0})
    juju.wait(lambda s: message(s) == "engine 0 (scaled to zero, held)", timeout=600)


def test_removal_leaves_nothing(juju):
    """Removing the application takes its pods along."""
    juju.remove_application("llama")
    juju.wait(lambda s: "llama" not in s.apps, timeout=600)
