# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

import pytest

import history
from history import Change


def test_the_oldest_changes_are_forgotten():
    text = ""
    for n in range(history.KEPT + 3):
        text = history.add(text, Change(f"{n:02d}", "config"))
    found = history.parse(text)
    assert [c.at for c in found] == [f"{n:02d}" for n in range(3, history.KEPT + 3)]


@pytest.mark.parametrize("text", ["{", '"x"', "[1]", '[["a"]]', "null"])
def test_what_cannot_be_read_is_no_history(text):
    assert history.parse(text) == []


@pytest.mark.parametrize(
    ("changes", "created", "causes"),
    [
        ("1a 5b", "2 6", "a b"),
        ("1a 2b", "2 3", "a b"),  # the second change came in the second of the first revision
        ("1a 5b", "1 5", "a b"),
        ("1a 3b", "4", "b"),  # RBG was away for the first
        ("5b", "2 6", "- b"),
        ("", "2", "-"),
    ],
)
def test_causes(changes, created, causes):
    said = [Change(c[0], c[1]) for c in changes.split()]
    assert history.causes(said, created.split()) == causes.replace("-", "").split(" ")
