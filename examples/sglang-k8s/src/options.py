# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Typed config: the options of config.yaml, checked."""

import shlex
from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from charms.rbg_k8s.v0.rbg_role import Workload


class Mode(str, Enum):
    """What an engine does; `auto` follows the endpoint and the group."""

    AUTO = "auto"
    PLAIN = "plain"
    PREFILL = "prefill"
    DECODE = "decode"


def _words(value: Any) -> list[str]:
    try:
        return shlex.split(str(value))
    except ValueError as e:
        raise ValueError(f"cannot be split into words: {str(e).lower()}") from None


def _env(value: Any) -> dict[str, str]:
    pairs = [word.partition("=") for word in _words(value)]
    wrong = next((name for name, equals, _ in pairs if not (name and equals)), None)
    if wrong is not None:
        raise ValueError(f"must be NAME=value, separated by spaces; {wrong!r} is not")
    return {name: content for name, _, content in pairs}


_Word = Annotated[str, Field(pattern=r"^\S+$")]
_WordOrNone = Annotated[str, Field(pattern=r"^\S*$")]
_Port = Annotated[int, Field(ge=1, le=65535)]
_Amount = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?([KMGT]i?)?)?$")]
_Words = Annotated[list[str], BeforeValidator(_words)]


class Options(BaseModel):
    """The options of config.yaml; their meaning is described there."""

    model_config = ConfigDict(frozen=True)

    image: _Word
    router_image: _Word
    model: _WordOrNone
    mode: Mode
    replicas: int = Field(ge=0)
    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=0)
    scale_by: Annotated[str, Field(pattern=r"^[a-z-]+=[0-9.]+$")]
    partition: int = Field(ge=0)
    workload: Workload
    nodes: int = Field(ge=1)
    gpus: int = Field(ge=0)
    tensor_parallel: int = Field(ge=0)
    transfer_backend: _Word
    port: _Port
    worker_port: _Port
    shared_memory: _Amount
    start_seconds: int = Field(ge=6)
    start_after: _Words
    env: Annotated[dict[str, str], BeforeValidator(_env)]
    extra_args: _Words


def first_error(error: ValidationError) -> str:
    """The first invalid option and why, in one line."""
    first = error.errors(include_url=False)[0]
    option = str(first["loc"][0]).replace("_", "-")
    reason = first["msg"].removeprefix("Value error, ")
    return f"config {option}: {reason[0].lower()}{reason[1:]}"
