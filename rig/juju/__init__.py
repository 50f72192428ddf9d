"""A Juju model in miniature: several charms, each hook a real process, no Juju.

It is made for the demo, the functional suite, the benchmark and the crash tests. It plays the
rules of Juju that a charm can see: the order of the hooks, the databags and who may touch them,
writes that land only when a hook exits 0, secrets, leadership, action schemas, refusals. Each
rule names the document, or the observation of a real controller, that it copies.

It proves nothing of Juju itself: where Juju differs from this model, this model is wrong.

Left out: time (leases, update-status and retries come when asked for), hooks of two units at
once, storage, subordinates, cross-model relations, expiry and rotation of secrets (`Model.emit`
plays them), and that a pair that is integrated anew may never be joined (seen
once on a real Juju 4, cause unknown). Pebble is the genuine one, where asked for (`pebbles`).
"""

from .errors import ActionRefusedError, HookFailedError, JujuError, NotSettledError
from .model import Model
from .records import ActionResult, HookRecord
from .table import print_status, status_table

__all__ = [
    "ActionRefusedError",
    "ActionResult",
    "HookFailedError",
    "HookRecord",
    "JujuError",
    "Model",
    "NotSettledError",
    "print_status",
    "status_table",
]
