# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Typed config. An invalid option is a problem with the option's name, never a traceback."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from charms.rbg_k8s.v0.rbg_role import ModelSettings, ModelStorage
from problems import Problem

_TOGETHER = re.compile(r"[a-z0-9-]+(,[a-z0-9-]+)+(:(100|[1-9][0-9]?)%)?")


@dataclass(frozen=True)
class Autoscaling:
    """Who owns the counts of roles that say `scaling`.

    Attributes:
        by: "hpa", "keda", or "none" where the role charms' own counts stand.
        prometheus: address that KEDA asks.
        together: roles that grow in step.
        skew: how far one may be ahead of another, e.g. "20%".
    """

    by: str = "hpa"
    prometheus: str = ""
    together: tuple[str, ...] = ()
    skew: str = "20%"

    @property
    def keda(self) -> bool:
        """Whether it is KEDA."""
        return self.by == "keda"


class CharmConfig(BaseModel):
    """The options of config.yaml."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=lambda name: name.replace("_", "-")
    )

    model: str = ""
    served_model_name: str = ""
    model_storage: ModelStorage | None = None
    autoscaler: Literal["hpa", "keda", "none"] = "hpa"
    prometheus_url: str = ""
    scale_together: str = ""
    groups: int = 1

    @field_validator("groups")
    @classmethod
    def _one_at_least(cls, value: int) -> int:
        if value < 1:
            raise ValueError("must be 1 or more")
        return value

    @field_validator("model", "served_model_name", "prometheus_url")
    @classmethod
    def _one_word(cls, value: str) -> str:
        if value != "".join(value.split()):
            raise ValueError("must not contain white space")
        return value

    @field_validator("scale_together")
    @classmethod
    def _roles_and_skew(cls, value: str) -> str:
        if value and not _TOGETHER.fullmatch(value):
            raise ValueError("must be <role>,<role>[:<percent>], e.g. engine,decoder:20%")
        return value

    @field_validator("model_storage", mode="before")
    @classmethod
    def _claim_and_path(cls, value: str) -> ModelStorage | None:
        if not value:
            return None
        claim, colon, path = value.partition(":")
        if not claim or not colon or not path.startswith("/"):
            raise ValueError("must be <claim>:<mount path>, e.g. llm-models:/models")
        return ModelStorage(claim=claim, mount_path=path)

    @property
    def autoscaling(self) -> Autoscaling:
        """Who owns the counts of roles that say `scaling`."""
        roles, _, skew = self.scale_together.partition(":")
        together = tuple(roles.split(",")) if roles else ()
        return Autoscaling(self.autoscaler, self.prometheus_url, together, skew or "20%")

    @property
    def settings(self) -> ModelSettings:
        """What the role charms are told about the model."""
        return ModelSettings(
            name=self.model, served_name=self.served_model_name, storage=self.model_storage
        )


def unsupported(application: str, config: CharmConfig, version: str, groups: int) -> list[Problem]:
    """Options that the cluster's RBG API cannot do, or not with so many groups."""
    reason = ""
    if config.scale_together and version == "v1alpha1":
        reason = "needs RBG 0.7 or later"
    elif config.scale_together and groups > 1:  # a policy has its one group's name (trap 5)
        reason = "works on one group only; leave it empty or run scale groups=1"
    return [Problem(application, "", "config scale-together", reason)] if reason else []


def load(application: str, options: Mapping[str, Any]) -> tuple[CharmConfig, list[Problem]]:
    """The config, or the defaults and what is wrong with it.

    Args:
        application: this charm's application.
        options: option name → value, as Juju has them.
    """
    try:
        return CharmConfig.model_validate(dict(options)), []
    except ValidationError as e:
        problems = [
            Problem(
                application,
                "",
                f"config {error['loc'][0]}",
                " ".join(error["msg"].removeprefix("Value error, ").split()),
            )
            for error in e.errors(include_url=False)
        ]
        return CharmConfig(), problems
