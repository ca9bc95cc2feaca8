"""README's results are what the files in docs/results/ say, printed by the command that README names."""

from pathlib import Path

import pytest
from made_up import params

from pipeline import files
from pipeline.reporting import compare, comparison

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = sorted((ROOT / "docs" / "results").glob("*.json"))
BEGIN, END = "<!-- bitladder compare docs/results/*.json --markdown -->\n\n", "\n<!-- end of it -->\n"


def printed() -> str:
    return compare.markdown(comparison.compare([compare.read(str(path)) for path in RESULTS]))


def test_the_tables_are_what_the_command_prints() -> None:
    assert RESULTS
    text = README.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == printed()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_file_has_what_the_experiment_of_its_name_makes(path: Path, tmp_path: Path) -> None:
    """A table made with other rungs, seeds, durations or claims than README's command has would show here."""
    found, made_by = files.read_json(path), params(tmp_path, f"experiment={path.stem}", "data.root=/data")
    models = found["models"]
    assert found["task"] == made_by.task.name
    assert models.keys() == {"teacher", *made_by.deliver}
    assert {tuple(model["seeds"]["scores"]) for model in models.values()} == {
        tuple(map(str, sorted(made_by.seeds)))
    }
    assert {name: models[name]["steps"] for name in made_by.deliver} == {
        name: made_by.duration_of(made_by.rungs[name]).steps for name in made_by.deliver
    }
    assert [(claim["claim"], *claim["rungs"]) for claim in found["claims"]] == [
        (claim.claim, claim.better, claim.worse) for claim in made_by.claims
    ]
