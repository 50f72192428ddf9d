"""Takes the real control plane into this directory's tests."""

from rig.controlplane.pytest_plugin import control_plane

__all__ = ["control_plane"]
