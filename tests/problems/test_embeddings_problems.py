"""What a sentence encoder's params.yaml and folder may not say."""

import json
from pathlib import Path

import made_up
import pytest

from pipeline.params_file import ParamsError
from pipeline.problems import model_folder

CHOSEN = ("task=embeddings", "model=minilm", "ladder=embeddings", "data.corpus=text.txt")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("teacher.source=path", "teacher.location=bert"), "the teacher of embeddings is the model itself"),
        (("data.corpus=null",), "data.corpus: missing; embeddings learn from text"),
        (("data.corpus=validation.txt",), "a split that models are judged by"),
        (("data.source=path", "data.root=/data"), "data.source: path does not fit embeddings; write corpus"),
        (("distillation.labels=1.0",), "distillation.labels: 1, but embeddings has no labels; write 0"),
        (("weights_activations.w1a8.width=0.5",), "which heads matter is found by labels"),
        (("task.judged_by=[{name: retrieval}]",), "task.judged_by[0]: needs a file, or held_out"),
        (("task.judged_by=[{name: retrieval, file: a.csv, held_out: 0.1}]",), "one of both"),
        (("task.judged_by=[{name: retrieval, file: a.csv}]",), "task.judged_by[0].columns: missing"),
        (("task.judged_by=[{name: retrieval, held_out: 0.1, label: x}]",), "those of a file; leave them out"),
    ],
)
def test_what_does_not_fit_an_encoder_is_refused(
    tmp_path: Path, overrides: tuple[str, ...], told: str
) -> None:
    (tmp_path / "bert").mkdir()
    with pytest.raises(ParamsError) as caught:
        made_up.params(tmp_path, *CHOSEN, *(f"++{one}" if "width" in one else one for one in overrides))
    assert told in str(caught.value)


def test_text_alone_is_for_encoders(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="corpus does not fit classification"):
        made_up.params(tmp_path, "task=mrpc", "model=minilm", "data.source=corpus")


@pytest.mark.parametrize(
    ("values", "is_fine"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, True),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, False),
        ({"pooling_mode": "mean"}, True),
        ({"pooling_mode": "cls"}, False),
    ],
)
def test_only_the_mean_of_the_tokens_is_made_here(
    tmp_path: Path, values: dict[str, object], is_fine: bool
) -> None:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(values))
    found = list(model_folder.pooling_problems(tmp_path, field="model.location"))
    assert not found if is_fine else "only the mean of the tokens" in found[0]
