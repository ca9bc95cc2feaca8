"""A space of ladders: what it holds, what is refused, and what a ladder of it is in params.yaml."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import CONF
from made_up import params as composed

from flows import repeat
from flows.search import drawing, space
from flows.search.space import Space
from pipeline.params import Params
from pipeline.params_file import ParamsError
from pipeline.params_file import load as load_params
from pipeline.problems.reading import read_mapping

GOOD = """
target: w1a8
steps: 100
weights:
  w2: {bits: 2, init_from: [teacher], data: [plain, augmented], share: [0.2, 0.4]}
  w1: {bits: 1, init_from: [teacher, w2], data: [plain], share: [0.3]}
weights_activations:
  w1a8: {bits: 1, activation_bits: 8, init_from: [teacher, w2, w1], data: [plain], learning_rate: [0.1, 0.2]}
first:
  stepped: {w1a8: {init_from: w1}, w1: {init_from: w2}}
"""


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return composed(tmp_path_factory.mktemp("params"))


def read(folder: Path, params: Params, text: str = GOOD, steps: int | None = None) -> Space:
    (folder / "x.yaml").write_text(text, encoding="utf-8")
    return space.load("x", params, steps, folder)


def every_ladder(wanted: Space) -> Iterator[dict[str, Any]]:
    """All of them, by going through every combination of all choices."""
    names = [(name, field) for name, rung in wanted.rungs.items() for field in rung.choices]
    options = [wanted.rungs[name].choices[field] for name, field in names]
    for combination in product(*options):
        chosen = {f"{name}.{field}": one for (name, field), one in zip(names, combination, strict=True)}
        yield drawing.draw(wanted, lambda name, _, chosen=chosen: chosen[name])


def test_a_ladder_has_the_rungs_that_lead_to_the_target_and_no_other(tmp_path: Path, params: Params) -> None:
    wanted = read(tmp_path, params)
    usual = drawing.draw(wanted, lambda _, options: options[0])
    assert list(usual) == ["w1a8"]
    assert list(drawing.draw(wanted, lambda _, options: options[-1])) == ["w2", "w1", "w1a8"]


def test_the_number_of_ladders_is_that_of_the_different_ones(tmp_path: Path, params: Params) -> None:
    wanted = read(tmp_path, params)
    assert wanted.count() == len({str(way) for way in every_ladder(wanted)}) == 2 * (1 + 4 + (1 + 4))


def test_every_ladder_is_a_params_file_with_the_same_steps_in_all(tmp_path: Path, params: Params) -> None:
    wanted, base = read(tmp_path, params, steps=97), read_mapping(CONF.parent / "params.yaml")
    for way in {str(way): way for way in every_ladder(wanted)}.values():
        values = drawing.project_values(base, drawing.ladder(wanted, way))
        (tmp_path / "params.yaml").write_text(repeat.as_text(values), encoding="utf-8")
        found = load_params(tmp_path / "params.yaml")
        assert list(found.rungs) == list(way)
        assert sum(found.duration_of(rung).steps or 0 for rung in found.rungs.values()) == 97
        for name, choice in way.items():
            rung = found.rungs[name]
            assert (rung.init_from, rung.data) == (choice["init_from"], choice["data"])
            assert rung.learning_rate == choice.get("learning_rate")


@given(steps=st.integers(20, 10**6), first=st.floats(0.1, 0.4), second=st.floats(0.1, 0.4))
def test_shares_never_change_the_total(steps: int, first: float, second: float) -> None:
    rung = {"bits": 1, "init_from": ["teacher"], "data": ["plain"]}
    wanted = Space.model_validate(
        {"target": "c", "steps": steps, "weights": dict.fromkeys(("a", "b", "c"), rung)}
    )
    way = {"a": {"share": first}, "b": {"share": second}, "c": {}}
    found = drawing.steps_of(wanted, way)
    assert sum(found.values()) == steps
    assert min(found.values()) > 0


def test_a_named_ladder_has_the_usual_choices_but_those_it_says(tmp_path: Path, params: Params) -> None:
    wanted = read(tmp_path, params)
    assert drawing.named(wanted, "stepped") == {
        "w1a8.init_from": "w1",
        "w1a8.learning_rate": 0.1,
        "w1.init_from": "w2",
        "w2.data": "plain",
        "w2.share": 0.2,
    }


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "search").glob("*.yaml")))
def test_the_spaces_of_the_project_go_with_its_tasks_and_models(tmp_path: Path, name: str) -> None:
    for choice in ((), ("task=mrpc", "model=minilm"), ("task=squad", "model=bert-base")):
        assert space.load(name, composed(tmp_path, *choice), folder=CONF / "search").count() > 1


def refused(folder: Path, params: Params, text: str) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        read(folder, params, text)
    assert caught.value.exit_code == 2
    return caught.value.problems


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("target: w1a8", "target: w1a9", "target: no rung 'w1a9'; did you mean 'w1a8'? known: w2, w1, w1a8"),
        ("steps: 100", "steps: 0", "steps: 0 is not allowed; expected a whole number from 1 to 2147483647"),
        ("steps: 100", "stepps: 100", "stepps: unknown key; did you mean 'steps'?"),
        ("{bits: 2,", "{bits: 3,", "weights.w2.bits: 3 is not allowed; allowed: 1, 2, 4, 8"),
        ("[0.2, 0.4]", "[0.2, 1]", "weights.w2.share[1]: 1 is not allowed"),
        ("[0.2, 0.4]", "[0.2, 0.2]", "weights.w2.share: 0.2 is written twice; once is enough"),
        (
            "[0.2, 0.4]",
            "[0.7]",
            "steps: the largest shares of a way, w2 0.7, w1 0.3, are 1 and leave too little",
        ),
        ("[0.2, 0.4]", "[0.01]", "weights.w2.share: 0.01 of 100 steps are 1; at least 4 are right"),
        (", share: [0.3]", "", "weights.w1.share: missing; write shares of the steps, as in [0.1, 0.2]"),
        ("data: [plain],", "data: plain,", "weights.w1.data: 'plain' is text; expected a list, as in [a, b]"),
        (
            "[teacher, w2], data",
            "[teacher, w3], data",
            "weights.w1.init_from: no rung 'w3'; known: teacher, w2, w1a8",
        ),
        (
            "init_from: [teacher], ",
            "init_from: [teacher, w1], ",
            "weights.w2.init_from: w2, w1 may start from each other in a circle",
        ),
        ("share: [0.3]}", "share: [0.3], duration: {steps: 3}}", "weights.w1.duration: "),
        ("share: [0.3]}", "share: [0.3], taught_by: w2}", "weights.w1.taught_by: 'w2' is not allowed"),
        ("share: [0.3]}", "share: [0.3], weight_quantizer: twn}", "weights.w1.weight_quantizer: "),
        (
            "[teacher, w2, w1]",
            "[teacher, w2]",
            "weights.w1: no way to w1a8 starts from it; add it to an init_from",
        ),
        (
            "{init_from: w2}}",
            "{init_from: w4}}",
            "first.stepped.w1.init_from: 'w4' is no choice of the space",
        ),
        (
            "{init_from: w2}}",
            "{share: 0.9}}",
            "first.stepped.w1.share: 0.9 is no choice of the space; known: 0.3",
        ),
        (
            "{init_from: w2}}",
            "{rate: 1.0}}",
            "first.stepped.w1.rate: there is no such choice; known: init_from",
        ),
        ("w1: {init_from: w2}}", "w3: {}}", "first.stepped.w3: no rung 'w3'"),
        ("w1a8: {init_from: w1}, ", "", "first.stepped.w1: nothing on this way to w1a8 starts from it"),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_be_right(
    tmp_path: Path, params: Params, right: str, wrong: str, problem: str
) -> None:
    assert right in GOOD
    found = refused(tmp_path, params, GOOD.replace(right, wrong, 1))
    assert any(line.startswith(problem) for line in found), found
    assert len(found) <= 2


def test_all_problems_are_told_at_once(tmp_path: Path, params: Params) -> None:
    wrong = (
        GOOD.replace("bits: 2", "bits: 3")
        .replace("steps: 100", "steps: many")
        .replace("[0.1, 0.2]}", "[-1.0]}")
    )
    found = refused(tmp_path, params, wrong)
    places = [line.partition(":")[0] for line in found]
    assert places == ["steps", "weights.w2.bits", "weights_activations.w1a8.learning_rate[0]"]
    contradictions = GOOD.replace("[0.2, 0.4]", "[0.2, 0.2]").replace(
        "data: [plain],", "data: [plain, plain],", 1
    )
    assert len(refused(tmp_path, params, contradictions)) == 2


def test_the_target_has_no_share(tmp_path: Path, params: Params) -> None:
    found = refused(
        tmp_path, params, GOOD.replace("activation_bits: 8,", "activation_bits: 8, share: [0.2],")
    )
    assert found == [
        "weights_activations.w1a8.share: the target has the steps that the others leave; leave this out"
    ]


def test_a_search_never_chooses_by_the_reported_split(tmp_path: Path) -> None:
    found = refused(tmp_path, composed(tmp_path, "evaluation.selection=validation"), GOOD)
    assert "validation is not allowed: a search chooses by the selection split; write held_out" in found[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("- w1", "the top level is a list"),
        ("a: [", "line "),
        (GOOD + "steps: 3\n", "line "),
    ],
)
def test_what_is_no_space_at_all_is_refused(tmp_path: Path, params: Params, text: str, problem: str) -> None:
    assert refused(tmp_path, params, text)[0].startswith(problem)


def test_a_space_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, params: Params) -> None:
    read(tmp_path, params)
    with pytest.raises(ParamsError, match=r"no space 'xx'; did you mean 'x'\? known: x"):
        space.load("xx", params, folder=tmp_path)


def test_a_ladder_may_start_from_a_general_rung_of_the_project(tmp_path: Path) -> None:
    """Which is no rung of the space: it is there before the search, and its steps do not count."""
    general = "{bits: 1, activation_bits: 8, init_from: pretrained, duration: {steps: 9}}"
    params = composed(tmp_path, f"+general.from_text={general}")
    wanted = read(
        tmp_path, params, GOOD.replace("init_from: [teacher, w2, w1]", "init_from: [from_text, w2, w1]")
    )
    way = drawing.draw(wanted, lambda _, options: options[0])
    assert list(way) == ["w1a8"]
    assert drawing.in_words(wanted, way).startswith("from_text, w1a8 (100 steps")
    base = read_mapping(tmp_path / "params.yaml")
    values = drawing.project_values(base, drawing.ladder(wanted, way))
    (tmp_path / "params.yaml").write_text(repeat.as_text(values), encoding="utf-8")
    assert list(load_params(tmp_path / "params.yaml").rungs) == ["from_text", "w1a8"]


def test_a_general_rung_that_the_project_does_not_have_is_refused(tmp_path: Path, params: Params) -> None:
    text = GOOD.replace("{bits: 1, init_from: [teacher,", "{bits: 1, init_from: [from_text,")
    assert "weights.w1.init_from: no rung 'from_text'" in refused(tmp_path, params, text)[0]
