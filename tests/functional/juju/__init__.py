"""Tests of the Juju model in miniature."""
