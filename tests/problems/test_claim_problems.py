"""A claim that could show nothing is refused before anything is trained."""

from typing import Any

import pytest
from changed_params import Change, Refusals

from pipeline.ladder.claims import KINDS

BINARY = {"bits": 1, "activation_bits": 1, "init_from": "teacher", "taught_by": "teacher", "data": "plain"}
TERNARY = {"bits": 2, "activation_bits": 8, "init_from": "teacher", "taught_by": "teacher", "data": "plain"}
SPLIT = {"bits": 1, "split": True, "init_from": "w2", "taught_by": "teacher", "data": "plain"}
PHASES = [
    {
        "share": share,
        "distillation": {"logits": 1.0, "hidden_states": 1.0, "attention_scores": 0.0, "labels": 0.0},
    }
    for share in (0.5, 0.5)
]
MORE = {
    "r": {**BINARY, "init": {"encoder": "random"}},
    "rr": {**BINARY, "init": {"encoder": "random", "embeddings": {"std": 0.1}}},
    "last": {**BINARY, "init": {"encoder.last-2": "random"}},
    "most": {**BINARY, "init": {"encoder": "random", "encoder.ffn1": "copy"}},
    "head": {**BINARY, "init": {"encoder": "random", "head": "random"}},
    "norms": {**BINARY, "init": {"encoder": "random", "embeddings.norm": "random"}},
    "p": BINARY,
    "p_augmented": {**BINARY, "data": "augmented"},
    "p_phases": {**BINARY, "phases": PHASES},
    "p_taught": {**BINARY, "init_from": "p", "taught_by": "p"},
    "p_taught_alone": {**BINARY, "taught_by": "p"},
    "t": TERNARY,
    "t_augmented": {**TERNARY, "data": "augmented"},
    "t_lat": {**TERNARY, "data": "augmented", "weight_quantizer": "lat"},
    "t_lsq": {**TERNARY, "data": "augmented", "weight_quantizer": "lsq"},
    "t_phases": {**TERNARY, "data": "augmented", "phases": PHASES},
    "t_logits": {**TERNARY, "data": "augmented", "distillation": PHASES[0]["distillation"]},
    "t_half": {**TERNARY, "data": "augmented", "width": 0.5},
    "t_stepped": {**TERNARY, "data": "augmented", "init_from": "w2"},
    "t_taught": {**TERNARY, "data": "augmented", "taught_by": "t"},
    "together8": {**TERNARY, "bits": 8},
    "together2": {**TERNARY, "init_from": "together8"},
    "stepped2": {**TERNARY, "init_from": "w2"},
    "s": {**SPLIT, "activation_bits": 8},
    "from_general": {**TERNARY, "init_from": "g"},
}
GENERAL = {"g": {"bits": 2, "activation_bits": 8, "init_from": "pretrained", "duration": {"steps": 9}}}
# One pair that each kind is about.
PAIRS = {
    "stepped": ("stepped2", "t"),
    "staged": ("stepped2", "together2"),
    "ternary_without_augmentation": ("t", "t_augmented"),
    "no_splitting": ("w1a8", "s"),
    "random_encoder_against_pretrained": ("r", "p"),
    "random_encoder_against_random": ("r", "rr"),
    "general": ("from_general", "t"),
    "augmentation": ("p_augmented", "p"),
    "multi_distilled": ("p_taught", "p"),
    "phases": ("p_phases", "p"),
    "one_stage": ("t", "stepped2"),
}
EVERY = ["w8", "w4", "w2", "w1", "w1a8", "w1a4", "w1a1", "w1a8_direct", "w1a1_random", *MORE]


def claimed(*claims: tuple[str, str, str], **rungs: dict[str, Any]) -> list[Change]:
    added = [(f"weights_activations.{name}", rung) for name, rung in (MORE | rungs).items()]
    entries = [{"claim": kind, "better": better, "worse": worse} for kind, better, worse in claims]
    return [("general", GENERAL), *added, ("deliver", EVERY), ("claims", entries)]


@pytest.fixture
def of_claims(refusals: Refusals) -> Refusals:
    return lambda *changes: [found for found in refusals(*changes) if found.startswith("claims")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_pair_that_a_kind_is_about_is_accepted(of_claims: Refusals, kind: str) -> None:
    assert of_claims(*claimed((kind, *PAIRS[kind]))) == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("stepped", "one_stage")])
def test_turned_round_it_is_refused(of_claims: Refusals, kind: str) -> None:
    better, worse = PAIRS[kind]
    [problem] = of_claims(*claimed((kind, worse, better)))
    needs = KINDS[kind].needs.format(better=worse, worse=better)
    assert problem == f"claims[0]: {kind} does not fit: {needs}"


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        (("steped", "w1a8", "w1a8_direct"), "claims[0].claim: no claim 'steped'; did you mean 'stepped'?"),
        (("stepped", "w1a9", "w1a8_direct"), "claims[0].better: no rung 'w1a9'; did you mean 'w1a8'?"),
        (("stepped", "w1a8", "teacher"), "claims[0].worse: no rung 'teacher'"),
        (("stepped", "w1a8", "w1a8"), "claims[0].worse: w1a8 cannot beat itself"),
        (("stepped", "w1a4", "w1a8_direct"), "w1a4 has 1-1-4, w1a8_direct 1-1-8"),
        (
            ("stepped", "w1a8_direct", "w1a8"),
            "claims[0]: stepped does not fit: w1a8_direct must have more rungs",
        ),
        (
            ("random_encoder_against_pretrained", "r", "rr"),
            "r with init: {encoder: random} and nothing else drawn, rr with nothing drawn",
        ),
        (
            ("ternary_without_augmentation", "t", "stepped2"),
            "stepped2 must be TernaryBERT's recipe: 2-2-8 from the teacher in one rung",
        ),
    ],
)
def test_what_proves_nothing_is_refused(
    of_claims: Refusals, claim: tuple[str, str, str], problem: str
) -> None:
    [found] = of_claims(*claimed(claim))
    assert problem in found


@pytest.mark.parametrize("drawn", ["last", "most", "head"])
def test_a_random_encoder_is_all_of_it_and_nothing_else(of_claims: Refusals, drawn: str) -> None:
    [problem] = of_claims(*claimed(("random_encoder_against_pretrained", drawn, "p")))
    assert "nothing else drawn" in problem


def test_both_random_is_all_of_the_embeddings_too(of_claims: Refusals) -> None:
    [problem] = of_claims(*claimed(("random_encoder_against_random", "r", "norms")))
    assert "norms with all of embeddings and encoder drawn" in problem


def test_multi_distilled_is_by_way_of_its_teacher(of_claims: Refusals) -> None:
    [problem] = of_claims(*claimed(("multi_distilled", "p_taught_alone", "p")))
    assert "p_taught_alone must start from a rung and be taught by it" in problem


def test_lat_is_ternarybert_too(of_claims: Refusals) -> None:
    assert of_claims(*claimed(("ternary_without_augmentation", "t", "t_lat"))) == []


@pytest.mark.parametrize("other", ["t_lsq", "t_phases", "t_logits", "t_half", "t_stepped", "t_taught"])
def test_what_is_not_its_recipe_is_not_called_ternarybert(of_claims: Refusals, other: str) -> None:
    [problem] = of_claims(*claimed(("ternary_without_augmentation", "t", other)))
    assert f"{other} must be TernaryBERT's recipe: 2-2-8 from the teacher in one rung, by twn" in problem


def test_a_rung_that_is_not_delivered_has_no_score(of_claims: Refusals) -> None:
    changes = [*claimed(("stepped", "w1a8", "w1a8_direct")), ("deliver", ["w1a8"])]
    [problem] = of_claims(*changes)
    assert problem == "claims[0].worse: w1a8_direct is not delivered, so it gets no score; add it to deliver"


def test_augmented_data_anywhere_on_the_way_is_augmentation(of_claims: Refusals) -> None:
    """w1a8 starts from w1, which saw augmented data."""
    plain = ("weights_activations.w1a8_direct_start.data", "plain")
    assert of_claims(*claimed(("augmentation", "w1a8", "w1a8_direct")), plain) == []


def test_the_same_claim_twice_is_refused_once(of_claims: Refusals) -> None:
    claim = ("stepped", "w1a8", "w1a8_direct")
    [problem] = of_claims(*claimed(claim, claim))
    assert problem.startswith("claims[1]: stepped of w1a8 and w1a8_direct is written twice")


def test_a_claim_that_is_no_claim_is_the_fields_problem(of_claims: Refusals) -> None:
    assert of_claims(("claims", [{"claim": "stepped", "better": 1}])) == [
        "claims[0].better: 1 is a whole number; expected text: put it in quotes",
        "claims[0].worse: missing",
    ]
    assert of_claims(("claims", "stepped")) == ["claims: 'stepped' is text; expected a list, as in [a, b]"]
