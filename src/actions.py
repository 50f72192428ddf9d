# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Typed action parameters and what the actions do; all of them run on the leader."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import ops
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import juju
from details import status_details
from faults import Fault
from inputs import Inputs
from reconcile import what_would_be

if TYPE_CHECKING:
    from charm import RbgCharm

MAX_RESULT = 100_000
"""Characters of one result value: ops hands it over as one argument, which holds 128 KiB."""


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scale(_Params):
    """Hold a replica count for a role, or give it back to the role charm."""

    role: str = Field(min_length=1)
    replicas: int | None = Field(None, ge=0)
    release: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "Scale":
        if (self.replicas is None) is not self.release:
            raise ValueError("say either replicas=<count> or release=true")
        return self


class ShowManifest(_Params):
    """Show what would be applied now."""

    format: Literal["yaml", "json"] = "yaml"


class StatusDetail(_Params):
    """Show every role with its pods, causes and problems."""


_Action = TypeVar("_Action", bound=_Params)


class _Refused(Exception):
    """What the user is told when an action cannot be done."""


def _params(model: type[_Action], event: ops.ActionEvent) -> _Action:
    try:
        return model.model_validate(dict(event.params))
    except ValidationError as e:
        error = e.errors(include_url=False)[0]
        field = ".".join(map(str, error["loc"]))
        reason = error["msg"].removeprefix("Value error, ")
        raise _Refused(f"{field}: {reason}" if field else reason) from None


def _inputs(charm: "RbgCharm", event: ops.ActionEvent) -> tuple[Inputs, juju.Memory]:
    if not charm.unit.is_leader():
        name = event.handle.kind.removesuffix("_action").replace("_", "-")
        raise _Refused(f"only the leader can; run `juju run {charm.app.name}/leader {name}`")
    memory = juju.Memory(charm)
    return juju.gather(charm, memory.holds), memory


def scale(charm: "RbgCharm", event: ops.ActionEvent) -> None:
    """Hold a role's replica count until it is released, and apply it at once."""
    try:
        params = _params(Scale, event)
        inputs, memory = _inputs(charm, event)
        known = [r.name for r in inputs.roles]
        released = params.release and params.role in inputs.holds  # its relation may have gone
        if params.role not in known and not released:
            raise _Refused(f"no role {params.role!r}; the roles are: {', '.join(known) or 'none'}")
        holds = {k: v for k, v in inputs.holds.items() if k != params.role}
        if params.replicas is not None:
            holds[params.role] = params.replicas
        _check_hold(charm, replace(inputs, holds=holds), memory, params.role)
    except (_Refused, Fault) as e:
        event.fail(str(e))
        return
    memory.holds = holds
    report = charm.report
    role = next((h for h in report.health if h.name == params.role), None)
    event.set_results(
        {
            "role": params.role,
            "replicas": str(role.desired if role else holds.get(params.role, "")),
            "held": str(params.role in holds).lower(),
            "status": charm.line.message,
        }
    )
    if report.fault:
        event.fail(f"kept, and applied as soon as possible: {report.fault}")


def _check_hold(charm: "RbgCharm", inputs: Inputs, memory: juju.Memory, role: str) -> None:
    """Refuse a count that would hold the role back, before it is stored."""
    plan = what_would_be(inputs, charm.cluster, memory.api, charm.left)
    for problem in plan.problems:
        if problem.role == role:
            raise _Refused(str(problem))


def show_manifest(charm: "RbgCharm", event: ops.ActionEvent) -> None:
    """Show what would be applied now, and what is held back."""
    try:
        params = _params(ShowManifest, event)
        inputs, memory = _inputs(charm, event)
        plan = what_would_be(inputs, charm.cluster, memory.api, charm.left)
    except (_Refused, Fault) as e:
        event.fail(str(e))
        return
    manifests: list[Mapping[str, Any]] = []
    if plan.manifests:
        manifests = [*plan.manifests.neighbours, plan.manifests.group]
    if params.format == "json":
        text = json.dumps(manifests, indent=1, sort_keys=True)
    else:
        text = yaml.safe_dump_all(manifests, sort_keys=True)
    results = {"api-version": plan.api.version, "problems": _numbered(plan.problems)}
    if len(text) > MAX_RESULT:
        event.fail(f"the manifest has {len(text)} characters; an action can show {MAX_RESULT}")
        return
    event.set_results({**results, "manifest": text})


def status_detail(charm: "RbgCharm", event: ops.ActionEvent) -> None:
    """Show everything that `juju status` has no room for."""
    try:
        _params(StatusDetail, event)
        _inputs(charm, event)
        details = status_details(charm.cluster, charm.report)
    except (_Refused, Fault) as e:
        event.fail(str(e))
        return
    results = {"status": f"{charm.line.kind}: {charm.line.message}", **details}
    event.set_results({**results, "problems": _numbered(charm.report.problems)})


def _numbered(problems: Any) -> dict[str, str]:
    return {str(i): str(problem) for i, problem in enumerate(problems, start=1)}
