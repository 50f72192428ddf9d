# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The charms at work: real charm processes, with no Juju and no cluster of yours."""
