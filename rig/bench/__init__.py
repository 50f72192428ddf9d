# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What an idle hook costs, as ratios to a bare ops charm measured in the same run.

Each dispatch is a real process of the charm with stub hook tools (dash scripts: about 1 ms of
CPU) against the embedded cluster over HTTP. `tox -e bench` writes docs/performance.md and fails
where a bound is passed.
"""
