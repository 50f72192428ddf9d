"""What a pod can be changed into without being made anew: other images, other metadata."""

from __future__ import annotations

import copy
from typing import Any

from rig.standin.names import Obj


def possible(pod: Obj, made_of: Obj | None, template: Obj) -> bool:
    """Whether only images and metadata of a pod differ from a template.

    Args:
        pod: the pod.
        made_of: the template it was made of, where that is remembered.
        template: what it is to become.
    """
    if made_of is not None:
        return _shape(made_of) == _shape(template)
    # Of a former life: nothing may be missing, what is too much goes unnoticed.
    return _covers(pod["spec"], _shape(template))


def _shape(template: Obj) -> Obj:
    spec = copy.deepcopy(template["spec"])
    for container in spec.get("containers") or []:
        container.pop("image", None)
    return spec


def _covers(live: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(live, dict):
        return all(_covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) <= len(live) and all(map(_covers, live, wanted))
    return live == wanted
