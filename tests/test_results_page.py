"""The tables of docs/results.md are what the files in docs/results/ say, printed by the command it names."""

from pathlib import Path

import pytest
from made_up import params

from pipeline.evaluation import results
from pipeline.reporting import columns, compare

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
FOLDER = ROOT / "docs" / "results"
TABLES = ["*.json", "longer/*.json"]


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_are_what_the_command_prints(table: str) -> None:
    sources = sorted(FOLDER.glob(table))
    assert sources
    printed = compare.markdown(columns.compare([compare.read(str(path)) for path in sources]))
    begin = f"<!-- bitladder compare docs/results/{table} --markdown -->\n\n"
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(begin)[2].partition("\n<!-- end of it -->\n")[0] == printed


@pytest.mark.parametrize(
    "experiment", [path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.json")]
)
def test_a_file_has_what_the_experiment_of_its_name_makes(experiment: str, tmp_path: Path) -> None:
    """A table made with other rungs, seeds, durations or claims than the command there has would show."""
    found = results.read(FOLDER / f"{experiment}.json")
    made_by = params(tmp_path, f"experiment={experiment}", "data.root=/data")
    models = found.models
    assert found.task == made_by.task.name
    assert models.keys() == {"teacher", *made_by.deliver}
    assert {tuple(model.by_seed()) for model in models.values()} == {tuple(map(str, sorted(made_by.seeds)))}
    assert {name: models[name].steps for name in made_by.deliver} == {
        name: made_by.duration_of(made_by.rungs[name]).steps for name in made_by.deliver
    }
    assert [(claim.claim, *claim.rungs) for claim in found.claims] == [
        (claim.claim, claim.better, claim.worse) for claim in made_by.claims
    ]
