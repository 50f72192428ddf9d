# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""docs/status.md and README.md say what the code says."""

import re

import faults
import scaling
from tests.unit.conftest import ROOT
from tests.unit.test_charm import ACTIONS, CONFIG, META, NO_ROLE, TRUST

STATUS = (ROOT / "docs/status.md").read_text()
README = (ROOT / "README.md").read_text()


def test_the_fixed_texts_are_documented():
    for text in (
        NO_ROLE,
        TRUST,
        faults.INSTALL_RBG,
        faults.INSTALL_CONVERSION,
        faults.INSTALL_KEDA,
    ):
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
        "run rollout-resume",
        "leaving",
        "paused",
        "unknown field; correct its spelling",
    ):
        assert phrase in code
        assert phrase.strip() in STATUS


def test_every_action_and_endpoint_is_in_the_readme():
    for name in (*ACTIONS, *META["requires"]):
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", README), name


def test_every_metric_preset_is_documented_with_its_series():
    page = (ROOT / "docs/autoscaling.md").read_text()
    for preset, series in scaling.PRESETS.items():
        assert f"| `{preset}` | `{series}` |" in page
    assert scaling.query("sglang:num_queue_reqs", "ml", "llama-engine") in page


def test_every_option_is_in_the_readme_or_a_page():
    pages = "".join(f.read_text() for f in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    for option in CONFIG["options"]:
        assert f"`{option}" in pages or f"{option}=" in pages, option


def test_every_link_of_the_documentation_leads_somewhere():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
