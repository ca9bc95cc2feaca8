"""`durations` tells DVC which rungs another rung's steps concern, and no others."""

from pathlib import Path

import made_up
import pytest
from ruamel.yaml import YAML

from bitladder import files
from pipeline import paths
from pipeline.stages import durations

ROOT = Path(__file__).parents[2]


def digests(*overrides: str) -> dict[str, str]:
    durations.run(made_up.params(Path(), *overrides))
    return files.verify(paths.data_dir("demo", "durations"))


def test_every_rung_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digests("ladder=direct", "+weights.w8.duration={epochs: 2}")
    folder = paths.data_dir("demo", "durations")
    assert files.read_json(folder / "w8.json") == {"epochs": 2}
    assert files.read_json(folder / "w1a1.json") == {"steps": 600}


def test_another_rungs_steps_concern_only_who_is_equal_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, after = digests(), digests("+weights_activations.w1a8.duration={steps: 250}")
    changed = {name for name in before if before[name] != after[name]}
    # Of two_stage: w1a8_direct is equal to w1a8 and w1a1_random to w1a1, which has w1a8 on its way.
    assert changed == {"w1a8.json", "w1a8_direct.json", "w1a1_random.json"}


def test_every_rung_depends_on_its_own_file() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in ("weights", "weights_activations"):
        assert "data/${task.name}/durations/${key}.json" in stages[stage]["do"]["deps"]
