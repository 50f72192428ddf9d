# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the charm is run against: Juju, Kubernetes and RBG, each played or real."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout: the charm's own directory."""
