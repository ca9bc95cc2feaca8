"""The ladder as data: parents first, every default filled in, the way back to the teacher."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ladder.rung import TEACHER, ancestry, climb
from pipeline.params import Params, load
from pipeline.rungs import ActivationRung, Duration, Origin, Rung

DEFAULT = load(Path(__file__).parents[2] / "params.yaml")


def with_rungs(
    weights: dict[str, Rung], weights_activations: dict[str, ActivationRung] | None = None
) -> Params:
    changes = {"weights": weights, "weights_activations": weights_activations or {}}
    return DEFAULT.model_copy(update={**changes, "deliver": list(weights)})


@st.composite
def ladders(draw: st.DrawFn) -> dict[str, Rung]:
    """Rungs in any order, each from the teacher or from one drawn before it, and taught by one of those."""
    parents = [TEACHER]
    rungs = {}
    for number in range(draw(st.integers(1, 8))):
        name = f"r{number}"
        parent, teacher = (draw(st.sampled_from(parents)) for _ in range(2))
        rungs[name] = Rung(bits=1, init_from=parent, taught_by=teacher, data="plain")
        parents.append(name)
    return {name: rungs[name] for name in draw(st.permutations(list(rungs)))}


@given(weights=ladders())
def test_parents_and_teachers_come_first_and_no_rung_is_lost(weights: dict[str, Rung]) -> None:
    seen = [TEACHER]
    for rung in climb(with_rungs(weights)):
        assert rung.parent in seen
        assert rung.taught_by in seen
        seen.append(rung.name)
    assert sorted(seen) == sorted([TEACHER, *weights])


@given(weights=ladders())
def test_every_way_back_ends_at_the_teacher(weights: dict[str, Rung]) -> None:
    for name in weights:
        chain = ancestry(with_rungs(weights), name)
        assert (chain[0], chain[-1]) == (name, TEACHER)
        assert [weights[step].init_from for step in chain[:-1]] == list(chain[1:])


def test_the_default_ladder_goes_down_in_its_own_order() -> None:
    assert [rung.name for rung in climb(DEFAULT)] == list(DEFAULT.rungs)
    assert ancestry(DEFAULT, "w1a8") == ("w1a8", "w1", "w2", "w4", "w8", "teacher")


def test_an_unknown_rung_has_no_ancestry() -> None:
    with pytest.raises(KeyError):
        ancestry(DEFAULT, "w3")


def test_what_a_rung_leaves_out_comes_from_the_budget_and_its_own_bits() -> None:
    (rung,) = climb(with_rungs({"w4": Rung(bits=4, init_from=TEACHER, taught_by=TEACHER, data="plain")}))
    assert rung.duration == DEFAULT.budget.rung
    assert (rung.weight_bits, rung.embedding_bits, rung.activation_bits) == (4, 4, 32)
    assert (rung.address, rung.drawn) == ("weights@w4", ())


def test_what_a_rung_says_itself_is_kept() -> None:
    own = ActivationRung(
        bits=1,
        embedding_bits=8,
        activation_bits=4,
        init_from=TEACHER,
        taught_by=TEACHER,
        data="augmented",
        init={
            "encoder": Origin(distribution="uniform"),
            "encoder.ffn": Origin(),
            "head": Origin(copy_from="teacher"),
        },
        duration=Duration(epochs=2.0),
    )
    (rung,) = climb(with_rungs({}, {"mine": own}))
    assert (rung.weight_bits, rung.embedding_bits, rung.activation_bits) == (1, 8, 4)
    assert (rung.address, rung.drawn) == ("weights_activations@mine", ("encoder",))
    assert rung.first_weights == "random: encoder; copied: encoder.ffn, head (teacher)"
    assert (rung.data, rung.duration) == ("augmented", Duration(epochs=2.0))
