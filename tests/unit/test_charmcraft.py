# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The charm's files are accepted by charmcraft's own project model."""

import warnings

import pytest
import yaml

from config import CharmConfig
from inputs import ENDPOINTS
from tests.unit.conftest import ROOT


@pytest.fixture(scope="module")
def project():
    """The typed project, as `charmcraft pack` reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of charmcraft's own dependencies
        import charmcraft.parts
        import charmcraft.preprocess
        import craft_parts.plugins
        from charmcraft.models.project import PlatformCharm

        craft_parts.plugins.register(charmcraft.parts.get_app_plugins())
        data = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())
        charmcraft.preprocess.add_default_parts(data)
        charmcraft.preprocess.add_metadata(ROOT, data)
        charmcraft.preprocess.add_config(ROOT, data)
        charmcraft.preprocess.add_actions(ROOT, data)
        return PlatformCharm.from_yaml_data(data, ROOT / "charmcraft.yaml")


def test_charmcraft_accepts_the_project(project):
    assert project.name == "rbg-k8s"
    assert set(project.platforms) == {"amd64", "arm64"}
    assert project.charm_user == "non-root"
    assert project.parts["charm"]["plugin"] == "uv"


def test_every_endpoint_says_whether_it_is_optional(project):
    assert set(project.requires) == set(ENDPOINTS)
    for endpoint in project.requires.values():
        assert endpoint["optional"] is True and endpoint["interface"] == "rbg_role"
    assert [project.requires[e].get("limit") for e in ENDPOINTS] == [1, 1, 1, None]


def test_the_sidecar_takes_any_image_and_is_no_root(project):
    [container] = project.containers.values()
    assert list(project.containers) == ["watcher"]
    assert container["resource"] in project.resources
    assert container["uid"] == container["gid"] == 584792  # Juju's workload user
    resource = project.resources["watcher-image"]
    assert resource["type"] == "oci-image" and "python" in resource["upstream-source"]


def test_every_action_refuses_unknown_parameters():
    for action in yaml.safe_load((ROOT / "actions.yaml").read_text()).values():
        assert action["additionalProperties"] is False


def test_options_and_the_typed_config_are_the_same():
    options = yaml.safe_load((ROOT / "config.yaml").read_text())["options"]
    assert set(options) == {f.alias for f in CharmConfig.model_fields.values()}
    assert CharmConfig.model_validate({k: o["default"] for k, o in options.items()})


def test_only_one_room_imports_lightkube():
    importers = {
        str(file.relative_to(ROOT / "src"))
        for file in (ROOT / "src").rglob("*.py")
        if "import lightkube" in file.read_text() or "from lightkube" in file.read_text()
    }
    assert importers == {"cluster.py", "kubeapi.py"}


def test_an_idle_hook_imports_no_schema():
    """What charm.py imports at its start costs every hook."""
    import subprocess
    import sys

    code = "import charm, sys; sys.exit('pydantic' in sys.modules or 'yaml' not in sys.modules)"
    env = {"PYTHONPATH": f"{ROOT}/lib:{ROOT}/src"}
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0
