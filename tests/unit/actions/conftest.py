# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The charm as in test_charm: actions are events like any other."""

from tests.unit.test_charm import api, ctx

__all__ = ["api", "ctx"]
