"""What a low-bit BERT's precision is, in one place: no torch, so that a plan and a file are checked by it.

A rung of params.yaml, a trained model's config.json and record.json, and a packed folder's config.json all
hold this description, written by `as_dict` and read back by `Precision(**values)`.
"""

from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StrictBool, model_validator
from pydantic.dataclasses import dataclass

from bitladder.quantizers.names import ACTIVATIONS, WEIGHTS, serving, serving_or_usual

FULL: Final = 32  # bits of what is left in full precision
Bits = Literal[1, 2, 4, 8, 32]
Granularity = Literal["row", "matrix", "group"]


# Not strict as a whole: a strict parent would take no mapping for it, and a file holds one.
@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=False))
class Precision:
    """Bits of one model, and how its numbers are quantized; 32 bits: left in full precision.

    Attributes:
        weights: of the matrices of encoder and pooler.
        embeddings: of the word, position and segment tables.
        activations: of what those matrices, and both products of attention, read.
        granularity: what shares a scale: a row, a matrix, or `group_size` neighbours within a row.
        split: every matrix and table is a sum of two binary ones: two codes of 1 bit per weight.
        weight_quantizer, activation_quantizer: by name; None for the usual one of that width.
        attention: softmax, or bi for BiBERT's Bi-Attention.
        feed_forward_activations: of what the second matrix of each feed-forward reads; None: as all others.
        scale_bits: of a stored scale: 16 is half precision; 8 (`scale_codes`) is for rows.
    """

    weights: Bits = FULL
    embeddings: Bits = FULL
    activations: Bits = FULL
    granularity: Granularity = "row"
    split: StrictBool = False
    group_size: Annotated[int, Field(gt=0, le=2**18, strict=True)] | None = None
    weight_quantizer: str | None = None
    activation_quantizer: str | None = None
    attention: Literal["softmax", "bi"] = "softmax"
    feed_forward_activations: Literal[1, 2, 4, 8] | None = None
    scale_bits: Literal[8, 16] = 16  # no other default: files of before do not say it

    @model_validator(mode="after")
    def _scales_fit(self) -> "Precision":
        if (self.granularity == "group") != (self.group_size is not None):
            raise ValueError("group_size is there where granularity is group, and only there")
        if self.split and not self.weights == self.embeddings == 1:
            raise ValueError("split is a sum of two of 1 bit, and weights or embeddings have others")
        if self.scale_bits == 8 and self.granularity != "row":
            raise ValueError(f"scale_bits 8 is for granularity row, and it is {self.granularity}")
        return self

    @model_validator(mode="after")
    def _activations_fit(self) -> "Precision":
        name = self.activation_quantizer
        if name is not None and name not in serving(ACTIVATIONS, self.activations):
            raise ValueError(f"no activation quantizer {name!r} serves activations {self.activations}")
        if self.attention == "bi" and self.activations != 1:
            raise ValueError(f"bi attends by signs, and activations have {self.activations} bits")
        if self.feed_forward_activations is not None and self.activations in (
            FULL,
            self.feed_forward_activations,
        ):
            raise ValueError(
                f"feed_forward_activations {self.feed_forward_activations} beside activations "
                f"{self.activations}; write other bits, or leave it out"
            )
        if name == "sign" and self.attention != "bi":
            raise ValueError("activation_quantizer sign needs attention bi: no probability has a sign")
        return self

    @property
    def is_full(self) -> bool:
        """Whether nothing is quantized."""
        return self.weights == self.embeddings == self.activations == FULL

    def as_dict(self) -> dict[str, Any]:
        """What is written of it: the bits and the granularity, of the others what is not as usual."""
        always = ("weights", "embeddings", "activations", "granularity")
        usual = asdict(Precision())
        return {n: value for n, value in asdict(self).items() if n in always or value != usual[n]}

    def quantizer_of_weights(self, *, is_table: bool = False) -> str:
        """The name of what its matrices (or tables) have: the named one where it serves their bits."""
        bits = self.embeddings if is_table else self.weights
        return "none" if bits == FULL else serving_or_usual(WEIGHTS, self.weight_quantizer, bits)

    def bits_of_activations(self, *, is_second: bool = False) -> int:
        """Of what its matrices read; `is_second`: of what the second of each feed-forward reads."""
        return (self.feed_forward_activations if is_second else None) or self.activations

    def quantizer_of_activations(self, *, is_second: bool = False) -> str:
        """The name of the one that they have: the named one where it serves their bits."""
        if self.activations == FULL:
            return "none"
        bits = self.bits_of_activations(is_second=is_second)
        return serving_or_usual(ACTIVATIONS, self.activation_quantizer, bits)
