"""Reads a Juju bundle. Juju document: "Bundle" (reference)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import JujuError


@dataclass(frozen=True)
class BundleApp:
    """One application of a bundle."""

    charm: Path
    units: int
    trust: bool
    options: dict[str, Any]


def read_bundle(
    path: Path, charms: Mapping[str, Path]
) -> tuple[dict[str, BundleApp], list[tuple[str, str]]]:
    """The applications and the relations of a bundle file.

    Args:
        path: the bundle.
        charms: the directory for a charm, by what the bundle calls it. It is needed for names
            of Charmhub; a local path is taken relative to the bundle and must be unpacked.
    """
    raw: dict[str, Any] = yaml.safe_load(path.read_text())
    apps: dict[str, BundleApp] = {}
    for name, app in raw["applications"].items():
        charm = str(app["charm"])
        if charm in charms:
            directory = Path(charms[charm])
        elif charm.startswith((".", "/")):
            directory = path.parent / charm
        else:
            raise JujuError(f'cannot resolve charm or bundle "{charm}": not found')
        units = app.get("scale", app.get("num_units", 1))
        apps[name] = BundleApp(directory, units, app.get("trust", False), app.get("options") or {})
    relations: list[list[str]] = raw.get("relations") or []
    return apps, [(one, other) for one, other in relations]
