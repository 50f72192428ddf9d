# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The example is a whole charm of its own."""

import pytest
import yaml

from .conftest import EXAMPLES, SGLANG


@pytest.mark.parametrize("file", ["LICENSE", "lib/charms/rbg_k8s/v0/rbg_role.py"])
def test_its_copies_are_the_repositorys(file):
    """A packed charm must be whole. After a change: cp FILE examples/sglang-k8s/FILE."""
    copy, original = SGLANG / file, EXAMPLES.parent / file
    assert not copy.is_symlink()
    assert copy.read_bytes() == original.read_bytes()


@pytest.mark.filterwarnings("ignore:The .charmhub. field:DeprecationWarning")  # its own
def test_charmcraft_accepts_it():
    pytest.importorskip("charmcraft")
    import craft_parts.plugins
    from charmcraft import parts, preprocess
    from charmcraft.models import project

    craft_parts.plugins.register(parts.get_app_plugins())
    raw = yaml.safe_load((SGLANG / "charmcraft.yaml").read_text())
    preprocess.add_default_parts(raw)
    preprocess.add_metadata(SGLANG, raw)
    preprocess.add_config(SGLANG, raw)
    preprocess.add_actions(SGLANG, raw)
    made = project.PlatformCharm.from_yaml_data(raw, SGLANG / "charmcraft.yaml")
    assert made.name == "sglang-k8s"
    assert set(made.platforms) == {"amd64", "arm64"}


def test_readme_names_every_status_the_charm_can_show(example):
    readme = (SGLANG / "README.md").read_text()
    for text in (
        "waiting for group llama to answer",
        "waiting for an engine in group llama",
        "published, waiting for the group to take it up",
        "no model; run `juju config llama model=<name or path>`",
        "not related to a group; run `juju integrate prefill:role <group>:engine`",
    ):
        assert text in readme
