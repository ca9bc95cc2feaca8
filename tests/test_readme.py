"""README's results are what the files in docs/results/ say, printed by the command that README names."""

from pathlib import Path

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
    text = README.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == printed()


def test_each_file_has_every_model_and_seed_of_the_experiment_that_made_it(tmp_path: Path) -> None:
    assert RESULTS
    for path in RESULTS:
        found = files.read_json(path)
        made_by = params(tmp_path, f"experiment={path.stem}", "data.root=/data")
        assert found["task"] == made_by.task.name
        assert found["models"].keys() == {"teacher", *made_by.deliver}
        assert {model["seeds"]["num_seeds"] for model in found["models"].values()} == {len(made_by.seeds)}
        assert [claim["rungs"] for claim in found["claims"]] == [
            [claim.better, claim.worse] for claim in made_by.claims
        ]


def test_each_model_has_the_steps_that_the_experiment_says(tmp_path: Path) -> None:
    """A table made with other durations than those that README's command has would show here."""
    for path in RESULTS:
        made_by = params(tmp_path, f"experiment={path.stem}", "data.root=/data")
        models = files.read_json(path)["models"]
        assert {name: models[name]["steps"] for name in made_by.deliver} == {
            name: made_by.duration_of(made_by.rungs[name]).steps for name in made_by.deliver
        }
