# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the actions share: parameters checked, the group asked for, a hold taken or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import ops
from pydantic import BaseModel, ConfigDict, ValidationError

import juju
from holds import Holds
from inputs import Inputs
from planning import what_would_be
from regroup import find
from tree import Tree

if TYPE_CHECKING:
    from charm import RbgCharm

MAX_RESULT = 100_000
"""Characters of one result value: ops hands it over as one argument, which holds 128 KiB."""


class Params(BaseModel):
    """Parameters of an action; Juju's names have hyphens."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


class Refused(Exception):
    """What the user is told when an action cannot be done.

    Attributes:
        results: what is shown all the same.
    """

    def __init__(self, message: str, results: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.results = dict(results or {})


_Params = TypeVar("_Params", bound=Params)


@dataclass(frozen=True)
class Standing:
    """What an action starts from.

    Attributes:
        inputs: what Juju says.
        memory: what the application remembers.
        live: the group on the cluster.
    """

    inputs: Inputs
    memory: juju.Memory
    live: Tree

    @property
    def holds(self) -> Holds:
        """What is held already."""
        return self.inputs.holds

    @property
    def names(self) -> list[str]:
        """The related roles."""
        return [r.name for r in self.inputs.roles]

    def roles(self, said: str) -> list[str]:
        """Role names from `a,b`, all of them from an empty string.

        Raises:
            Refused: one of them is no role of the group.
        """
        asked = [name.strip() for name in said.split(",") if name.strip()]
        for name in asked:
            if name not in self.names:
                raise unknown_role(name, self.names)
        return list(dict.fromkeys(asked)) or self.names


def unknown_role(name: str, known: Sequence[str]) -> Refused:
    """The sentence about a role that is not there."""
    return Refused(f"no role {name!r}; the roles are: {', '.join(known) or 'none'}")


def params(model: type[_Params], event: ops.ActionEvent) -> _Params:
    """The action's parameters, checked.

    Raises:
        Refused: with the parameter's name and what is wrong.
    """
    try:
        return model.model_validate(dict(event.params))
    except ValidationError as e:
        error = e.errors(include_url=False)[0]
        field = ".".join(map(str, error["loc"]))
        reason = error["msg"].removeprefix("Value error, ")
        raise Refused(f"{field}: {reason}" if field else reason) from None


def remembered(charm: "RbgCharm", event: ops.ActionEvent) -> tuple[Inputs, juju.Memory]:
    """What Juju says and what is held.

    Raises:
        Refused: this unit is not the leader, or cannot remember anything now.
    """
    if not charm.unit.is_leader():
        name = event.handle.kind.removesuffix("_action").replace("_", "-")
        raise Refused(f"only the leader can; run `juju run {charm.app.name}/leader {name}`")
    memory = juju.Memory(charm)
    if not memory.there:
        raise Refused("the unit is starting or going; run the action again later")
    return juju.gather(charm, memory.holds), memory


def standing(charm: "RbgCharm", event: ops.ActionEvent) -> Standing:
    """What an action on a running group starts from.

    Raises:
        Refused: as `remembered`, or there is no group yet.
        Fault: the cluster cannot be asked.
    """
    inputs, memory = remembered(charm, event)
    leaving = inputs.holds.recreate
    live = find(charm.cluster, memory.api, inputs.groups, leaving=leaving)
    if live is None:
        raise Refused("there is no group on the cluster yet; see `juju status`")
    return Standing(inputs, memory, live)


def hold(charm: "RbgCharm", now: Standing, holds: Holds, roles: Sequence[str] = ()) -> None:
    """Hold something from now on, and bring it to the cluster.

    Args:
        charm: the charm.
        now: what the action started from.
        holds: what is to be held.
        roles: those it is about; a problem of one of them refuses it.

    Raises:
        Refused: it could not be done, and nothing was changed.
    """
    inputs = replace(now.inputs, holds=holds)
    plan = what_would_be(inputs, charm.cluster, now.memory.api, charm.left)
    for problem in plan.problems:
        if problem.role in roles or problem.of_config:
            raise Refused(str(problem))
    now.memory.holds = holds
    report = charm.report
    if report.fault and not (report.applied or report.replacing):
        now.memory.holds = now.holds
        if report.fault.blocked:
            charm.look_again()  # what was refused is not what the group is now
        raise Refused(f"nothing was changed: {report.fault}")


def cut(text: str) -> str:
    """A result value that an action can show.

    Raises:
        Refused: it is too long.
    """
    if len(text) > MAX_RESULT:
        raise Refused(f"the result has {len(text)} characters; an action can show {MAX_RESULT}")
    return text
