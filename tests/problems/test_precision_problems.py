"""A weight quantizer or a group that cannot be is refused, with what would do."""

from pathlib import Path

import pytest
from changed_params import Refusals
from changed_rungs import problems
from made_up import bert, params

from bitladder.quantizers.names import WEIGHTS
from pipeline.params_file import ParamsError

NAME, GROUP = "weights.w2.weight_quantizer", "weights.w2.group_size"
SCALE = "weights.w2.scale_bits"
GROUPS = ("weights.w2.granularity", "group")


@pytest.mark.parametrize(("bits", "name"), [(b, n) for n, named in WEIGHTS.items() for b in named.bits])
def test_every_quantizer_is_accepted_at_each_of_its_widths(refusals: Refusals, bits: int, name: str) -> None:
    rung = {1: "w1", 2: "w2", 4: "w4", 8: "w8"}[bits]
    assert refusals((f"weights.{rung}.weight_quantizer", name)) == []
    assert (
        refusals((f"weights.{rung}.weight_quantizer", name), (f"weights.{rung}.embedding_bits", bits)) == []
    )


@pytest.mark.parametrize("group_size", [1, 16, 32])
def test_groups_that_fill_every_row_are_accepted(refusals: Refusals, group_size: int) -> None:
    assert refusals(GROUPS, (GROUP, group_size)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [(NAME, "lta")],
            f"{NAME}: no weight quantizer 'lta'; did you mean 'lat'? for bits 2: twn, lat, lsq, min_max",
        ),
        ([(NAME, "gptq")], f"{NAME}: no weight quantizer 'gptq'; for bits 2: twn, lat, lsq, min_max"),
        (
            [(NAME, "bwn")],
            f"{NAME}: bwn needs bits 1, not 2; for 2: twn, lat, lsq, min_max",
        ),
        (
            [("weights_activations.w1a8.weight_quantizer", "lsq")],
            "weights_activations.w1a8.weight_quantizer: lsq needs bits 2, 4, 8, not 1; for 1: ",
        ),
        ([(NAME, 2)], f"{NAME}: 2 is a whole number; expected text"),
        ([GROUPS], f"{GROUP}: missing; granularity: group needs how many neighbours share a scale"),
        ([(GROUP, 32)], f"{GROUP}: only for granularity: group, and it is row; leave it out"),
        (
            [(GROUP, 32), ("weights.w2.granularity", "matrix")],
            f"{GROUP}: only for granularity: group, and it is matrix",
        ),
        ([GROUPS, (GROUP, 48)], f"{GROUP}: 48 does not divide the model's hidden_size"),
        ([(SCALE, 8), (GROUPS[0], "matrix")], f"{SCALE}: 8 is for granularity: row, and it is matrix"),
        ([(SCALE, 4)], f"{SCALE}: 4 is not allowed; allowed: 8, 16"),
        ([GROUPS, (GROUP, 0)], f"{GROUP}: 0 is not allowed"),
        ([GROUPS, (GROUP, "64")], f"{GROUP}: '64' is text; expected a whole number"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    assert any(found.startswith(problem) for found in refusals(*changes)), refusals(*changes)


@pytest.mark.parametrize(
    ("rung", "fields", "problem"),
    [
        ("w1_split", {"weight_quantizer": "bwn"}, None),
        ("w2_half", {"weight_quantizer": "twn"}, None),
        (
            "w1_split",
            {"weight_quantizer": "bwn_zero_mean"},
            "weights.w1_split.weight_quantizer: bwn_zero_mean does not fit split: true; write bwn",
        ),
        (
            "w2_half",
            {"weight_quantizer": "lat"},
            "weights.w1_split.split: needs a parent quantized by twn, and w2_half is by lat",
        ),
        (
            "w2_half",
            {"granularity": "group", "group_size": 8},
            "weights.w1_split.split: needs the scales of its parent w2_half; write "
            "granularity: group and group_size: 8",
        ),
        (
            "w2_half",
            {"scale_bits": 16},
            "weights.w1_split.split: needs the scales of its parent w2_half; write scale_bits: 16",
        ),
        (
            "w2_half",
            {"granularity": "group", "group_size": 96},
            "weights.w2_half.group_size: 96 does not divide the model's",
        ),
    ],
)
def test_only_twns_weights_are_split_and_into_bwns(
    tmp_path: Path, rung: str, fields: dict[str, object], problem: str | None
) -> None:
    found = problems(tmp_path, "ladder=binarybert", **{rung: fields})
    if problem is None:
        assert found == []
        return
    assert any(one.startswith(problem) for one in found), found


def test_a_models_own_files_are_looked_at_for_groups_too(tmp_path: Path) -> None:
    """16 wide, 32 in the middle: params.yaml does not say so, its config.json does."""
    folder = bert(tmp_path / "mine")
    source = ("task=cola", "model=minilm", "model.source=path", f"model.location={folder}")
    grouped = "+weights.w1.granularity=group"
    params(tmp_path, *source, grouped, "+weights.w1.group_size=8")
    with pytest.raises(
        ParamsError, match=r"weights.w1.group_size: 32 does not divide the model's hidden_size, 16"
    ):
        params(tmp_path, *source, grouped, "+weights.w1.group_size=32")
