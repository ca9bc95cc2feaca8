"""A rung that is `equal_to` another one ends after as many steps from the teacher on as that one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.equal_steps import STEPS, Amount, Length, MixedError, UnequalError, epochs, length_of, total

# The demo's way to W1A8, and a rung that goes there at once.
LADDER = {
    "w8": Length("teacher", 100),
    "w1": Length("w8", 200),
    "w1a8": Length("w1", 50),
    "w1a8_direct": Length("teacher", equal_to="w1a8"),
}


def test_it_gets_all_the_steps_of_the_others_way() -> None:
    assert length_of("w1a8_direct", LADDER) == Amount(100 + 200 + 50, STEPS)
    assert total("w1a8_direct", LADDER) == total("w1a8", LADDER)


def test_it_gets_less_what_its_own_parents_had() -> None:
    ladder = {**LADDER, "w1a8_later": Length("w8", equal_to="w1a8")}
    assert length_of("w1a8_later", ladder).count == 250


def test_one_may_follow_another_that_follows_a_third() -> None:
    ladder = {**LADDER, "third": Length("w1", equal_to="w1a8_direct")}
    assert length_of("third", ladder).count == 50


def test_a_parent_may_be_as_long_as_another_too() -> None:
    ladder = {**LADDER, "half": Length("teacher", equal_to="w8"), "whole": Length("half", equal_to="w1a8")}
    assert (length_of("half", ladder).count, length_of("whole", ladder).count) == (100, 250)


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        (Length("teacher", equal_to="w9"), "no rung 'w9'"),
        (Length("teacher", equal_to="late"), "how long w3 trains is not known"),
        (Length("w3", equal_to="w1a8"), "how long w3 trains is not known"),
        (Length("w1a8", equal_to="w8"), "nothing is left: w8 has 100 steps in all, w1a8 alone has 350"),
        (Length("w1a8", equal_to="w1a8"), "nothing is left: w1a8 has 350 steps in all"),
        (Length("teacher", equal_to="it"), "a circle: it as long as it"),
        (Length("teacher", equal_to="child"), "a circle: it as long as it"),
        (Length("teacher", equal_to="other"), "a circle: it as long as other as long as it"),
    ],
)
def test_where_there_is_no_such_number_it_says_why(rung: Length, said: str) -> None:
    more = {
        "w3": Length("teacher"),
        "late": Length("w3", 10),
        "child": Length("it", 10),
        "other": Length("teacher", equal_to="it"),
    }
    with pytest.raises(UnequalError, match=re.escape(said)):
        length_of("it", {**LADDER, **more, "it": rung})


# The same in epochs of batches of 32; w1's are of augmented rows, which nothing here knows.
IN_EPOCHS = {
    "w8": Length("teacher", 3.0, epochs(32)),
    "w1": Length("w8", 0.1, epochs(32)),
    "w1a8": Length("w1", 0.2, epochs(32)),
    "w1a8_direct": Length("teacher", equal_to="w1a8"),
}


def test_where_both_ways_are_in_epochs_it_gets_as_many() -> None:
    assert length_of("w1a8_direct", IN_EPOCHS) == Amount(3.3, epochs(32))


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        (Length("w8", 5), "w1a8 is trained for steps, w8 for epochs of batches of 32"),
        (
            Length("w8", 5.0, epochs(16)),
            "w1a8 is trained for epochs of batches of 16, w8 for epochs of batches",
        ),
    ],
)
def test_steps_and_epochs_are_never_added(rung: Length, said: str) -> None:
    with pytest.raises(MixedError, match=said):
        length_of("w1a8_direct", {**IN_EPOCHS, "w1a8": rung})


def test_a_way_in_steps_is_not_as_long_as_one_in_epochs() -> None:
    ladder = {**IN_EPOCHS, "late": Length("before", equal_to="w1a8"), "before": Length("teacher", 5)}
    with pytest.raises(MixedError, match="w1a8 is trained for epochs of batches of 32, before for steps"):
        length_of("late", ladder)


@given(data=st.data(), counts=st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_whatever_the_ladder_the_totals_are_equal(data: st.DataObject, counts: list[int]) -> None:
    names = [f"r{number}" for number in range(len(counts))]
    parents = [data.draw(st.sampled_from(["teacher", *names[:number]])) for number in range(len(counts))]
    ladder = {name: Length(parent, steps) for name, parent, steps in zip(names, parents, counts, strict=True)}
    other, parent = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(["teacher", *names]))
    ladder["it"] = Length(parent, equal_to=other)
    if total(other, ladder).count > total(parent, ladder).count:
        assert total("it", ladder) == total(other, ladder)
        assert length_of("it", ladder).count >= 1
    else:
        with pytest.raises(UnequalError, match="nothing is left"):
            length_of("it", ladder)
