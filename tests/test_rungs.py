"""Rungs as data: parents first, what is left out filled in, the way back to the teacher."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitladder.quantizers.precision import Precision
from pipeline.ladder.words import first_weights
from pipeline.params_file import load
from pipeline.rungs import TEACHER, ActivationRung, Duration, Origin, Rung, ancestry, climb

DEFAULT = load(Path(__file__).parents[1] / "params.yaml")


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


@given(rungs=ladders())
def test_parents_and_teachers_come_first_and_no_rung_is_lost(rungs: dict[str, Rung]) -> None:
    seen = [TEACHER]
    for name, rung in climb(rungs).items():
        assert rung.init_from in seen
        assert rung.taught_by in seen
        seen.append(name)
    assert sorted(seen) == sorted([TEACHER, *rungs])


@given(rungs=ladders())
def test_every_way_back_ends_at_the_teacher(rungs: dict[str, Rung]) -> None:
    for name in rungs:
        chain = ancestry(rungs, name)
        assert (chain[0], chain[-1]) == (name, TEACHER)
        assert [rungs[step].init_from for step in chain[:-1]] == list(chain[1:])


def test_the_default_ladder_goes_down_in_its_own_order() -> None:
    assert list(climb(DEFAULT.rungs)) == list(DEFAULT.rungs)
    assert ancestry(DEFAULT.rungs, "w1a8") == ("w1a8", "w1", "w2", "w4", "w8", "teacher")


def test_an_unknown_rung_has_no_ancestry() -> None:
    with pytest.raises(KeyError):
        ancestry(DEFAULT.rungs, "w3")


def test_what_a_rung_leaves_out_comes_from_the_budget_and_its_own_bits() -> None:
    rung = Rung(bits=4, init_from=TEACHER, taught_by=TEACHER, data="plain")
    assert DEFAULT.duration_of(rung) == DEFAULT.budget.rung
    assert rung.precision == Precision(4, 4, 32, scale_bits=8)
    assert (rung.stage, rung.drawn) == ("weights", ())


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
    assert own.precision == Precision(1, 8, 4, scale_bits=8)
    assert (own.stage, own.drawn) == ("weights_activations", ("encoder",))
    assert first_weights(own) == "random: encoder; copied: encoder.ffn, head (teacher)"
    assert DEFAULT.duration_of(own) == Duration(epochs=2.0)
