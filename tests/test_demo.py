"""What `make demo` must have left behind. Run by CI after it; left out of the usual tests."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import params_file, paths
from pipeline.tracking import execution, store

README = Path(__file__).parents[1] / "README.md"

pytestmark = pytest.mark.demo


def bitladder(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "bitladder.cli", *arguments, "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def tags_of_the_champion() -> dict[str, str]:
    """Only read: `bitladder best` would appoint one, and could not miss it."""
    name = execution.registered_model(params_file.load(paths.PARAMS).task.name)
    with store.opened(store.locate()) as client:
        version = client.get_model_version_by_alias(name, "champion")
    return {key.removeprefix("bitladder."): value for key, value in version.tags.items()}


def test_the_registry_has_a_one_bit_champion_whose_lineage_reaches_the_teacher() -> None:
    champion = tags_of_the_champion()
    lineage = bitladder("lineage", champion["name"])
    assert lineage["verified"]
    assert lineage["chain"][0]["digest"] == champion["digest"]
    assert lineage["chain"][0]["bits"]["weights"] == int(champion["weight_bits"]) == 1
    assert "teacher" in [model["name"] for model in lineage["chain"]]


def test_the_bits_matter() -> None:
    results = bitladder("results")
    models = results["models"]
    assert results["majority"]["validation"] < 0.6
    assert models["teacher"]["score"] >= 0.95
    assert models["w8"]["score"] > models["w1a8"]["score"] > models["w1a1"]["score"]


def test_claims_are_judged_at_equal_steps_and_equal_data() -> None:
    claims = bitladder("results")["claims"]
    assert len(claims) == 2
    assert all(claim["equal_steps"] and claim["unequal"] == [] for claim in claims)


def test_every_packed_rung_answers_as_it_was_trained_to() -> None:
    for name in bitladder("results")["models"]:
        if name != "teacher":
            agreement = json.loads((Path("packed") / name / "agreement.json").read_text())
            split = agreement["splits"]["validation"]
            assert split["label_agreement"] == 1.0
            assert split["largest_logit_difference"] <= agreement["tolerance"]


def test_readme_shows_this_table() -> None:
    """Scores depend on the processor's last bits; bits, parents and sizes do not."""
    command = [sys.executable, "-m", "bitladder.cli", "results"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    page = README.read_text(encoding="utf-8")
    assert re.findall(r"^Score: .*", page, re.MULTILINE)[0] in printed
    shown, made = rows(page), rows(printed)
    assert len(made) == 10
    assert shown.keys() == made.keys()
    for name, (*same, score) in made.items():
        *expected, once = shown[name]
        assert same == expected
        assert float(score) == pytest.approx(float(once), abs=0.1)


def rows(text: str) -> dict[str, list[str]]:
    """Of each row of the table: W, E, A, from, MiB, ratio and, last, the score."""
    row = re.compile(
        r"^(\w+) +(\d+) +(\d+) +(\d+)  (\w+) +([\d.]+) +\S+ +([\d.]+) +([\d.]+) +(?:\d+|-) *$", re.MULTILINE
    )
    return {
        name: [w, e, a, parent, mib, ratio, score]
        for name, w, e, a, parent, score, mib, ratio in row.findall(text)
    }
