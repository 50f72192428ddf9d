"""Leads a hook to the Pebbles of its unit: ops asks for them below /charm, which only root makes.

Python imports this by itself, since `Pebbles.pythonpath` is on the hook's PYTHONPATH.
"""

import os
import socket
from typing import Any

_ROOT = os.environ.get("RIG_PEBBLES", "")
_UNIT = os.environ.get("JUJU_UNIT_NAME", "").replace("/", "-")
_PREFIX = "/charm/containers/"
_connect = socket.socket.connect


def _elsewhere(self: socket.socket, address: Any) -> None:
    if isinstance(address, str) and address.startswith(_PREFIX):
        address = f"{_ROOT}/{_UNIT}/{address[len(_PREFIX) :]}"
    _connect(self, address)


if _ROOT and _UNIT:
    socket.socket.connect = _elsewhere
