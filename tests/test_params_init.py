"""`init` of a rung: short for the simple case, refused before anything runs where it names nothing or two
things."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_up import CONF
from ruamel.yaml import YAML

from flows.compose import compose
from pipeline.params import Params
from pipeline.params_file import ParamsError, load
from pipeline.rungs import Origin

RUNG = {"bits": 1, "activation_bits": 1, "init_from": "teacher", "taught_by": "teacher", "data": "plain"}


def loaded(folder: Path, init: Any, *overrides: str) -> Params:
    """The composed params.yaml with one rung of its own."""
    yaml = YAML(typ="safe", pure=True)
    yaml.representer.sort_base_mapping_type_on_output = False
    values = yaml.load(compose(list(overrides), CONF))
    values["weights_activations"]["mine"] = {**RUNG, "init": init}
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
    return load(folder / "params.yaml")


def refusals(folder: Path, init: Any) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        loaded(folder, init)
    return caught.value.problems


def test_the_simple_case_is_one_word_per_part(tmp_path: Path) -> None:
    rung = loaded(tmp_path, {"embeddings": "copy", "encoder": "random"}).rungs["mine"]
    assert not rung.init["embeddings"].is_drawn
    assert rung.init["encoder"] == Origin(distribution="normal")


def test_a_part_may_be_narrow_and_its_origin_said_closely(tmp_path: Path) -> None:
    init = {
        "encoder": "random",
        "encoder.first-1.ffn1": "copy",
        "encoder.0-1.q": {"distribution": "orthogonal", "std": 0.1, "seed": 3},
        "embeddings.norm": {"std": 0.5},
        "head": {"copy_from": "teacher"},
    }
    found = loaded(tmp_path, init).rungs["mine"].init
    assert list(found) == list(init)
    assert found["encoder.0-1.q"] == Origin(distribution="orthogonal", std=0.1, seed=3)
    assert [selector for selector, origin in found.items() if origin.is_drawn] == [
        *("encoder", "encoder.0-1.q", "embeddings.norm")
    ]


@pytest.mark.parametrize(
    ("init", "problem"),
    [
        ({"encodr": "random"}, "init.encodr: no part 'encodr'; did you mean 'encoder'? known: embeddings"),
        ({"encoder.norm": "random"}, "init.encoder.norm: encoder.norm: a layer has no 'norm'; did you mean"),
        ({"embeddings.words": "copy"}, "the embeddings have no 'words'; did you mean 'word'?"),
        ({"encoder.3": "random"}, "init.encoder.3: encoder.3: no layer 3; the model has 3, 0 to 2"),
        ({"encoder.last-4": "random"}, "encoder.last-4: 4 layers of 3"),
        (
            {"encoder.0": "random", "encoder.ffn1": "copy"},
            "init: encoder.0 and encoder.ffn1 both name encoder.0.ffn1, and neither lies within the other; "
            "write a narrower selector",
        ),
        (
            {"encoder.0-1": "copy", "encoder.first-2": "random"},
            "encoder.0-1 and encoder.first-2 name the same",
        ),
        (
            {"encoder": "randm"},
            "init.encoder: 'randm' is not allowed; did you mean 'random'? allowed: copy, ran",
        ),
        (
            {"encoder": {"distribution": "gaussian"}},
            "'gaussian' is not allowed; allowed: normal, uniform, orth",
        ),
        ({"encoder": {"stdev": 0.1}}, "init.encoder.stdev: unknown key; did you mean 'std'?"),
        ({"encoder": {"std": -1.0}}, "init.encoder.std: -1.0 is not allowed"),
        ({"encoder": {}}, "init.encoder: empty; write copy, random, or some of copy_from, distribution"),
        (
            {"encoder": {"copy_from": "teacher", "seed": 1}},
            "copy_from copies weights, and seed is for drawn ones; write one",
        ),
        ({"encoder": {"copy_from": "w1"}}, "init.encoder.copy_from: 'w1' is not allowed; allowed: teacher"),
        ({"encoder": None}, "init.encoder: empty; expected a mapping of keys"),
        ({3: "random"}, "this key is not text"),
        ("random", "init: 'random' is text; expected a mapping of names"),
    ],
)
def test_what_names_nothing_or_two_things_is_refused(tmp_path: Path, init: Any, problem: str) -> None:
    problems = refusals(tmp_path, init)
    assert len(problems) == 1
    assert problems[0].startswith("weights_activations.mine.init")
    assert problem in problems[0]


def test_the_method_stands_beside_the_parts(tmp_path: Path) -> None:
    rung = loaded(tmp_path, {"method": "reconstruct", "steps": 50, "head": "copy"}).rungs["mine"]
    assert (rung.reconstruct, list(rung.init)) == (50, ["head"])
    assert loaded(tmp_path, {"method": "reconstruct"}).rungs["mine"].reconstruct == 200
    assert loaded(tmp_path, {"method": "round"}).rungs["mine"].reconstruct is None


@pytest.mark.parametrize(
    ("init", "problem"),
    [
        ({"method": "reconstuct"}, "init.method: 'reconstuct' is not allowed; allowed: round, reconstruct"),
        ({"steps": 50}, "init.steps: 50 without method: reconstruct"),
        ({"method": "reconstruct", "steps": 0}, "reconstruct: 0 is not allowed"),
    ],
)
def test_a_method_that_is_none_is_refused(tmp_path: Path, init: Any, problem: str) -> None:
    assert problem in refusals(tmp_path, init)[0]


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    assert len(refusals(tmp_path, {"encoder.9": "random", "haed": "copy", "encoder.q.0": "copy"})) == 3


def test_layers_of_a_model_from_elsewhere_are_counted_when_its_files_are_there(tmp_path: Path) -> None:
    sizes = dict.fromkeys(
        ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings"), 4
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **sizes}))
    overrides = ("task=cola", "model=minilm", "model.source=path", f"model.location={tmp_path}")
    loaded(tmp_path, {"encoder.3": "random"}, *overrides)
    with pytest.raises(
        ParamsError, match=r"mine.init.encoder.4: encoder.4: no layer 4; the model has 4, 0 to 3"
    ):
        loaded(tmp_path, {"encoder.4": "random"}, *overrides)
