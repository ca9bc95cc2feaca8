"""The stage `augment`: what it writes, what its summary says, and what it does without a masked-LM head."""

from pathlib import Path

import made_up
import pandas as pd
import pytest

from bitladder import files
from bitladder.files import IntegrityError
from pipeline.data.augmentation import METHODS
from pipeline.data.splits import text_keys
from pipeline.data.tables import read_split
from pipeline.params import Params
from pipeline.stages import augment, prepare

EVERY = tuple(f"augmentation.{method}=1" for method in METHODS)
USERS = (
    "weights.w1",
    *(f"weights_activations.{name}" for name in ("w1a1", "w1a8_direct_start", "w1a1_random")),
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ready(task: str, *overrides: str, masked_lm: bool = True) -> Params:
    """A project in which `prepare` and `pretrained` have run."""
    params = made_up.task_params(Path(), task, made_up.glue(Path("source"), task), *overrides)
    prepare.run(params, None)
    made_up.bert(Path("models/pretrained"), masked_lm=masked_lm)
    return params


def augmented(params: Params) -> tuple[pd.DataFrame, dict[str, object]]:
    augment.run(params, None)
    folder = Path("data") / params.task.name / "augmented"
    digests = files.verify(folder)
    summary = files.read_json(folder / "summary.json")
    assert digests["train.parquet"] == summary["sha256"]
    return read_split(folder, "train"), summary


@pytest.mark.parametrize("task", made_up.TASKS)
def test_every_task_has_its_originals_first_and_the_rows_the_summary_counts(task: str) -> None:
    params = ready(task, *EVERY)
    rows, summary = augmented(params)
    train = read_split(Path("data") / task / "plain", "train")
    pd.testing.assert_frame_equal(rows.iloc[: len(train)].drop(columns="origin"), train)
    counts = rows["origin"].value_counts().to_dict()
    told = summary["rows"]
    assert isinstance(told, dict)
    assert counts == {origin: number for origin, number in told.items() if number}
    assert counts["contextual"] > 0
    assert counts["embedding"] > 0
    assert summary["left_out"] == {}
    labels = dict(zip(train["idx"], train["label"], strict=True))
    assert rows["label"].tolist() == [labels[number] for number in rows["idx"]]


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others() -> None:
    params = ready("mrpc", *EVERY)
    (first, summary), (_, again) = augmented(params), augmented(params)
    assert summary == again
    rows, _ = augmented(params.model_copy(update={"seed": 1}))
    assert not rows.equals(first)


def test_without_a_masked_lm_head_the_other_methods_run_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, summary = augmented(ready("cola", *EVERY, masked_lm=False))
    assert set(rows["origin"]) == {"original", "embedding", "swap", "delete"} | (
        {"spelling"} & set(rows["origin"])
    )
    left_out = summary["left_out"]
    assert isinstance(left_out, dict)
    assert "no masked-LM head" in left_out["contextual"]
    assert (
        "augment cola: contextual left out: the pre-trained model has no masked-LM" in capsys.readouterr().out
    )


def test_counts_seed_and_share_of_changed_rows_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    augmented(ready("cola", "augmentation.contextual=1", "augmentation.embedding=0"))
    told = capsys.readouterr().out
    assert "augment contextual 1: row 48 of 48" in told
    assert "augment cola contextual: 4" in told
    assert "share changed 1.000; seed 0" in told


def test_methods_that_need_no_model_do_without_one() -> None:
    params = ready("cola", "augmentation.contextual=0", "augmentation.embedding=0", "augmentation.swap=1")
    (Path("models/pretrained/model.safetensors")).unlink()
    rows, _ = augmented(params)
    assert set(rows["origin"]) == {"original", "swap"}


def test_nothing_asked_for_writes_the_originals() -> None:
    none = (f"augmentation.{method}=0" for method in METHODS)
    plain = (f"{rung}.data=plain" for rung in USERS)
    params = ready("cola", *plain, *none)
    rows, summary = augmented(params)
    assert set(rows["origin"]) == {"original"}
    assert summary["rows"] == {"original": 48, **dict.fromkeys(METHODS, 0)}


def test_a_cap_bounds_the_new_rows() -> None:
    rows, _ = augmented(ready("cola", *EVERY, "augmentation.max_rows=30"))
    assert 0 < (rows["origin"] != "original").sum() <= 30


def test_no_new_row_stands_in_a_split_that_judges() -> None:
    params = ready("cola", "augmentation.contextual=0", "augmentation.embedding=0", "augmentation.swap=1")
    first, _ = augmented(params)
    made = first[first["origin"] == "swap"].head(6)
    validation = made_up.rows("cola", 6, seed=2).assign(sentence=made["sentence"].str.upper().tolist())
    made_up.write(Path("source/glue/cola/validation.parquet"), validation)
    prepare.run(params, None)
    rows, summary = augmented(params)
    assert not set(text_keys(made, ["sentence"])) & set(text_keys(rows, ["sentence"]))
    methods = summary["methods"]
    assert isinstance(methods, dict)
    assert methods["swap"]["held_out"] == 6


@pytest.mark.parametrize("changed", ["data/cola/plain/train.parquet", "models/pretrained/model.safetensors"])
def test_inputs_that_are_not_what_was_written_are_refused(changed: str) -> None:
    params = ready("cola")
    content = Path(changed).read_bytes()
    Path(changed).write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    with pytest.raises(IntegrityError, match="manifest says"):
        augment.run(params, None)
    assert not Path("data/cola/augmented").exists()
