"""A charm without ops: it starts in no time, and shows what each hook tool answered."""

import json
import os
import subprocess
import sys
from typing import Any


def tool(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a hook tool."""
    return subprocess.run(words, input=stdin, text=True, capture_output=True, check=False)


def answer(*words: str) -> Any:
    """The parsed answer of a hook tool."""
    return json.loads(tool(*words, "--format=json").stdout or "null")


def act():
    """Run the action."""
    params = answer("action-get")
    if "words" in params:
        done = tool(*params["words"], stdin=params["stdin"])
        tool("action-set", f"code={done.returncode}", f"out={done.stdout}", f"err={done.stderr}")
    else:
        tool("action-set", *(f"params.{key}={value}" for key, value in params.items()))
    if params.get("fail"):
        tool("action-fail", "--", "as you wish")


def see(hook: str):
    """Log what this hook can see of its relations and of the plan."""
    goals = answer("goal-state")
    units: dict[str, Any] = goals["units"] if goals else {}
    seen: dict[str, Any] = {
        "planned": sum(goal["status"] != "dying" for goal in units.values()),
        "link": answer("relation-ids", "link"),
        "leader": answer("is-leader"),
    }
    if "JUJU_RELATION" in os.environ:
        number = os.environ["JUJU_RELATION_ID"]
        seen["members"] = answer("relation-list", "-r", number)
        app = os.environ["JUJU_REMOTE_APP"]
        bag = answer("relation-get", "-r", number, "--app", "-", app)
        seen["remote"] = {key: value[:100] for key, value in bag.items()}
        seen["length"] = sum(map(len, bag.values()))
    tool("juju-log", "--log-level", "INFO", "--", json.dumps({"hook": hook, **seen}))


def write(config: dict[str, str]):
    """Write the word of the config into every databag."""
    for endpoint in ("link", "prov", "mates") if config["say"] else ():
        for number in answer("relation-ids", endpoint):
            data = json.dumps({"say": config["say"]})
            tool("relation-set", "-r", number, "--file", "-", stdin=data)
            if answer("is-leader"):
                tool("relation-set", "-r", number, "--app", "--file", "-", stdin=data)


def main():
    """Run a hook or an action."""
    hook = os.environ["JUJU_HOOK_NAME"]
    if not hook:
        act()
        return
    config = answer("config-get")
    if config["watch"]:
        see(hook)
    write(config)
    if config["fail-in"] == hook:
        sys.exit("told to fail")


main()
