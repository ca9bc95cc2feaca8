"""A rung that is `equal_to` another one ends after as many steps from the teacher on as that one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.equal_steps import Length, UnequalError, steps_of, total_steps

# The demo's way to W1A8, and a rung that goes there at once.
LADDER = {
    "w8": Length("teacher", 100),
    "w1": Length("w8", 200),
    "w1a8": Length("w1", 50),
    "w1a8_direct": Length("teacher", equal_to="w1a8"),
}


def test_it_gets_all_the_steps_of_the_others_way() -> None:
    assert steps_of("w1a8_direct", LADDER) == 100 + 200 + 50
    assert total_steps("w1a8_direct", LADDER) == total_steps("w1a8", LADDER)


def test_it_gets_less_what_its_own_parents_had() -> None:
    assert steps_of("w1a8_later", {**LADDER, "w1a8_later": Length("w8", equal_to="w1a8")}) == 250


def test_one_may_follow_another_that_follows_a_third() -> None:
    ladder = {**LADDER, "third": Length("w1", equal_to="w1a8_direct")}
    assert steps_of("third", ladder) == 50


def test_a_parent_may_be_as_long_as_another_too() -> None:
    ladder = {**LADDER, "half": Length("teacher", equal_to="w8"), "whole": Length("half", equal_to="w1a8")}
    assert (steps_of("half", ladder), steps_of("whole", ladder)) == (100, 250)


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        (Length("teacher", equal_to="w9"), "no rung 'w9'"),
        (Length("teacher", equal_to="late"), "w3 is trained by epochs"),
        (Length("w3", equal_to="w1a8"), "w3 is trained by epochs"),
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
        steps_of("it", {**LADDER, **more, "it": rung})


@given(data=st.data(), counts=st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_whatever_the_ladder_the_totals_are_equal(data: st.DataObject, counts: list[int]) -> None:
    names = [f"r{number}" for number in range(len(counts))]
    parents = [data.draw(st.sampled_from(["teacher", *names[:number]])) for number in range(len(counts))]
    ladder = {name: Length(parent, steps) for name, parent, steps in zip(names, parents, counts, strict=True)}
    other, parent = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(["teacher", *names]))
    ladder["it"] = Length(parent, equal_to=other)
    if total_steps(other, ladder) > total_steps(parent, ladder):
        assert total_steps("it", ladder) == total_steps(other, ladder)
        assert steps_of("it", ladder) >= 1
    else:
        with pytest.raises(UnequalError, match="nothing is left"):
            steps_of("it", ladder)
