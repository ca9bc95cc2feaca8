"""A wrong params.yaml is refused before anything runs, with every problem at once, one line each."""

import copy
import datetime
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.params import Duration, Params, ParamsError, load

ROOT = Path(__file__).parent.parent
DEFAULT = ROOT / "params.yaml"
Values = dict[str, Any]
Refusals = Callable[..., list[str]]


@pytest.fixture(scope="session")
def default() -> Values:
    values: Values = YAML(typ="safe").load(DEFAULT.read_text(encoding="utf-8"))
    return values


@pytest.fixture
def params_file(tmp_path: Path, default: Values) -> Callable[..., Path]:
    """Write the default with some fields changed: `("weights.w1.bits", 3)`; `...` as a value removes it."""

    def write(*changes: tuple[str, object]) -> Path:
        values = copy.deepcopy(default)
        for place, value in changes:
            *parents, last = place.split(".")
            section = values
            for name in parents:
                section = section[name]
            if value is ...:
                del section[last]
            else:
                section[last] = copy.deepcopy(value)
        stream = io.StringIO()
        yaml = YAML(typ="safe", pure=True)
        yaml.representer.sort_base_mapping_type_on_output = False
        yaml.dump(values, stream)
        path = tmp_path / "params.yaml"
        path.write_text(stream.getvalue(), encoding="utf-8")
        return path

    return write


@pytest.fixture
def refusals(params_file: Callable[..., Path]) -> Refusals:
    """The problems of the default with some fields changed; empty when it is accepted."""

    def problems(*changes: tuple[str, object]) -> list[str]:
        try:
            load(params_file(*changes))
        except ParamsError as error:
            return error.problems
        return []

    return problems


def test_the_committed_file_is_accepted() -> None:
    assert isinstance(load(DEFAULT), Params)


def test_what_is_loaded_cannot_be_changed() -> None:
    params = load(DEFAULT)
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 1


@pytest.mark.parametrize(
    ("duration", "num_rows", "expected"),
    [
        (Duration(steps=7), 1000, 7),
        (Duration(epochs=3), 100, 12),  # four batches of 32, the last one short
        (Duration(epochs=0.5), 100, 2),
        (Duration(epochs=0.01), 100, 1),
    ],
)
def test_a_duration_in_steps_or_epochs(duration: Duration, num_rows: int, expected: int) -> None:
    assert duration.count_steps(num_rows=num_rows, batch_size=32) == expected


def test_all_problems_come_at_once(refusals: Refusals) -> None:
    problems = refusals(
        ("weights.w1.bits", 3),
        ("weights.w2.init_form", "w4"),
        ("weights.w4.init_from", "w9"),
        ("training.rung.learning_rate", "1e-5"),
        ("data.source", "path"),
        ("seed", True),
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "seed",
        "training.rung.learning_rate",
        "weights.w2.init_form",
        "weights.w1.bits",
        "data.root",
        "data.source",
        "weights.w4.init_from",
    ]


def test_the_message_counts_the_problems_and_names_the_file(params_file: Callable[..., Path]) -> None:
    path = params_file(("seed", -1), ("weights.w1.bits", 3))
    with pytest.raises(ParamsError) as caught:
        load(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 2 problems",
        "  seed: -1 is not allowed; expected a whole number from 0 to 4294967295",
        "  weights.w1.bits: 3 is not allowed; allowed: 1, 2, 4, 8",
    ]


# C1: keys


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("weights.w1.init_form", "did you mean 'init_from'?"),
        ("weights.w1.embedding-bits", "did you mean 'embedding_bits'?"),
        ("weights.w1.activation_bits", "it belongs under weights_activations.<name>"),
        (
            "budget.learning_rate",
            "it belongs under training.pretraining or training.teacher or training.rung",
        ),
        ("wieghts", "did you mean 'weights'?"),
        ("zzz", "known: seed, seeds, evaluation, task, data, model, budget"),
    ],
)
def test_an_unknown_key_is_refused_with_where_it_might_belong(
    refusals: Refusals, place: str, sentence: str
) -> None:
    problems = refusals((place, 1))
    assert len(problems) == 1
    assert problems[0].startswith(f"{place}: unknown key; ")
    assert sentence in problems[0]


def test_a_missing_key_is_named(refusals: Refusals) -> None:
    assert refusals(("weights.w1.data", ...)) == ["weights.w1.data: missing"]


# C2: types


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("seed", True, "true is true or false; expected a whole number"),
        ("seed", 1.0, "1.0 is a number; expected a whole number"),
        ("seed", "1", "'1' is text; expected a whole number: write it without quotes"),
        ("seed", [1], "[1 entries] is a list; expected a whole number"),
        ("seed", None, "empty; expected a whole number"),
        ("weights.w1.bits", True, "true is true or false; expected a whole number"),
        ("weights.w1.bits", 1.0, "1.0 is a number; expected a whole number"),
        ("weights.w1.init_from", 8, "8 is a whole number; expected text: put it in quotes"),
        (
            "training.rung.learning_rate",
            "1e-5",
            "'1e-5' is text; expected a number: write it without quotes",
        ),
        ("training.rung.learning_rate", True, "true is true or false; expected a number"),
        ("task.label_names", "yes", "'yes' is text; expected a list, as in [a, b]"),
        ("task", [1], "[1 entries] is a list; expected a mapping of keys"),
        ("weights", None, "empty; expected a mapping of names"),
        ("weights.w1", "w2", "'w2' is text; expected a mapping of keys"),
    ],
)
def test_a_wrong_type_is_refused(refusals: Refusals, place: str, value: object, problem: str) -> None:
    assert f"{place}: {problem}" in refusals((place, value))


def test_a_whole_number_is_taken_where_a_number_is_expected(params_file: Callable[..., Path]) -> None:
    loaded = load(params_file(("distillation.logits", 2), ("training.rung.weight_decay", 0)))
    assert loaded.distillation.logits == 2.0
    assert type(loaded.distillation.logits) is float


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"# nothing but a comment\n", "the file is empty"),
        (b"- 1\n- 2\n", "the top level is a list"),
        (b"just text", "the top level is a str"),
        (b"seed: 0\nseed: 1\n", 'line 2, column 1: found duplicate key "seed"'),
        (b"task:\n\tname: demo\n", "line 2: a tab where YAML wants spaces"),
        (b"seed: 0\nname: \xff\n", "line 2: byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbfseed: 0\n", "starts with a byte order mark"),
        (b"seed: 0\x00", "not YAML"),
        (b"seed: [0\n", "line 2, column 1"),
        (b"seed: *nowhere\n", "undefined alias"),
        (b"seed: 2026-13-45\n", "not YAML"),
        (b"seed: !!python/object:os.system {}\n", "could not determine a constructor"),
        (b"seed: 0\n---\nseed: 1\n", "another document"),
        (b"[" * 200_000, "nested deeper than 20 levels"),
        (b"a: &a [x, x]\nb: [" + b"*a, " * 40 + b"]\n", "more than 32 aliases"),
        (b"a: [" + b"1, " * 30_000 + b"]\n", "more than 10000 values"),
        (b"a: " + b"x" * 1_000_001, "larger than 1000000 bytes"),
    ],
)
def test_an_unreadable_file_has_one_clear_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="No such file"):
        load(tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="Is a directory"):
        load(tmp_path)


# C3: values


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("training.rung.learning_rate", float("nan")),
        ("training.rung.learning_rate", float("inf")),
        ("training.rung.learning_rate", 0.0),
        ("training.rung.learning_rate", 1e308),
        ("training.rung.warmup_fraction", 1.5),
        ("training.rung.dropout", 1.0),
        ("training.rung.batch_size", 0),
        ("training.rung.batch_size", 10**30),
        ("training.rung.weight_decay", -0.1),
        ("distillation.logits", float("nan")),
        ("seed", 2**32),
        ("seed", -1),
        ("budget.rung.steps", 10**30),
        ("task.selection_fraction", 0.5),
        ("weights.w1.bits", 32),
        ("weights.w1.bits", 10**30),
        ("weights_activations.w1a1.activation_bits", 3),
        ("augmentation.word_fraction", 0),
    ],
)
def test_a_value_out_of_range_is_refused(refusals: Refusals, place: str, value: object) -> None:
    problems = [problem for problem in refusals((place, value)) if problem.startswith(f"{place}: ")]
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("training.processes", 0, "a whole number from 1 to 1024"),
        ("training.processes", 1025, "a whole number from 1 to 1024"),
        ("data.max_train_rows", 0, "a whole number from 1 to 2147483647"),
        ("augmentation.swap", 1001, "a whole number from 0 to 1000"),
        ("training.rung.dropout", 1.0, "a number of at least 0 and less than 1"),
        ("training.rung.learning_rate", 0.0, "a number of more than 0 and at most 1"),
        ("weights.w1.learning_rate", 2, "a number of more than 0 and at most 1"),
        ("weights.w1.init", {"encoder": {"std": 0.0}}, "a number of more than 0 and at most 1000000"),
    ],
)
def test_a_refusal_says_both_ends_of_the_range(
    refusals: Refusals, place: str, value: object, expected: str
) -> None:
    assert any(
        problem.startswith(place) and problem.endswith(f" is not allowed; expected {expected}")
        for problem in refusals((place, value))
    )


def test_a_value_that_is_not_finite_is_called_so(refusals: Refusals) -> None:
    assert refusals(("distillation.logits", float("nan"))) == [
        "distillation.logits: nan is not a finite number"
    ]


def test_a_misspelt_choice_gets_the_nearest_one(refusals: Refusals) -> None:
    assert refusals(("weights.w1.data", "augmentd")) == [
        "weights.w1.data: 'augmentd' is not allowed; did you mean 'augmented'? allowed: plain, augmented"
    ]


# C4: what YAML reads differently from what was meant


def test_numbers_and_words_mean_what_they_mean_to_dvc(params_file: Callable[..., Path]) -> None:
    path = params_file(
        ("seed", 12345), ("training.rung.learning_rate", 0.12345), ("task.label_names", ["no", "maybe"])
    )
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.12345", "1e-5").replace("12345", "0o17").replace("maybe", "yes"))
    loaded = load(path)
    assert (loaded.seed, loaded.training.rung.learning_rate) == (15, 1e-5)
    assert loaded.task.label_names == ["no", "yes"]


def test_a_merge_key_means_what_it_says(tmp_path: Path) -> None:
    text = DEFAULT.read_text(encoding="utf-8").replace("  w8:\n", "  w8: &w8\n")
    text = text.replace(
        "weights_activations:\n", "  w8_again: {<<: *w8, init_from: w8}\nweights_activations:\n"
    )
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert (load(path).weights["w8_again"].bits, load(path).weights["w8_again"].init_from) == (8, "w8")


def test_a_date_is_refused_where_text_is_expected(refusals: Refusals) -> None:
    problems = refusals(("data.revision", datetime.date(2026, 1, 1)))
    assert problems == ["data.revision: 2026-01-01 is a date; expected text: put it in quotes"]


# C5: an alias bomb is answered at once (a few levels of nine would hang DVC itself)


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    levels = [f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9)}]" for i in range(1, 9)]
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(["b0: &b0 [x, x, x, x, x, x, x, x, x]", *levels]))
    with pytest.raises(ParamsError, match="aliases"):
        load(path)


# C6: shell text is a name like any other wrong name, and is never run


@pytest.mark.parametrize(
    "text", ["$(touch x)", "; touch x", "`touch x`", "../../x", "w1 && touch x", "W1", "1w", ""]
)
def test_only_plain_names_become_rungs_and_tasks(refusals: Refusals, default: Values, text: str) -> None:
    rung = default["weights"]["w8"]
    problems = refusals(("weights", {**default["weights"], text: rung}))
    assert any(
        f"weights.{text}: " in problem and "a name starts with a letter" in problem for problem in problems
    )
    assert any("task.name" in problem for problem in refusals(("task.name", text)))


def test_a_key_with_a_line_break_or_an_escape_stays_on_one_line(refusals: Refusals, default: Values) -> None:
    problems = refusals(("weights", {**default["weights"], "a\nb\x1b[31m": default["weights"]["w8"]}))
    assert all(problem.isprintable() for problem in problems)


# C7: fields that contradict each other


MRPC = (
    ("task.name", "mrpc"),
    ("task.generator", None),
    ("data", {"source": "path", "root": "somewhere"}),
    ("model", {"name": "mine", "source": "path", "location": "somewhere"}),
)
HUB = ("data", {"source": "hub", "repository": "nyu-mll/glue", "revision": "b" * 40})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([("data.source", "path")], "data.root: missing"),
        ([("data.root", "x")], "data.root: used by data.source: path only"),
        ([*MRPC, ("data", {"source": "path", "root": ""})], "data.root: missing"),
        ([*MRPC, ("data", {"source": "hub"})], "data.repository: missing"),
        ([*MRPC, ("data", {"source": "hub"})], "data.revision: missing"),
        ([*MRPC, HUB, ("data.revision", "main")], "data.revision: 'main' can move; expected a commit"),
        ([*MRPC, ("data", {"source": "demo"})], "data.source: demo generates the demo task only, not mrpc"),
        ([HUB], "data.source: the demo task is generated, not read from hub"),
        ([("task.generator", None)], "task.generator: missing"),
        ([("task.name", "mrpc")], "task.generator: mrpc is not generated"),
        ([("task.name", "mrpc")], "model.source: demo is pre-trained on the demo's own corpus"),
        ([("model.architecture", None)], "model.architecture: missing"),
        ([("model.source", "hub")], "model.architecture: comes with the model"),
        ([("model.source", "package")], "model.location: missing; model.source: package needs"),
        ([*MRPC, ("model.source", "hub")], "model.revision: missing"),
        ([("model.architecture.num_attention_heads", 7)], "is not divisible by 7 attention heads"),
        ([("task.max_length", 1000)], "task.max_length: 1000 tokens, but the model has"),
        ([("budget.rung", {})], "budget.rung: exactly one of steps and epochs is needed, neither is given"),
        (
            [("budget.rung.epochs", 1)],
            "budget.rung: exactly one of steps and epochs is needed, both are given",
        ),
        ([("weights.w1.duration", {})], "weights.w1.duration: exactly one of steps and epochs"),
        ([("budget.binary_activations", {})], "budget.binary_activations: exactly one of steps and epochs"),
        ([("budget.binary_activations.steps", 2)], "do not fit in 2 steps (budget.binary_activations)"),
        ([("weights.w8.duration", {"steps": 1})], "do not fit in 1 steps (weights.w8.duration)"),
        ([("budget.evaluations", 10_000)], "budget.evaluations: 10000 do not fit in"),
        ([("task.label_names", ["one"])], "task.label_names: classification needs at least 2 labels, got 1"),
        ([("task.label_names", ["a", "a"])], "task.label_names: a is written twice"),
        ([("task.kind", "regression")], "task.label_names: regression has no labels"),
        ([("task.kind", "regression")], "task.metrics: accuracy does not fit regression; allowed: pearson"),
        ([("task.metrics", ["pearson"])], "task.metrics: pearson does not fit classification; allowed: acc"),
        (
            [("task.label_names", ["a", "b", "c"]), ("task.metrics", ["f1"])],
            "task.metrics: f1 is defined here for 2 labels, the task has 3",
        ),
        ([("task.sentence_columns", ["label"])], "task.sentence_columns: label is no text column"),
        ([("task.validation_splits", ["train"])], "task.validation_splits: 'train' cannot be a validation"),
        (
            [("distillation", dict.fromkeys(("logits", "hidden_states", "attention_scores", "labels"), 0))],
            "distillation: every weight is 0",
        ),
        (
            [("augmentation.contextual", 0), ("augmentation.embedding", 0)],
            "weights.w1.data: augmented, but augmentation has 0 rows for every method",
        ),
    ],
)
def test_a_contradiction_is_refused(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    assert [found for found in refusals(*changes) if problem in found]


def test_a_task_read_from_files_with_a_local_model_is_accepted(refusals: Refusals) -> None:
    assert refusals(*MRPC) == []
    assert refusals(*MRPC, HUB) == []


SQUAD = (
    *MRPC,
    ("task.name", "squad"),
    ("task.kind", "question_answering"),
    ("task.sentence_columns", ["question", "context"]),
    ("task.label_names", []),
    ("task.metrics", ["exact_match", "f1"]),
    ("task.max_length", 384),
    (
        "task.answering",
        {"doc_stride": 128, "max_question_length": 64, "max_answer_length": 30, "unanswerable": False},
    ),
)


def test_questions_read_from_files_with_a_local_model_are_accepted(refusals: Refusals) -> None:
    assert refusals(*SQUAD) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([*SQUAD, ("task.answering", ...)], "task.answering: missing"),
        (
            [*MRPC, ("task.answering", dict(SQUAD[-1][1]))],
            "task.answering: used by kind: question_answering only",
        ),
        (
            [*SQUAD, ("task.sentence_columns", ["context", "question"])],
            "task.sentence_columns: context, question",
        ),
        (
            [*SQUAD, ("task.metrics", ["f1"])],
            "task.metrics: f1; question_answering is scored by exact_match and f1",
        ),
        (
            [*SQUAD, ("task.metrics", ["exact_match", "f1", "accuracy"])],
            "task.metrics: accuracy does not fit",
        ),
        ([*SQUAD, ("task.label_names", ["yes", "no"])], "task.label_names: question_answering has no labels"),
        ([*SQUAD, ("task.max_length", 195)], "task.max_length: 195 tokens hold no window"),
        (
            [*SQUAD, ("data", {"source": "path"})],
            "data.root: missing; data.source: path reads <root>/<task>/",
        ),
        ([*SQUAD, ("data.max_validation_rows", 0)], "data.max_validation_rows: 0 is not allowed"),
    ],
)
def test_what_questions_need_is_asked_for(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    found = refusals(*changes)
    assert len(found) == 1
    assert found[0].startswith(problem)


# the ladder


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [("weights.w4.init_from", "w88")],
            "weights.w4.init_from: no rung 'w88'; did you mean 'w8'? known: teacher, w8, w2, w1",
        ),
        (
            [("weights.w4.init_from", "pretrained")],
            "weights.w4.init_from: no rung 'pretrained'; known: teacher",
        ),
        ([("weights.w8.init_from", "w8")], "weights.w8.init_from: a circle: w8 from w8"),
        (
            [("weights.w8.init_from", "w2")],
            "weights.w8.init_from: a circle: w8 from w2 from w4 from w8; every rung must lead to teacher",
        ),
        ([("weights.w8.bits", 2)], "weights.w4.bits: 4 is more than its parent w8 has; at most 2"),
        (
            [("weights.w1.init_from", "w1a8"), ("weights_activations.w1a8.init_from", "w2")],
            "weights.w1.init_from: w1a8 has quantized activations, a rung under weights has not",
        ),
        (
            [("weights_activations.w1a8.init_from", "w1a4"), ("weights_activations.w1a4.init_from", "w1")],
            "weights_activations.w1a8.activation_bits: 8 is more than its parent w1a4 has; at most 4",
        ),
        (
            [("weights.w4.embedding_bits", 8), ("weights.w8.embedding_bits", 4)],
            "weights.w4.embedding_bits: 8 is more than its parent w8 has; at most 4",
        ),
        ([("weights.w8.embedding_bits", 2)], "weights.w4.embedding_bits: 4 is more than its parent w8 has"),
        ([("deliver", ["w1", "w3"])], "deliver: no rung 'w3'; known: w8, w4, w2, w1"),
        ([("deliver", ["w1", "w1"])], "deliver: w1 is written twice"),
        ([("deliver", ["teacher"])], "deliver: teacher is evaluated anyway"),
        ([("deliver", [])], "deliver: empty"),
    ],
)
def test_an_impossible_ladder_is_refused(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    assert [found for found in refusals(*changes) if found.startswith(problem)]


def test_a_circle_is_told_once_and_without_what_follows_from_it(refusals: Refusals) -> None:
    assert len(refusals(("weights.w8.init_from", "w1"))) == 1


def test_reserved_and_repeated_names_are_refused(refusals: Refusals, default: Values) -> None:
    rung = {"bits": 1, "activation_bits": 8, "init_from": "teacher", "taught_by": "teacher", "data": "plain"}
    problems = refusals(
        ("weights_activations", {**default["weights_activations"], "teacher": rung, "w1": rung})
    )
    assert any(
        problem.startswith("weights_activations.teacher: 'teacher' is reserved") for problem in problems
    )
    assert any(problem.startswith("weights_activations.w1: stands under both") for problem in problems)


def test_a_rung_may_repeat_its_parents_bits(refusals: Refusals) -> None:
    assert refusals(("weights.w4.bits", 8)) == []


# whatever stands in the file, the answer is parameters or problems


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


def test_checking_a_file_imports_no_torch() -> None:
    code = (
        "import sys, pathlib; from pipeline.params import load; load(pathlib.Path('params.yaml')); "
        "print(sorted({'torch', 'transformers', 'mlflow', 'prefect', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
