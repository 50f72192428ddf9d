#!/usr/bin/env python3
# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The least an ops charm does in a hook: the unit of the benchmark."""

import ops


class BareCharm(ops.CharmBase):
    """Sets its status."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        framework.observe(self.on.collect_unit_status, self._on_collect_status)

    def _on_collect_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(ops.ActiveStatus())


if __name__ == "__main__":
    ops.main(BareCharm)
