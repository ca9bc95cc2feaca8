"""What is timed: two shapes of model and batch, and the training steps that are set side by side.

Nothing here imports torch: the process that only asks and prints stays small.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["plain", "our_plain", "lower_bound", "distillation"]
Gradients = Literal["float32", "bfloat16"]
PLAIN = "plain"


@dataclass(frozen=True)
class Shape:
    """A BERT classifier and its batch.

    Attributes:
        rows: sequences in a batch.
        tokens: of the longest; the others are shorter, down to half of it.
        steps_per_round: steps that are timed at once; more where one is too short to be measured.
    """

    name: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    rows: int
    tokens: int
    steps_per_round: int

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.num_hidden_layers} layers of {self.hidden_size}, feed-forward "
            f"{self.intermediate_size}, {self.num_attention_heads} heads, vocabulary {self.vocab_size}; "
            f"{self.rows} rows of {self.tokens // 2} to {self.tokens} tokens"
        )


SHAPES = {
    "minilm": Shape("minilm", 30522, 384, 6, 12, 1536, 512, rows=32, tokens=64, steps_per_round=1),
    "demo": Shape("demo", 240, 64, 3, 4, 256, 32, rows=32, tokens=15, steps_per_round=20),
}


@dataclass(frozen=True)
class Variant:
    """One way to take a training step.

    Attributes:
        kind: fine-tuning without any of our code; the same with our layers, which quantize nothing but
            choose the products' routines; the least that distillation needs (student forward and backward,
            teacher forward) without our code; our distillation of a 1-bit student.
        activation_bits: the student's; 32 where they are not quantized.
        gradients: precision of the backward pass's products and of the teacher's forward pass. For plain
            fine-tuning, bfloat16 means torch's autocast.
        is_reference: our distillation without its fast paths.
    """

    name: str
    kind: Kind
    activation_bits: int = 32
    gradients: Gradients = "float32"
    is_reference: bool = False

    @property
    def environment(self) -> dict[str, str]:
        return {"BITLADDER_KERNELS": "plain"} if self.is_reference else {}

    @property
    def reference(self) -> str | None:
        """The variant that computes the same without fast paths."""
        return f"w1a{self.activation_bits}-reference" if self.kind == "distillation" else None


def _distillations(bits: int) -> list[Variant]:
    return [
        Variant(f"w1a{bits}", "distillation", bits),
        Variant(f"w1a{bits}-bf16", "distillation", bits, "bfloat16"),
        Variant(f"w1a{bits}-reference", "distillation", bits, is_reference=True),
    ]


_LISTED = [
    Variant(PLAIN, "plain"),
    Variant("plain-bf16", "plain", gradients="bfloat16"),
    Variant("plain-ours", "our_plain"),
    Variant("lower-bound", "lower_bound"),
    *(variant for bits in (32, 8, 4, 1) for variant in _distillations(bits)),
]
VARIANTS = {variant.name: variant for variant in _LISTED}
