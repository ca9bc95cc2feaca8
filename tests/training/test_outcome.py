"""What training leaves behind: curves anybody can read, and a folder that appears whole or not at all."""

import csv
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier
from tiny_rung import write_tokenizer
from torch import nn

from bitladder import files
from bitladder.modeling import checkpoint
from pipeline import paths, record
from pipeline.initialization.first_weights import of_quantizer
from pipeline.params import Params
from pipeline.record import Record
from pipeline.training.outcome import curve_csv, flips_csv, publish, sign_flips_since
from pipeline.training.state import Point

TABLE = "bert.embeddings.word_embeddings.weight"
CURVE = [Point(10, 0.123456789, None), Point(20, 1e-9, 0.5), Point(30, 2.0, None)]
DRAFT = Record("w1", "weights", "cola", digest="")


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    write_tokenizer(folder)
    return folder


def test_a_curve_has_a_row_per_point_and_an_empty_score_where_none_was_measured() -> None:
    assert curve_csv(CURVE) == "step,loss,score\n10,0.123457,\n20,1e-09,0.5\n30,2,\n"


def test_a_curve_without_points_is_its_header() -> None:
    assert curve_csv([]) == "step,loss,score\n"


def test_the_folder_is_published_with_its_own_digest_in_the_record(tokenizer: Path) -> None:
    model = classifier()
    finished = publish(model, model.config, DRAFT, CURVE, tokenizer_from=tokenizer)
    folder = Path("models/w1")
    assert files.verify(folder)["model.safetensors"] == finished.digest
    assert record.read(folder) == finished
    assert (folder / "curve.csv").read_text() == curve_csv(CURVE)


def test_what_cannot_be_written_leaves_the_folder_that_was_there(tokenizer: Path) -> None:
    model = classifier()
    before = publish(model, model.config, DRAFT, CURVE, tokenizer_from=tokenizer)
    with pytest.raises(AttributeError):
        publish(object(), model.config, DRAFT, CURVE, tokenizer_from=tokenizer)
    assert files.verify(Path("models/w1"))["model.safetensors"] == before.digest
    assert [path.name for path in Path("models").iterdir()] == ["w1"]


# sign flips


class Holder(nn.Module):
    """A model of given tensors."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.state = state

    def state_dict(self, *_: object, **__: object) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return self.state


def test_worked_by_hand() -> None:
    left_out = ("bert.pooler.dense.bias", "classifier.weight", "bert.pooler.dense.activation.shift")
    first = {TABLE: torch.tensor([[1.0, -1.0], [0.0, 2.0]])}
    last = {TABLE: torch.tensor([[-1.0, -3.0], [-0.5, 0.0]])}
    ones = dict(zip(left_out, (torch.ones(2), torch.ones(2, 2), torch.ones(2, 2)), strict=True))
    # 1 → -1 and 0 → -0.5 flip; -1 → -3 and 2 → 0 do not, for zero counts as positive.
    shares = sign_flips_since({**first, **ones})
    assert shares(Holder({**last, **{name: -tensor for name, tensor in ones.items()}})) == {TABLE: 0.5}
    assert shares(Holder(first)) == {TABLE: 0.0}


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_the_share_is_that_of_the_signs_turned(turned: list[bool]) -> None:
    first = torch.randn(1, len(turned)).abs() + 0.1
    last = torch.where(torch.tensor([turned]), -first, first)
    assert sign_flips_since({TABLE: first})(Holder({TABLE: last}))[TABLE] == pytest.approx(
        sum(turned) / len(turned), abs=1e-6
    )


def test_what_training_does_to_the_first_weights_in_place_does_not_change_what_is_compared() -> None:
    state = {TABLE: torch.ones(1, 4)}
    shares = sign_flips_since(state)
    state[TABLE].neg_()
    assert shares(Holder(state)) == {TABLE: 1.0}


def test_a_row_per_point_and_tensor() -> None:
    curve = [Point(1, 0.5, None, {"b": 0.25, "a": 0.0}), Point(2, 0.4, 0.9, {"a": 0.5, "b": 1.0})]
    assert flips_csv(curve) == "step,tensor,share\n1,a,0.0\n1,b,0.25\n2,a,0.5\n2,b,1.0\n"


@pytest.mark.parametrize("name", ["w1", "w1a1_random"])
def test_every_rung_has_a_curve_for_each_matrix_and_table(ladder: Params, name: str) -> None:
    folder = paths.model_dir(name)
    with (folder / paths.SIGN_FLIPS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / paths.CURVE).open(newline="") as file:
        steps = [row["step"] for row in csv.DictReader(file)]
    own = record.read(folder)
    assert sorted({row["tensor"] for row in rows}) == sorted(own.sign_flips)
    assert [row["step"] for row in rows if row["tensor"] == TABLE] == steps
    kept = {row["tensor"]: float(row["share"]) for row in rows if row["step"] == str(own.best_step)}
    assert kept == own.sign_flips


@pytest.mark.parametrize("name", ["w1", "w1a1_random"])
def test_the_record_has_the_share_of_every_matrix_and_table(ladder: Params, name: str) -> None:
    found = record.read(paths.model_dir(name)).sign_flips
    state = checkpoint.load_state(paths.model_dir(name))
    assert set(found) == {
        key for key, t in state.items() if t.dim() == 2 and not of_quantizer(key) and "classifier" not in key
    }
    assert all(0 <= share <= 1 for share in found.values())


def test_a_model_that_starts_from_nothing_of_the_kind_has_no_such_file(ladder: Params) -> None:
    assert not (paths.model_dir("teacher") / paths.SIGN_FLIPS).exists()
