# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Group → Kubernetes objects: one module per RBG API version and one per neighbour.

Imports nothing by itself: the cluster room needs `strict` only, in every hook.
"""
