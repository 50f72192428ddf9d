# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Typed config. An invalid option is a problem with the option's name, never a traceback."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from charms.rbg_k8s.v0.rbg_role import ModelSettings, ModelStorage
from problems import Problem


class CharmConfig(BaseModel):
    """The options of config.yaml."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=lambda name: name.replace("_", "-")
    )

    model: str = ""
    served_model_name: str = ""
    model_storage: ModelStorage | None = None
    groups: int = 1

    @field_validator("groups")
    @classmethod
    def _one_at_least(cls, value: int) -> int:
        if value < 1:
            raise ValueError("must be 1 or more")
        return value

    @field_validator("model", "served_model_name")
    @classmethod
    def _one_word(cls, value: str) -> str:
        if value != "".join(value.split()):
            raise ValueError("must not contain white space")
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
    def settings(self) -> ModelSettings:
        """What the role charms are told about the model."""
        return ModelSettings(
            name=self.model, served_name=self.served_model_name, storage=self.model_storage
        )


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
