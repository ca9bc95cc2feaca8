"""A rung that is `equal_to` another one ends after as much training, from the teacher on, as that one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.durations import STEPS, Amount, Length, UnequalError, equal, total
from pipeline.rungs import Duration


def steps(parent: str, count: int, batch_size: int = 32) -> Length:
    return Length(parent, Duration(steps=count), batch_size)


def epochs(parent: str, count: float, batch_size: int = 32) -> Length:
    return Length(parent, Duration(epochs=count), batch_size)


def follows(parent: str, other: str) -> Length:
    return Length(parent, Duration(equal_to=other), 32)


def length_of(name: str, lengths: dict[str, Length]) -> Duration:
    other = lengths[name].duration.equal_to
    assert other is not None
    return equal(other, lengths[name].parent, lengths)


# The demo's way to W1A8, and a rung that goes there at once.
LADDER = {
    "w8": steps("teacher", 100),
    "w1": steps("w8", 200),
    "w1a8": steps("w1", 50),
    "w1a8_direct": follows("teacher", "w1a8"),
}


def test_it_gets_all_the_steps_of_the_others_way() -> None:
    assert length_of("w1a8_direct", LADDER) == Duration(steps=100 + 200 + 50)
    assert total("w1a8_direct", LADDER) == total("w1a8", LADDER) == Amount(350, STEPS, "w8")


def test_it_gets_less_what_its_own_parents_had() -> None:
    ladder = {**LADDER, "w1a8_later": follows("w8", "w1a8")}
    assert length_of("w1a8_later", ladder).steps == 250


def test_one_may_follow_another_that_follows_a_third() -> None:
    ladder = {**LADDER, "third": follows("w1", "w1a8_direct")}
    assert length_of("third", ladder).steps == 50


def test_a_parent_may_be_as_long_as_another_too() -> None:
    ladder = {**LADDER, "half": follows("teacher", "w8"), "whole": follows("half", "w1a8")}
    assert (length_of("half", ladder).steps, length_of("whole", ladder).steps) == (100, 250)


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        (follows("teacher", "w9"), "no rung 'w9'"),
        (follows("w1a8", "w8"), "nothing is left to train: w8 has 100 steps in all, w1a8 already 350 steps"),
        (follows("w1a8", "w1a8"), "nothing is left to train: w1a8 has 350 steps in all"),
        (follows("teacher", "it"), "these durations depend on each other: it"),
        (follows("teacher", "child"), "these durations depend on each other: child, it"),
        (follows("teacher", "other"), "these durations depend on each other: other, it"),
    ],
)
def test_where_there_is_no_such_number_it_says_why(rung: Length, said: str) -> None:
    more = {"child": steps("it", 10), "other": follows("teacher", "it")}
    with pytest.raises(UnequalError, match=re.escape(said)):
        length_of("it", {**LADDER, **more, "it": rung})


# The same in epochs of batches of 32; w1's are of augmented rows, which nothing here knows.
IN_EPOCHS = {
    "w8": epochs("teacher", 3.0),
    "w1": epochs("w8", 0.1),
    "w1a8": epochs("w1", 0.2),
    "w1a8_direct": follows("teacher", "w1a8"),
}


def test_where_both_ways_are_in_epochs_it_gets_as_many() -> None:
    assert length_of("w1a8_direct", IN_EPOCHS) == Duration(epochs=3.3)


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        (steps("w8", 5), "w8 is trained for epochs of batches of 32, w1a8 for steps"),
        (
            epochs("w8", 5.0, batch_size=16),
            "w8 is trained for epochs of batches of 32, w1a8 for epochs of batches of 16",
        ),
    ],
)
def test_steps_and_epochs_are_never_added(rung: Length, said: str) -> None:
    with pytest.raises(UnequalError, match=said):
        length_of("w1a8_direct", {**IN_EPOCHS, "w1a8": rung})


def test_a_way_in_steps_is_not_as_long_as_one_in_epochs() -> None:
    ladder = {**IN_EPOCHS, "late": follows("before", "w1a8"), "before": steps("teacher", 5)}
    with pytest.raises(UnequalError, match="w8 is trained for epochs of batches of 32, before for steps"):
        length_of("late", ladder)


@given(data=st.data(), counts=st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_whatever_the_ladder_the_totals_are_equal(data: st.DataObject, counts: list[int]) -> None:
    names = [f"r{number}" for number in range(len(counts))]
    parents = [data.draw(st.sampled_from(["teacher", *names[:number]])) for number in range(len(counts))]
    ladder = {name: steps(parent, count) for name, parent, count in zip(names, parents, counts, strict=True)}
    other, parent = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(["teacher", *names]))
    ladder["it"] = follows(parent, other)
    had, wanted = total(parent, ladder).count, total(other, ladder).count
    if wanted > had:
        assert length_of("it", ladder).steps == wanted - had >= 1
    else:
        with pytest.raises(UnequalError, match="nothing is left"):
            length_of("it", ladder)
