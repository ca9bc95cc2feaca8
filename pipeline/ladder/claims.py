"""Which claims params.yaml can make about two rungs, and which rungs each fits.

A claim names two rungs of equal bits, one of which should have the higher score. Without torch, so that a
claim about the wrong rungs is refused before anything is trained; how it is judged is in
`pipeline.evaluation.claims`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bitladder.quantizers.names import WEIGHTS, usual
from bitladder.quantizers.precision import FULL
from pipeline.rungs import TEACHER, Rung, ancestry


@dataclass(frozen=True)
class Way:
    """A rung, its parent, and so on to the first one that starts from the teacher."""

    rungs: tuple[Rung, ...]

    @property
    def rung(self) -> Rung:
        return self.rungs[0]

    @property
    def bits(self) -> tuple[int, int, int]:
        """Of weights, embeddings and activations."""
        return self.rung.bits, self.rung.embeddings, self.rung.activations

    @property
    def drawn(self) -> set[str]:
        """Selectors of everything that was drawn at random on the way."""
        return {selector for rung in self.rungs for selector in rung.drawn}

    def draws_all_of(self, *sections: str) -> bool:
        """Whether these, as encoder, were drawn whole: none of their parts was copied after all."""
        copied = {
            selector.split(".")[0]
            for rung in self.rungs
            for selector, origin in rung.init.items()
            if not origin.is_drawn and selector.split(".")[0] in rung.drawn
        }
        return {*sections} <= self.drawn and not copied & {*sections}


def way(rungs: Mapping[str, Rung], name: str) -> Way:
    """Raises KeyError or ValueError where it does not lead to the teacher."""
    return Way(tuple(rungs[each] for each in ancestry(rungs, name)[:-1]))


@dataclass(frozen=True)
class Kind:
    """One kind of claim.

    Attributes:
        statement: what is claimed, of {better} and {worse}.
        needs: what they must be beside of equal bits, of {better} and {worse}.
        fits: whether they are.
        is_about_data: the two differ in their data on purpose.
        is_about_size: their files' sizes are part of what is claimed.
    """

    statement: str
    needs: str
    fits: Callable[[Way, Way], bool]
    is_about_data: bool = False
    is_about_size: bool = False


KINDS = {
    # Le et al., SustaiNLP 2022
    "stepped": Kind(
        "Reached step by step, {better} beats {worse}, which takes fewer rungs",
        "{better} must have more rungs on its way from the teacher than {worse}",
        lambda better, worse: len(better.rungs) > len(worse.rungs),
    ),
    "staged": Kind(
        "Weights first and then activations, {better} beats {worse}, which quantizes both at once",
        "{better} must have a rung of 32-bit activations on its way, and {worse} none",
        lambda better, worse: _has_full_activations(better) and not _has_full_activations(worse),
    ),
    "ternary_without_augmentation": Kind(
        "Ternary and without augmented data, {better} beats {worse}, TernaryBERT's recipe with it",
        "{better} must have 2-bit weights and plain data all the way, and {worse} must be TernaryBERT's "
        "recipe: 2-2-8 from the teacher in one rung, by twn or lat, of whole width, on augmented data, "
        "taught by the teacher with the losses of the whole ladder",
        lambda better, worse: better.rung.bits == 2 and _augmented(better) == 0 and _is_ternarybert(worse),
        is_about_data=True,
    ),
    "no_splitting": Kind(
        "With one binary matrix where the other has a sum of two, {better} beats {worse}, made by ternary "
        "weight splitting",
        "both must have 1-bit weights, {worse} with split: true and {better} without",
        lambda better, worse: (
            better.rung.bits == worse.rung.bits == 1 and worse.rung.split and not better.rung.split
        ),
        is_about_size=True,
    ),
    # Ardakani, Findings of EMNLP 2022
    "random_encoder_against_pretrained": Kind(
        "With pre-trained embeddings and a random encoder, {better} beats {worse}, all of it pre-trained",
        "both must have 1-bit weights and activations, {better} with init: {{encoder: random}} and nothing "
        "else drawn, {worse} with nothing drawn",
        lambda better, worse: (
            _is_binary(better) and _is_binary(worse) and _is_half_random(better) and not worse.drawn
        ),
    ),
    "random_encoder_against_random": Kind(
        "With pre-trained embeddings and a random encoder, {better} beats {worse}, with both random",
        "both must have 1-bit weights and activations, {better} with init: {{encoder: random}} and nothing "
        "else drawn, {worse} with all of embeddings and encoder drawn",
        lambda better, worse: (
            _is_binary(better)
            and _is_binary(worse)
            and _is_half_random(better)
            and worse.draws_all_of("embeddings", "encoder")
        ),
    ),
    # of the peers' recipes
    "general": Kind(
        "From a rung that learned from plain text, {better} beats {worse}, from the task's teacher",
        "{better} must have a general rung on its way, and {worse} none",
        lambda better, worse: _is_general(better) and not _is_general(worse),
        is_about_data=True,
    ),
    "augmentation": Kind(
        "With augmented data, {better} beats {worse}, which has less of it",
        "{better} must have more rungs with data: augmented on its way than {worse}",
        lambda better, worse: _augmented(better) > _augmented(worse),
        is_about_data=True,
    ),
    "multi_distilled": Kind(
        "Taught by the rung it starts from, {better} beats {worse}, taught by the full-precision teacher",
        "{better} must start from a rung and be taught by it, and {worse} be taught by the teacher",
        lambda better, worse: (
            better.rung.taught_by == better.rung.init_from != TEACHER and worse.rung.taught_by == TEACHER
        ),
    ),
    "phases": Kind(
        "In phases, {better} beats {worse}, trained with one loss throughout",
        "{better} must have phases, and {worse} none",
        lambda better, worse: bool(better.rung.phases) and not worse.rung.phases,
    ),
    "one_stage": Kind(
        "Trained in one go, {better} beats {worse}, which takes more rungs",
        "{better} must have fewer rungs on its way from the teacher than {worse}",
        lambda better, worse: len(better.rungs) < len(worse.rungs),
    ),
}


def qualified(verdict: str, unequal: Sequence[str]) -> str:
    """`holds (unequal steps and data)`: a verdict, and what else the two rungs differ in."""
    return f"{verdict} (unequal {' and '.join(unequal)})" if unequal else verdict


def _augmented(way: Way) -> int:
    return sum(rung.data == "augmented" for rung in way.rungs)


def _is_general(way: Way) -> bool:
    return any(rung.stage == "general" for rung in way.rungs)


def _has_full_activations(way: Way) -> bool:
    return any(rung.activations == FULL for rung in way.rungs)


def _is_binary(way: Way) -> bool:
    return way.rung.bits == way.rung.activations == 1


def _is_half_random(way: Way) -> bool:
    """The whole encoder at random, and nothing else."""
    return way.drawn == {"encoder"} and way.draws_all_of("encoder")


def _is_ternarybert(way: Way) -> bool:
    """Zhang et al., EMNLP 2020, arXiv:2009.12812; the ladder's own losses are its."""
    rung = way.rung
    return (
        way.bits == (2, 2, 8)
        and [each.data for each in way.rungs] == ["augmented"]
        and (rung.weight_quantizer or usual(WEIGHTS, rung.bits)) in ("twn", "lat")
        and rung.width == 1
        and rung.taught_by == TEACHER
        and not (rung.phases or rung.distillation or way.drawn)
    )
