# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""docs/status.md and README.md say what the code says."""

import re

import faults
from tests.unit.conftest import ROOT
from tests.unit.test_charm import ACTIONS, META, NO_ROLE, TRUST

STATUS = (ROOT / "docs/status.md").read_text()
README = (ROOT / "README.md").read_text()


def test_the_fixed_texts_are_documented():
    for text in (NO_ROLE, TRUST, faults.INSTALL_RBG, faults.INSTALL_CONVERSION):
        assert text in STATUS


def test_every_phrase_of_the_documentation_is_in_the_code():
    code = "".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))
    for phrase in (
        "cannot pull image",
        "cannot start container",
        "runs out of memory",
        "crashes",
        "unschedulable, ",
        "no node matches its affinity or selector",
        "cannot mount a volume: ",
        "cannot create pods: ",
        "updating, ",
        "scaling down from ",
        "scaling to zero",
        "stuck on a broken revision",
        "replacing pods that RBG left behind",
        "update waits for",
        "waiting for the RBG controller",
        "scaled to zero",
        "unknown field; correct its spelling",
    ):
        assert phrase in code
        assert phrase.strip() in STATUS


def test_every_action_and_endpoint_is_in_the_readme():
    for name in (*ACTIONS, *META["requires"]):
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", README), name


def test_every_link_of_the_documentation_leads_somewhere():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
