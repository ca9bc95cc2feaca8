"""The cost of a training step, as a ratio to plain fine-tuning in full precision.

    python benchmarks/training_step.py [--shape minilm] [--rounds 9] [--variants w1a8 w1a8-bf16] [--json]

Every step is timed in turns with the plain one, or with the one that `--beside` names, in one process each
(see interleaved.py), and divided by it round by round. Beside the time stands the loss of the second step: it
depends on the first step's gradients, and has to be the reference path's.

`minilm` and `demo` train on one batch, as in a first epoch: nothing is recalled of the teacher. `minilm-cola`
and `minilm-mrpc` have an epoch of several hundred made-up rows, of words as frequent as in a language, and
are timed from its second round on; the output says which share of the teacher's answers was recalled.
`w1a8-before` is a step without any of the SAVINGS, `w1a8-only-NAME` one with that alone; what the last step
lost must not depend on them.

Nothing here imports torch: the process that only asks and prints stays small.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Literal

from interleaved import HERE, Answer, Middle, as_markdown, middle, started, take_turns
from shapes import SHAPES, Shape

WARM_UP = 2  # steps: the first allocates, the second's loss is reported
AT_ONCE = 5  # processes of up to 1.7 GB
HEAD = [
    "step",
    "time / {}",
    "ms",
    "peak MiB",
    "recalled",
    "loss of step 2",
    "minus reference",
    "last",
]
# What makes a step cheaper and changes nothing in it, by the name that `Variant.savings` uses:
# the products' routine by the processor's maker; the teacher's answers about rows seen before; AdamW's steps
# of words that no batch looks up; compiled loops for codes.
SAVINGS = ("routine", "kept-answers", "put-off", "loops")
Kind = Literal["plain", "our_plain", "lower_bound", "distillation"]
Gradients = Literal["float32", "bfloat16"]
PLAIN = "plain"


@dataclass(frozen=True)
class Workload:
    """A BERT classifier and its batch.

    Attributes:
        rows: sequences in a batch.
        tokens: of the longest; the others are shorter, down to half of it.
        steps_per_round: steps that are timed at once; more where one is too short to be measured.
        batches: different ones in an epoch; of a single one, nothing is recalled.
    """

    name: str
    shape: Shape
    rows: int
    tokens: int
    steps_per_round: int
    batches: int = 1

    @property
    def warm_up(self) -> int:
        """Steps: the first allocates, the second's loss is reported, and the first epoch is through."""
        return WARM_UP if self.batches == 1 else self.batches + WARM_UP

    def __str__(self) -> str:
        bert = self.shape
        return (
            f"{self.name}: {bert.num_hidden_layers} layers of {bert.hidden_size}, feed-forward "
            f"{bert.intermediate_size}, {bert.num_attention_heads} heads, vocabulary {bert.vocab_size}; "
            f"{self.rows} rows of {self.tokens // 2} to {self.tokens} tokens{self._epochs()}"
        )

    def _epochs(self) -> str:
        if self.batches == 1:
            return ", the same in every step"
        return f"; {self.rows * self.batches} different rows, measured from the second epoch on"


WORKLOADS = {
    "minilm": Workload("minilm", SHAPES["minilm"], rows=32, tokens=64, steps_per_round=1),
    "minilm-cola": Workload(
        "minilm-cola", SHAPES["minilm"], rows=32, tokens=12, steps_per_round=4, batches=16
    ),
    "minilm-mrpc": Workload(
        "minilm-mrpc", SHAPES["minilm"], rows=16, tokens=50, steps_per_round=2, batches=16
    ),
    "demo": Workload("demo", SHAPES["demo"], rows=32, tokens=15, steps_per_round=20),
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
        savings: which of SAVINGS our distillation has.
    """

    name: str
    kind: Kind
    activation_bits: int = 32
    gradients: Gradients = "float32"
    is_reference: bool = False
    savings: tuple[str, ...] = SAVINGS


def _distillations(bits: int) -> list[Variant]:
    return [
        Variant(f"w1a{bits}", "distillation", bits),
        Variant(f"w1a{bits}-bf16", "distillation", bits, "bfloat16"),
        Variant(f"w1a{bits}-reference", "distillation", bits, is_reference=True, savings=()),
        Variant(f"w1a{bits}-before", "distillation", bits, savings=()),
        Variant(f"w1a{bits}-before-bf16", "distillation", bits, "bfloat16", savings=()),
        *(Variant(f"w1a{bits}-only-{name}", "distillation", bits, savings=(name,)) for name in SAVINGS),
    ]


_LISTED = [
    Variant(PLAIN, "plain", savings=()),
    Variant("plain-bf16", "plain", gradients="bfloat16", savings=()),
    Variant("plain-ours", "our_plain"),
    Variant("lower-bound", "lower_bound", savings=()),
    *(variant for bits in (32, 8, 4, 1) for variant in _distillations(bits)),
]
VARIANTS = {variant.name: variant for variant in _LISTED}


@dataclass(frozen=True)
class Row:
    """One variant's figures.

    Attributes:
        ratio: its time over that of the step beside it, in the same round.
        milliseconds: of a step; CPU time with one thread, else wall time.
        recalled: share of the rows about which the teacher did not have to be asked again.
        second_loss, last_loss: the second step's and that of the last that was timed.
        difference: of that loss to the reference path's; None where there is none or it did not run.
    """

    shape: str
    variant: str
    ratio: Middle
    milliseconds: Middle
    peak_mib: int
    recalled: float
    second_loss: float
    last_loss: float
    difference: float | None


@dataclass(frozen=True)
class Measured:
    """One workload's rows and, from a worker, what they depend on: `threads`, `torch`, CPU features."""

    workload: Workload
    machine: dict[str, Any]
    rows: list[Row]


def measure(
    workload: Workload, variants: Sequence[Variant], *, beside: str, rounds: int, threads: int
) -> Measured:
    timed: dict[str, tuple[list[Answer], list[Answer]]] = {}
    for group in groups(variants, beside):
        answers = _run(workload, group, rounds=rounds, threads=threads)
        timed = {**{name: (own, answers[beside]) for name, own in answers.items()}, **timed}
    losses = {name: own[0]["losses"][1] for name, (own, _) in timed.items()}
    rows = [_row(workload, variant, *timed[variant.name], losses) for variant in variants]
    return Measured(workload, timed[beside][0][0]["machine"], rows)


def groups(variants: Sequence[Variant], beside: str) -> Iterator[list[Variant]]:
    """So few at once that they fit in memory, each time with the step to compare with."""
    others = [variant for variant in variants if variant.name != beside]
    for start in range(0, max(1, len(others)), AT_ONCE - 1):
        yield [VARIANTS[beside], *others[start : start + AT_ONCE - 1]]


def _run(workload: Workload, group: list[Variant], *, rounds: int, threads: int) -> dict[str, list[Answer]]:
    with ExitStack() as stack:
        workers = []
        for variant in group:
            wanted = json.dumps({"shape": workload.name, "variant": variant.name})
            variables = {"BITLADDER_KERNELS": "plain"} if variant.is_reference else {}
            command = [str(HERE / "step_worker.py"), wanted]
            worker = started(variant.name, command, threads=threads, **variables)
            workers.append(stack.enter_context(worker))
        request = {"steps": workload.steps_per_round}
        return take_turns(workers, warm_up={"steps": workload.warm_up}, rounds=rounds, request=request)


def _row(
    workload: Workload,
    variant: Variant,
    answers: list[Answer],
    beside: list[Answer],
    losses: dict[str, float],
) -> Row:
    clock = "cpu_seconds" if answers[0]["machine"]["threads"] == 1 else "wall_seconds"
    pairs = [(own[clock], other[clock]) for own, other in zip(answers[1:], beside[1:], strict=True)]
    loss = losses[variant.name]
    reference = losses.get(f"w1a{variant.activation_bits}-reference")
    return Row(
        shape=workload.name,
        variant=variant.name,
        ratio=middle([own / other for own, other in pairs]),
        milliseconds=middle([1000 * own / workload.steps_per_round for own, _ in pairs]),
        peak_mib=answers[-1]["peak_mib"],
        recalled=answers[-1]["recalled"],
        second_loss=loss,
        last_loss=answers[-1]["last_loss"],
        difference=None if variant.kind != "distillation" or reference is None else loss - reference,
    )


def as_text(measured: Measured, rounds: int, beside: str) -> str:
    machine = measured.machine
    clock = "CPU time" if machine["threads"] == 1 else "wall time"
    conditions = (
        f"{machine['threads']} thread, {clock}, median [quartiles] of {rounds} rounds, "
        f"torch {machine['torch']}, {' '.join([machine['vectors'], *machine['features']])}"
    )
    rows = []
    for row in measured.rows:
        difference = "" if row.difference is None else f"{row.difference:+.1e}"
        time = [row.ratio.text(2), f"{row.milliseconds.median:.1f}", row.peak_mib]
        losses = [f"{row.second_loss:.5f}", difference, f"{row.last_loss:.7f}"]
        rows.append([row.variant, *time, f"{row.recalled:.0%}", *losses])
    head = [name.format(beside) for name in HEAD]
    return f"{measured.workload}\n{conditions}\n\n{as_markdown([head, *rows], words=1)}\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument(
        "--beside", choices=VARIANTS, default=PLAIN, metavar="VARIANT", help="what to divide by"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="more than one: wall time instead of CPU time")
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    return parser.parse_args()


def main() -> None:
    asked = _arguments()
    variants = [VARIANTS[name] for name in dict.fromkeys([asked.beside, *asked.variants])]
    found = []
    for name in asked.shape:
        found.append(
            measure(
                WORKLOADS[name], variants, beside=asked.beside, rounds=asked.rounds, threads=asked.threads
            )
        )
        if not asked.json:
            print(as_text(found[-1], asked.rounds, asked.beside), flush=True)
    if asked.json:
        rows = [asdict(row) for measured in found for row in measured.rows]
        print(json.dumps({"machine": found[0].machine, "rounds": asked.rounds, "rows": rows}))


if __name__ == "__main__":
    main()
