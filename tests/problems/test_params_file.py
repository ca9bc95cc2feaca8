"""A wrong params.yaml is refused before anything runs, with every problem at once, one line each."""

from collections.abc import Callable
from pathlib import Path

import pytest
from changed_params import Refusals
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.params_file import ParamsError, load

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=6,
)
_PLACES = st.sampled_from(
    [
        *("seed", "task", "data", "model", "budget", "training", "distillation", "augmentation", "weights"),
        *("weights_activations", "deliver", "task.name", "task.metrics", "model.architecture", "weights.w1"),
        *("weights.w1.bits", "weights.w1.init_from", "budget.rung", "weights_activations.w1a8.init", "extra"),
    ]
)


def test_all_problems_come_at_once(refusals: Refusals) -> None:
    problems = refusals(
        ("weights.w1.bits", 3),
        ("weights.w2.init_form", "w4"),
        ("weights.w4.init_from", "w9"),
        ("training.rung.learning_rate", "1e-5"),
        ("data.source", "path"),
        ("seed", True),
        ("weights.w8.duration", {}),
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "seed",
        "training.rung.learning_rate",
        "weights.w8.duration",
        "weights.w2.init_form",
        "weights.w1.bits",
    ]


def test_once_the_fields_are_right_all_contradictions_come_at_once(refusals: Refusals) -> None:
    problems = refusals(
        ("data.source", "path"),
        ("weights.w4.init_from", "w9"),
        ("weights.w2.weight_quantizer", "bwn"),
        ("weights_activations.w1a8_direct.duration", {"equal_to": "w1a9"}),
        ("weights_activations.w1a1.init", {"encodr": "random"}),
        ("distillation.temperature", 2.0),
        ("distillation.logits", 0.0),
        ("seeds", [1]),
        ("claims", [{"claim": "steped", "better": "w1a8", "worse": "w1a8_direct"}]),
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "data.root",
        "data.source",
        "seeds",
        "weights.w4.init_from",
        "weights_activations.w1a1.init.encodr",
        "weights.w2.weight_quantizer",
        "distillation.temperature",
        "weights_activations.w1a8_direct.duration.equal_to",
        "claims[0].claim",
    ]


def test_the_message_counts_the_problems_and_names_the_file(params_file: Callable[..., Path]) -> None:
    path = params_file(("budget.evaluations", 0), ("weights.w1.bits", 3))
    with pytest.raises(ParamsError) as caught:
        load(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 2 problems",
        "  budget.evaluations: 0 is not allowed; expected a whole number from 1 to 2147483647",
        "  weights.w1.bits: 3 is not allowed; allowed: 1, 2, 4, 8",
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=_PLACES, value=_ANYTHING)
def test_no_value_anywhere_leads_to_a_traceback(refusals: Refusals, place: str, value: object) -> None:
    assert all(problem.isprintable() for problem in refusals((place, value)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(alphabet="ab:-[]{}*&!|>?%@`#'\"\\ \n\t0.e<", max_size=60))
def test_no_text_leads_to_a_traceback(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ParamsError):
        load(path)
