"""The same model with charms that use ops: secrets, actions, what ops asks of Juju."""

import io

import pytest
from rich.console import Console

from rig.juju import HookFailedError, JujuError, Model, print_status

from .conftest import TOY, hooks

BUNDLE = """
bundle: kubernetes
applications:
  one: {charm: ./toy, scale: 1}
  two: {charm: toy-k8s, num_units: 1, trust: true, options: {word: hi}}
relations:
- [one:link, two:prov]
"""


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory):
    """Two related toys from a bundle."""
    path = tmp_path_factory.mktemp("bundle")
    (path / "toy").symlink_to(TOY)
    (path / "bundle.yaml").write_text(BUNDLE)
    with Model("m") as model:
        with pytest.raises(JujuError, match='cannot resolve charm or bundle "toy-k8s"'):
            model.deploy_bundle(path / "bundle.yaml")
        assert model.deploy_bundle(path / "bundle.yaml", {"toy-k8s": TOY}) == ["one", "two"]
        model.settle()
        yield model


def test_secret_over_a_relation(toys: Model):
    one = toys.status()["applications"]["one"]
    assert (one["status"], one["message"]) == ("active", "hi")
    assert toys.databag("two", "prov")["secret"].startswith("secret:")
    toys.hooks.clear()
    toys.config("two", word="bye")
    toys.settle()
    assert hooks(toys, "two/0") == ["config-changed", "config-changed", "secret-remove"]
    assert hooks(toys, "one/0") == ["secret-changed"]
    assert toys.status()["applications"]["one"]["message"] == "bye"
    removed = next(r for r in toys.hooks if r.hook == "secret-remove")
    assert removed.env["JUJU_SECRET_REVISION"] == "1"


def test_report(toys: Model):
    report = toys.run("one/leader", "report")
    assert report.status == "completed" and report.log == ["looking"]
    assert report.results["planned"] == "1"
    assert report.results["ports"] == "[8080]"
    assert report.results["model"] == {"name": "m", "uuid": toys.uuid}
    assert int(report.results["runs"]) > 3  # StoredState outlives a hook
    assert toys.status()["applications"]["one"]["version"] == "1.2"


def test_result_size(toys: Model):
    """Seen on a real Juju 4: ops passes a result as one argument, which ends at 128 KiB."""
    assert len(toys.run("one/0", "report", {"big": 100_000}).results["big"]) == 100_000
    failed = toys.run("one/0", "report", {"big": 150_000})
    assert (failed.status, failed.message) == ("failed", "exit status 1")
    assert "Argument list too long" in failed.record.stderr
    assert not toys.unit("one/0").failed


def test_user_secret(toys: Model):
    uri = toys.add_secret({"key": "v1"})
    toys.config("one", token=uri)
    toys.settle()
    with pytest.raises(LookupError):
        toys.databag("one", "prov")
    toys.grant_secret(uri, "one")
    secret = toys.secrets[uri.removeprefix("secret:")]
    assert secret.grants == {("one", -1)}
    secret.tracked["one/0"] = 1  # as after a secret-get
    toys.update_secret(uri, {"key": "v2"})
    toys.hooks.clear()
    toys.settle()
    assert hooks(toys, "one/0") == ["secret-changed"]


def test_exceptions(toys: Model):
    crash = toys.run("one/0", "crash")
    assert (crash.status, crash.message) == ("failed", "exit status 1")
    assert "Uncaught RuntimeError in charm code: as told" in crash.record.stderr
    toys.kill = lambda record: True
    toys.emit("one/0", "update-status")
    with pytest.raises(HookFailedError, match="one/0 update-status: exit status -9"):
        toys.settle()
    toys.kill = None
    toys.resolve("one/0")
    toys.settle()


def test_table(toys: Model):
    toys.apps["one"].status.message = "x" * 200  # type: ignore[union-attr]
    out = io.StringIO()
    print_status(toys.status(), Console(file=out, width=300))
    lines = out.getvalue().splitlines()
    row = next(line for line in lines if line.startswith("one "))
    assert row.split()[:4] == ["one", "1.2", "active", "1/1"]
    assert row.split()[-1] == "x" * 117 + "..."
    assert any(line.startswith("one/0* ") for line in lines)
    assert any(line.split()[:3] == ["two:prov", "one:link", "toy"] for line in lines)
