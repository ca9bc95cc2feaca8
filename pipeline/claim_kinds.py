"""What a claim of params.yaml says, kind by kind, and which two rungs it can be about.

A claim names two rungs of equal bits, one of which should win. Without torch, so that a claim about the wrong
rungs is refused before anything is trained; how it is judged is in `pipeline.evaluation.claims`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What of a rung a claim can be about; tuples run from the rung up to below the teacher.

    Attributes:
        bits: of weights, embeddings, activations.
        data: plain or augmented.
        activation_bits: 32 means untouched.
        drawn: selectors of everything that was drawn at random on the way.
        kept: selectors of what within those was copied after all.
        weight_quantizer: by name, the width's own too.
        taught_by_parent: by the rung it starts from.
        has_own_losses: other than the ladder's: phases, or a `distillation` of its own.
    """

    bits: tuple[int | None, int | None, int | None]
    data: tuple[str | None, ...]
    activation_bits: tuple[int | None, ...]
    drawn: tuple[str, ...]
    kept: tuple[str, ...]
    weight_quantizer: str | None
    width: float
    split: bool
    taught_by_teacher: bool
    taught_by_parent: bool
    has_phases: bool
    has_own_losses: bool

    @property
    def num_rungs(self) -> int:
        return len(self.data)

    def draws_all_of(self, *parts: str) -> bool:
        """Whether these parts, whole, were drawn."""
        return {*parts} <= {*self.drawn} and not any(name.split(".")[0] in parts for name in self.kept)


@dataclass(frozen=True)
class Kind:
    """Attributes:
    statement: what is claimed, of {better} and {worse}.
    needs: what the two rungs have to be, in words, beside of equal bits.
    fits: whether they are.
    is_about_data: the two differ in their data on purpose.
    is_about_size: their files' sizes are part of what is claimed.
    """

    statement: str
    needs: str
    fits: Callable[[Facts, Facts], bool]
    is_about_data: bool = False
    is_about_size: bool = False


KINDS = {
    # Le et al., SustaiNLP 2022
    "stepped": Kind(
        "Reached step by step, {better} beats {worse}, which takes fewer rungs",
        "better with more rungs on its way from the teacher than worse",
        lambda better, worse: better.num_rungs > worse.num_rungs,
    ),
    "staged": Kind(
        "Weights first and then activations, {better} beats {worse}, with both quantized at once",
        "better with a rung of 32-bit activations on its way, worse with none",
        lambda better, worse: 32 in better.activation_bits and 32 not in worse.activation_bits,
    ),
    "ternary_without_augmentation": Kind(
        "Ternary and without augmented data, {better} beats {worse}, TernaryBERT's recipe with it",
        "better of 2-bit weights on plain data all the way, worse 2-2-8 from the teacher in one rung, by twn "
        "or lat, of whole width, on augmented data, with the teacher and the losses that the ladder has",
        lambda better, worse: (
            better.bits[0] == 2 and "augmented" not in better.data and _is_ternarybert(worse)
        ),
        is_about_data=True,
    ),
    "no_splitting": Kind(
        "With one binary matrix where the other has a sum of two, {better} beats {worse}, made by ternary "
        "weight splitting",
        "both of 1-bit weights, worse with split: true, better without",
        lambda better, worse: better.bits[0] == worse.bits[0] == 1 and worse.split and not better.split,
        is_about_size=True,
    ),
    # Ardakani, Findings of EMNLP 2022
    "random_encoder_against_pretrained": Kind(
        "With pre-trained embeddings and a random encoder, {better} beats {worse}, all of it pre-trained",
        "both of 1-bit weights and activations, better with init: {encoder: random} and nothing else "
        "drawn, worse with nothing drawn",
        lambda better, worse: (
            _is_binary(better) and _is_binary(worse) and _is_half_random(better) and not worse.drawn
        ),
    ),
    "random_encoder_against_random": Kind(
        "With pre-trained embeddings and a random encoder, {better} beats {worse}, with both random",
        "both of 1-bit weights and activations, better with init: {encoder: random} and nothing else drawn, "
        "worse with all of embeddings and encoder drawn",
        lambda better, worse: (
            _is_binary(better)
            and _is_binary(worse)
            and _is_half_random(better)
            and worse.draws_all_of("embeddings", "encoder")
        ),
    ),
    # of the peers' recipes
    "augmentation": Kind(
        "With augmented data, {better} beats {worse}, with less of it",
        "better with data: augmented on its way more often than worse",
        lambda better, worse: better.data.count("augmented") > worse.data.count("augmented"),
        is_about_data=True,
    ),
    "multi_distilled": Kind(
        "By way of a rung that also teaches it, {better} beats {worse}, taught by the full-precision teacher",
        "better started from a rung and taught by that, worse taught by the teacher",
        lambda better, worse: better.taught_by_parent and worse.taught_by_teacher,
    ),
    "phases": Kind(
        "In phases, {better} beats {worse}, trained with one loss throughout",
        "better with phases, worse without",
        lambda better, worse: better.has_phases and not worse.has_phases,
    ),
    "one_stage": Kind(
        "Trained in one go, {better} beats {worse}, which takes more rungs",
        "better with fewer rungs on its way from the teacher than worse",
        lambda better, worse: better.num_rungs < worse.num_rungs,
    ),
}


def qualified(verdict: str, unequal: Sequence[str]) -> str:
    """`holds (unequal steps and data)`: a verdict, and what else the two rungs differ in."""
    return f"{verdict} (unequal {' and '.join(unequal)})" if unequal else verdict


def _is_binary(rung: Facts) -> bool:
    return rung.bits[0] == rung.bits[2] == 1


def _is_half_random(rung: Facts) -> bool:
    """The whole encoder at random, and nothing else."""
    return {*rung.drawn} == {"encoder"} and rung.draws_all_of("encoder")


def _is_ternarybert(rung: Facts) -> bool:
    """Zhang et al., EMNLP 2020, arXiv:2009.12812; the ladder's own losses are its."""
    return (
        rung.bits == (2, 2, 8)
        and rung.data == ("augmented",)
        and rung.weight_quantizer in ("twn", "lat")
        and rung.width == 1
        and rung.taught_by_teacher
        and not (rung.has_own_losses or rung.drawn)
    )
