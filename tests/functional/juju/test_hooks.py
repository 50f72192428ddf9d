"""Failing hooks, databags, hook tools and who may use them."""

import json
from typing import Any

import pytest

from rig.juju import HookFailedError, Model, NotSettledError
from rig.juju.records import HookRecord

from .conftest import PLAIN, hooks, link_id


def tool(model: Model, unit: str, *words: str, stdin: str = "") -> tuple[str, str]:
    """Run one hook tool by an action; its stdout and stderr."""
    results = model.run(unit, "tool", {"words": list(words), "stdin": stdin}).results
    return results["out"].rstrip("\n"), results["err"].rstrip("\n")


def answer(model: Model, unit: str, *words: str) -> Any:
    """The answer of one hook tool."""
    out, err = tool(model, unit, *words, "--format=json")
    assert not err
    return json.loads(out)


def test_writes_land_only_on_exit_0(pair: Model):
    pair.config("app", {"say": "hello", "fail-in": "config-changed"})
    with pytest.raises(HookFailedError, match=r"(?s)app/0 config-changed: .*told to fail"):
        pair.settle()
    assert pair.databag("app", "link") == {}
    assert "say" not in pair.databag("app/0", "link")
    assert hooks(pair, "oth/0") == []
    unit = pair.status()["applications"]["app"]["units"]["app/0"]
    assert (unit["status"], unit["message"]) == ("error", 'hook failed: "config-changed"')

    pair.emit("app/0", "update-status")
    assert pair.settle(raise_on_error=False) == 0  # later events of the unit wait
    assert pair.run("app/0", "cost", {"cmd": "x"}).status == "completed"  # actions do not

    pair.config("app", {"fail-in": None})
    pair.resolve("app/0")
    pair.settle()
    assert pair.databag("app", "link") == {"say": "hello"}
    assert pair.databag("app/0", "link")["say"] == "hello"
    assert hooks(pair, "oth/0") == ["prov-relation-changed"] * 2  # the unit's, the application's
    assert [r.remote_unit for r in pair.hooks if r.unit == "oth/0"] == ["app/0", ""]


def test_resolve_without_retry(shared: Model):
    shared.config("app", {"fail-in": "update-status"})
    shared.settle()
    shared.emit("app/0", "update-status")
    shared.settle(raise_on_error=False)
    shared.resolve("app/0", retry=False)
    assert shared.settle() == 0
    shared.config("app", {"fail-in": None})
    shared.settle()


def test_an_unchanged_write_wakes_nobody(shared: Model):
    shared.config("app", say="hello")
    shared.settle()
    shared.hooks.clear()
    shared.emit("app/0", "update-status")
    assert shared.settle() == 1


def test_own_address_is_in_the_unit_databag(shared: Model):
    assert shared.databag("oth/0", link_id(shared))["ingress-address"] == "10.1.2.1"
    assert answer(shared, "oth/0", "network-get", "prov")["ingress-addresses"] == ["10.1.2.1"]


@pytest.mark.parametrize("size", [300_000, 1_500_000])
def test_large_databag(pair: Model, size: int):
    words = ["relation-set", "-r", f"link:{link_id(pair)}", "--app", "--file", "-"]
    assert tool(pair, "app/0", *words, stdin=json.dumps({"big": "x" * size})) == ("", "")
    assert len(pair.databag("app", "link")["big"]) == size
    record = pair.step()
    assert record and record.hook == "prov-relation-changed"
    assert f'"length": {size}' in record.logs[-1]


def test_what_may_be_read_and_written(pair: Model):
    pair.scale("app", 2)
    pair.settle()
    link, peers = f"link:{link_id(pair)}", f"mates:{pair.relations_of('app')[0].id}"
    get, put = "relation-get", "relation-set"
    assert tool(pair, "app/1", put, "-r", link, "--app", "a=b") == (
        "",
        "ERROR cannot write relation settings",
    )
    denied = ("", "ERROR permission denied")
    assert tool(pair, "app/1", get, "-r", link, "--app", "-", "app") == denied
    assert tool(pair, "app/1", put, "-r", peers, "--app", "a=b")[1] != ""
    assert tool(pair, "app/0", put, "-r", peers, "--app", "a=b") == ("", "")
    assert answer(pair, "app/1", get, "-r", peers, "--app", "-", "app") == {"a": "b"}
    assert answer(pair, "app/0", get, "-r", link, "--app", "-", "app") == {}
    assert answer(pair, "app/1", get, "-r", link, "--app", "nothing", "oth") is None
    assert "relation not found" in tool(pair, "app/0", "relation-list", "-r", "odd:99")[1]
    assert answer(pair, "app/1", "relation-list", "-r", link) == ["oth/0"]
    assert answer(pair, "app/1", "relation-list", "-r", link, "--app") == "oth"
    pair.hooks.clear()
    pair.settle()  # the leader's peer databag wakes the other unit only
    assert [(r.unit, r.hook) for r in pair.hooks] == [("app/1", "mates-relation-changed")]


def test_leadership(model: Model):
    model.deploy(PLAIN, "app", units=2)
    model.settle()
    assert model.depose("app") == "app/1"
    model.hooks.clear()
    model.settle()
    assert [(r.unit, r.hook) for r in model.hooks] == [("app/1", "leader-elected")]
    assert model.run("app/leader", "cost", {"cmd": "x"}).record.unit == "app/1"
    assert not answer(model, "app/0", "is-leader")
    assert (
        "not the leader" in tool(model, "app/0", "status-set", "--application=True", "active")[1]
    )
    model.scale("app", 1)
    model.settle()
    assert hooks(model, "app/0")[-1] == "leader-elected"
    assert answer(model, "app/0", "is-leader")


def test_status(pair: Model):
    pair.scale("app", 2)
    pair.settle()
    tool(pair, "app/0", "status-set", "active", "--", "-fine")
    tool(pair, "app/1", "status-set", "waiting", "--", "hm")
    app = pair.status()["applications"]["app"]
    assert (app["status"], app["message"]) == ("waiting", "hm")  # the worst unit's
    tool(pair, "app/0", "status-set", "--application=True", "blocked", "--", "ours")
    app = pair.status()["applications"]["app"]
    assert (app["status"], app["message"]) == ("blocked", "ours")
    assert app["units"]["app/0"] == {"status": "active", "message": "-fine", "leader": True}
    whole = answer(pair, "app/0", "status-get", "--include-data", "--application=true")
    assert whole["application-status"]["message"] == "ours"
    assert set(whole["units"]) == {"app/0", "app/1"}


def test_goal_state(shared: Model):
    tool(shared, "oth/0", "status-set", "active")
    goals = answer(shared, "app/0", "goal-state")
    assert {u: g["status"] for u, g in goals["units"].items()} == {"app/0": "unknown"}
    related = {name: g["status"] for name, g in goals["relations"]["link"].items()}
    assert related == {"oth": "joined", "oth/0": "active"}


def test_small_tools(shared: Model):
    assert answer(shared, "app/0", "config-get", "count") == 3
    assert tool(shared, "app/0", "config-get", "token") == ("", "")
    assert "cannot access cloud credentials" in tool(shared, "app/0", "credential-get")[1]
    assert "not found" in tool(shared, "app/0", "resource-get", "image")[1]
    assert answer(shared, "app/0", "storage-list") == []
    tool(shared, "app/0", "open-port", "8080")
    tool(shared, "app/0", "open-port", "9090/udp")
    tool(shared, "app/0", "close-port", "8080/tcp")
    assert answer(shared, "app/0", "opened-ports") == ["9090/udp"]
    assert tool(shared, "app/0", "unit-get", "private-address")[0] == "10.1.1.1"


def test_kill_at_a_tool_call(shared: Model):
    def third(record: HookRecord) -> bool:
        return record.hook == "update-status" and len(record.tools) == 3

    shared.kill = third
    shared.emit("app/0", "update-status")
    shared.settle(raise_on_error=False)
    record = shared.hooks[-1]
    assert (record.exit_code, len(record.tools)) == (-9, 3)
    shared.kill = None
    shared.resolve("app/0")
    assert shared.settle() == 1


def test_resolve_repeats_the_same_hook(pair: Model):
    pair.kill = lambda record: record.hook == "update-status"
    pair.emit("app/0", "update-status")
    pair.settle(raise_on_error=False)
    pair.kill = None
    pair.config("app", count=4)  # would come first otherwise
    pair.resolve("app/0")
    pair.settle()
    assert hooks(pair, "app/0") == ["update-status"] * 2 + ["config-changed"] * 2


def test_a_killed_action(shared: Model):
    shared.kill = lambda record: True
    done = shared.run("app/0", "cost", {"cmd": "x"})
    shared.kill = None
    assert (done.status, done.message) == ("failed", "exit status -9")
    assert not shared.unit("app/0").failed


def test_secret_tools(shared: Model):
    link = f"link:{link_id(shared)}"
    words = ["secret-add", "--label", "mine", "--owner", "application", "a=1"]
    uri, _ = tool(shared, "app/0", *words)
    assert "already exists" in tool(shared, "app/0", *words)[1]
    get = ["secret-get", uri, "--format=json"]
    assert tool(shared, "oth/0", *get)[1] == "ERROR permission denied"
    assert tool(shared, "oth/0", "secret-set", uri, "a=2")[1] == "ERROR permission denied"
    tool(shared, "app/0", "secret-grant", "--relation", link.removeprefix("link:"), uri)
    assert answer(shared, "oth/0", "secret-get", uri, "--label", "theirs") == {"a": "1"}
    tool(shared, "app/0", "secret-set", uri, "a=2")
    tool(shared, "app/0", "secret-set", uri, "a=2")  # the same again: no new revision
    info = answer(shared, "app/0", "secret-info-get", "--label", "mine")
    assert info[uri.removeprefix("secret:")]["revision"] == 2
    assert answer(shared, "oth/0", "secret-get", "--label", "theirs") == {"a": "1"}
    assert answer(shared, "oth/0", "secret-get", uri, "--peek") == {"a": "2"}
    shared.hooks.clear()
    shared.settle()
    assert hooks(shared, "oth/0") == ["secret-changed"]
    assert shared.hooks[0].env["JUJU_SECRET_LABEL"] == "theirs"
    assert answer(shared, "oth/0", "secret-get", uri, "--refresh") == {"a": "2"}
    shared.hooks.clear()
    shared.settle()
    assert hooks(shared, "app/0") == ["secret-remove"]
    tool(shared, "app/0", "secret-remove", uri, "--revision", "1")
    assert answer(shared, "app/0", "secret-ids") == [uri]
    assert answer(shared, "oth/0", "secret-ids") == []
    tool(shared, "app/0", "secret-revoke", uri, "--app", "oth")
    assert tool(shared, "oth/0", *get)[1] == "ERROR permission denied"
    tool(shared, "app/0", "secret-remove", uri)
    assert "not found" in tool(shared, "app/0", *get)[1]
    assert tool(shared, "oth/0", "secret-info-get", uri)[1].endswith("not found")


def test_user_secret_needs_a_grant(shared: Model):
    uri = shared.add_secret({"a": "1"})
    assert tool(shared, "app/0", "secret-get", uri)[1] == "ERROR permission denied"
    shared.grant_secret(uri, "app")
    assert answer(shared, "app/0", "secret-get", uri) == {"a": "1"}


def test_before_hook(shared: Model):
    before: list[str] = []
    shared.before_hook = lambda record: before.append(record.hook)
    shared.emit("app/0", "update-status")
    shared.settle()
    shared.before_hook = lambda record: None
    assert before == ["update-status"]


def test_an_endless_loop_is_named(shared: Model):
    shared.before_hook = lambda record: shared.emit(record.unit, "update-status")
    shared.emit("app/0", "update-status")
    with pytest.raises(NotSettledError, match="app/0 update-status, app/0 update-status"):
        shared.settle(limit=10)
    shared.before_hook = lambda record: None
    shared.settle()


def test_a_hook_that_hangs(shared: Model):
    shared.hook_timeout = 0.01
    shared.emit("app/0", "update-status")
    with pytest.raises(HookFailedError, match="still running"):
        shared.settle()
    shared.hook_timeout = 300
    shared.resolve("app/0")
    assert shared.settle() == 1
