"""results.json has one shape, which writes and reads it: the same bytes, and nothing half or old is taken."""

import json
from pathlib import Path
from typing import Any

import pytest

from bitladder import files
from pipeline import paths
from pipeline.evaluation import results
from pipeline.record import OtherFormatError

ROOT = Path(__file__).parents[2]
REAL = sorted((ROOT / "docs" / "results").glob("**/*.json"))
COLA = ROOT / "docs" / "results" / "cola.json"


@pytest.mark.parametrize("path", REAL, ids=[str(path.relative_to(ROOT)) for path in REAL])
def test_real_results_come_back_as_the_same_bytes(path: Path, tmp_path: Path) -> None:
    results.write(tmp_path / "again.json", results.read(path))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_of_another_seed_its_models_are_kept_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = results.of_seed(results.read(COLA), seed=4)
    results.write(paths.seed_results(4), kept)
    assert results.read_seed(4) == kept
    written = files.read_json(paths.seed_results(4))
    assert set(written) == {"seed", "format", "task", "kind", "metrics", "split", "rows"} | {
        "checkpoint_selected_on",
        "models",
    }
    assert not {"seeds", "unusual"} & written["models"]["w1"].keys()
    assert kept.models["w1"].by_seed() == {"0": kept.models["w1"].score}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, r"\(format: Input should be 3\)"),
        ({"format": ..., "models": ...}, r"\(format: Field required\)"),
        ({"majority_score": ...}, r"\(majority_score: Field required\)"),
        ({"rows": {"validation": "many"}}, r"\(rows\.validation: Input should be a valid integer\)"),
        (
            {"majority": {"validation": float("nan")}},
            r"\(majority\.validation: Input should be a finite number\)",
        ),
        ({"remarks": "none"}, r"\(remarks: Extra inputs are not permitted\)"),
    ],
)
def test_an_old_or_damaged_file_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    found = {**files.read_json(COLA), **changes}
    (tmp_path / "x.json").write_text(json.dumps({k: v for k, v in found.items() if v is not ...}))
    with pytest.raises(
        OtherFormatError, match=rf"x\.json: .*{said}; `dvc repro evaluate` writes it anew"
    ) as e:
        results.read(tmp_path / "x.json")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 3', "no JSON"])
def test_what_is_no_results_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(OtherFormatError, match=r"x\.json: not as this version .* writes it \(the file: "):
        results.read(tmp_path / "x.json")


def test_without_seeds_a_model_s_numbers_are_its_own() -> None:
    found = results.read(ROOT / "docs" / "results" / "sst2.json")  # of one seed
    teacher, w8 = (found.models[name].model_copy(update={"seeds": None}) for name in ("teacher", "w8"))
    assert (w8.means.mean, w8.means.gap_mean, w8.means.std, w8.num_seeds) == (w8.score, w8.gap, None, 1)
    assert w8.by_seed() == {"0": w8.score}
    of_accuracy = found.models["w8"].means_of("validation", "accuracy", teacher)
    assert w8.means_of("validation", "accuracy", teacher) == of_accuracy
