"""Choosing is a pure function of evidence: of scores, sizes and digests, in whatever order they come."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.choice import Candidate, Criteria, CriteriaError, Today, choose

scores = st.none() | st.floats() | st.sampled_from([0.5, 0.9])
sizes = st.none() | st.floats(min_value=0.1, max_value=4) | st.just(0.5)
bits = st.sampled_from([1, 2, 4, 8])


@st.composite
def ladders(draw: st.DrawFn) -> list[Candidate]:
    """Versions numbered in the order of publication, with ties, NaN, infinity and missing values."""
    return [
        Candidate(
            rung=draw(st.sampled_from(["w8", "w1", "w1a8"])),
            version=str(number),
            digest=f"digest {number}",
            score=draw(scores),
            mib=draw(sizes),
            weight_bits=draw(bits),
            embedding_bits=1,
            activation_bits=draw(st.sampled_from([1, 4, 8, 32])),
            evaluated_on=draw(st.sampled_from(["today", "yesterday"])),
            superseded_by=draw(st.sampled_from([None, None, "9"])),
            mean=draw(scores),
            num_seeds=draw(st.sampled_from([1, 3])),
            collapsed=draw(st.sampled_from([None, None, "0"])),
        )
        for number in range(1, draw(st.integers(0, 8)) + 1)
    ]


wanted_rungs = st.builds(
    Criteria,
    max_mib=st.none() | st.floats(0.1, 4),
    min_score=st.none() | st.floats(0, 1),
    activation_bits=st.none() | st.sampled_from([1, 8, 32]),
    weight_bits=st.sampled_from([0, 1, 2, 4, 8]),
)


days = st.builds(
    Today,
    evaluated_on=st.none() | st.just("today"),
    digests=st.dictionaries(st.sampled_from(["w8", "w1"]), st.sampled_from(["digest 1", "digest 2"])),
)


@given(ladders(), wanted_rungs, days, st.randoms())
def test_the_best_is_eligible_unbeaten_and_independent_of_the_order(
    ladder: list[Candidate], wanted: Criteria, today: Today, random: object
) -> None:
    choice = choose(ladder, wanted, today)
    shuffled = ladder.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(shuffled, wanted, today) == choice
    assert (
        sorted([*choice.ranked, *(one for one, _ in choice.excluded)], key=lambda c: int(c.version)) == ladder
    )
    best = choice.best
    if best is None:
        assert not choice.ranked
        return
    assert best.counted is not None
    assert best.collapsed is None
    assert math.isfinite(best.counted)
    assert best.superseded_by is None
    assert wanted.max_mib is None or (best.mib is not None and best.mib <= wanted.max_mib)
    assert wanted.min_score is None or best.counted >= wanted.min_score
    assert wanted.activation_bits in (None, best.activation_bits)
    assert wanted.weight_bits in (0, best.weight_bits)
    assert today.evaluated_on in (None, best.evaluated_on)
    assert today.digests.get(best.rung) in (None, best.digest)
    for other in choice.ranked:
        assert other.counted is not None
        assert (best.counted, -(best.mib or math.inf)) >= (other.counted, -(other.mib or math.inf))


def one(rung: str, score: float | None, mib: float = 1.0, **changes: object) -> Candidate:
    values = {"version": "1", "digest": rung, "weight_bits": 1, "embedding_bits": 1, "activation_bits": 8}
    return Candidate(rung=rung, score=score, mib=mib, **{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_never_best(score: float | None) -> None:
    choice = choose([one("broken", score), one("sound", 0.1)], Criteria())
    assert choice.best is not None
    assert choice.best.rung == "sound"
    assert [objection for _, objection in choice.excluded] == ["no finite score"]


def test_the_mean_over_seeds_ranks_and_the_reason_says_so() -> None:
    lucky = one("lucky", 0.95, mean=0.85, num_seeds=3)
    steady = one("steady", 0.90, mean=0.91, num_seeds=3)
    choice = choose([lucky, steady, one("single", 0.88)], Criteria())
    assert [entry.rung for entry in choice.ranked] == ["steady", "single", "lucky"]
    assert choice.reason == "score 0.9100 (mean over 3 seeds) is the highest of 3 with 1-bit weights"
    [(_, objection)] = choose([lucky], Criteria(min_score=0.9)).excluded
    assert objection == "score 0.85 (mean over 3 seeds), at least 0.9 wanted"


def test_a_model_that_always_gives_the_same_answer_does_not_compete_however_it_scores() -> None:
    same = one("same", 0.8, collapsed="0, 2")
    choice = choose([same, one("sound", 0.1)], Criteria())
    assert choice.best == one("sound", 0.1)
    assert choice.excluded == ((same, "gives one answer to all rows (seed 0, 2)"),)
    assert choose([same], Criteria()).reason == "no registered rung that competes has 1-bit weights"


def test_a_recipe_that_collapsed_from_one_seed_does_not_compete() -> None:
    collapsed = one("collapsed", 0.9, mean=None, num_seeds=3)
    choice = choose([collapsed, one("sound", 0.1)], Criteria())
    assert choice.best == one("sound", 0.1)
    assert choice.excluded == ((collapsed, "no finite mean over 3 seeds"),)


def test_ties_go_to_the_smaller_file_and_then_to_the_first_name() -> None:
    large, small, b = one("a", 0.9, 2.0), one("c", 0.9, 1.0), one("b", 0.9, 1.0)
    for order in itertools.permutations([large, small, b]):
        assert choose(list(order), Criteria()).best == b


def test_a_negative_zero_or_negative_score_competes_as_any_number() -> None:
    assert choose([one("bad", -0.3), one("worse", -0.5)], Criteria()).best == one("bad", -0.3)


def test_criteria_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(CriteriaError, match="min_score"):
        Criteria(min_score=math.nan)


@pytest.mark.parametrize("bits", [-1, 3, 32])
def test_weight_bits_that_no_rung_has_are_refused(bits: int) -> None:
    with pytest.raises(CriteriaError, match=rf"weight_bits: {bits} is none of 1, 2, 4, 8 or 0 \(any\)"):
        Criteria(weight_bits=bits)


def test_weights_of_another_training_do_not_compete() -> None:
    known = [one("again", 0.9, digest="old"), one("again", 0.5, digest="new"), one("elsewhere", 0.4)]
    choice = choose(known, Criteria(), Today(digests={"again": "new"}))
    assert [(entry.rung, entry.score) for entry in choice.ranked] == [("again", 0.5), ("elsewhere", 0.4)]
    assert choice.excluded == ((known[0], "trained again since"),)
