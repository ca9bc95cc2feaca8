"""The cost of a training step, as a ratio to plain fine-tuning in full precision.

    python benchmarks/training_step.py [--shape minilm] [--rounds 9] [--variants w1a8 w1a8-bf16] [--json]

Every step is timed in turns with the plain one, in one process each (see interleaved.py), and divided by it
round by round. All train on one batch: the time does not depend on what the words are. Beside the time stands
the loss of the second step: it depends on the first step's gradients, and has to be the reference path's.
Nothing here imports torch: the process that only asks and prints stays small.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from interleaved import Answer, Spread, spread, started, take_turns, worker_environment

HERE = Path(__file__).resolve().parent
WARM_UP = 2  # steps: the first allocates, the second's loss is reported
AT_ONCE = 5  # processes of up to 1.7 GB
HEAD = """\
| step | time / plain fp32 | ms | peak MiB | loss of step 2 | minus reference |
| --- | ---: | ---: | ---: | ---: | ---: |"""

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


@dataclass(frozen=True)
class Row:
    """One variant's figures.

    Attributes:
        ratio: its time over the plain step's in the same round.
        milliseconds: of a step; CPU time with one thread, else wall time.
        second_loss: the second step's.
        difference: of that loss to the reference path's; None where there is none or it did not run.
    """

    shape: str
    variant: str
    ratio: Spread
    milliseconds: Spread
    peak_mib: int
    second_loss: float
    difference: float | None = None


@dataclass(frozen=True)
class Measured:
    """One shape's rows and, from a worker, what they depend on: `threads`, `torch`, CPU features."""

    shape: Shape
    machine: dict[str, Any]
    rows: list[Row]


def measure(shape: Shape, variants: Sequence[Variant], *, rounds: int, threads: int) -> Measured:
    rows: dict[str, Row] = {}
    for group in groups(variants):
        answers = _run(shape, group, rounds=rounds, threads=threads)
        rows = {**{variant.name: _row(shape, variant, answers, threads) for variant in group}, **rows}
    compared = [_compared(rows[variant.name], rows) for variant in variants]
    return Measured(shape, answers[PLAIN][0]["machine"], compared)


def groups(variants: Sequence[Variant]) -> Iterator[list[Variant]]:
    """So few at once that they fit in memory, each time with the plain step to compare with."""
    others = [variant for variant in variants if variant.name != PLAIN]
    for start in range(0, max(1, len(others)), AT_ONCE - 1):
        yield [VARIANTS[PLAIN], *others[start : start + AT_ONCE - 1]]


def _run(shape: Shape, group: list[Variant], *, rounds: int, threads: int) -> dict[str, list[Answer]]:
    with ExitStack() as stack:
        workers = []
        for variant in group:
            wanted = json.dumps({"shape": shape.name, "variant": variant.name})
            variables = worker_environment(os.environ, variant.environment, root=HERE.parent, threads=threads)
            command = [str(HERE / "step_worker.py"), wanted]
            workers.append(stack.enter_context(started(variant.name, command, variables)))
        return take_turns(workers, warm_up=WARM_UP, rounds=rounds, steps=shape.steps_per_round)


def _row(shape: Shape, variant: Variant, answers: dict[str, list[Answer]], threads: int) -> Row:
    clock = "cpu_seconds" if threads == 1 else "wall_seconds"
    seconds, plain = ([answer[clock] for answer in answers[name][1:]] for name in (variant.name, PLAIN))
    return Row(
        shape=shape.name,
        variant=variant.name,
        ratio=spread([own / other for own, other in zip(seconds, plain, strict=True)]),
        milliseconds=spread([1000 * second / shape.steps_per_round for second in seconds]),
        peak_mib=answers[variant.name][-1]["peak_mib"],
        second_loss=answers[variant.name][0]["losses"][1],
    )


def _compared(row: Row, rows: dict[str, Row]) -> Row:
    reference = rows.get(VARIANTS[row.variant].reference or "")
    return row if reference is None else replace(row, difference=row.second_loss - reference.second_loss)


def as_markdown(measured: Measured, rounds: int) -> str:
    machine = measured.machine
    clock = "CPU time" if machine["threads"] == 1 else "wall time"
    conditions = (
        f"{machine['threads']} thread, {clock}, median [least-most] of {rounds} rounds, "
        f"torch {machine['torch']}, {' '.join([machine['vectors'], *machine['features']])}; "
        f"fast path: {machine['whole_numbers']}, {machine['floats']}"
    )
    return "\n".join([str(measured.shape), conditions, "", HEAD, *map(_line, measured.rows), ""])


def _line(row: Row) -> str:
    difference = "" if row.difference is None else f"{row.difference:+.1e}"
    cells = [row.variant, row.ratio, f"{row.milliseconds.median:.1f}", row.peak_mib, f"{row.second_loss:.5f}"]
    return f"| {' | '.join(map(str, [*cells, difference]))} |"


def as_json(measured: Sequence[Measured], rounds: int) -> str:
    rows = [
        {**asdict(row), "ratio": row.ratio._asdict(), "milliseconds": row.milliseconds._asdict()}
        for shape in measured
        for row in shape.rows
    ]
    return json.dumps({"machine": measured[0].machine, "rounds": rounds, "rows": rows})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="more than one: wall time instead of CPU time")
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    variants = [VARIANTS[name] for name in dict.fromkeys([PLAIN, *arguments.variants])]
    found = []
    for name in arguments.shape:
        shape = SHAPES[name]
        found.append(measure(shape, variants, rounds=arguments.rounds, threads=arguments.threads))
        if not arguments.json:
            print(as_markdown(found[-1], arguments.rounds), flush=True)
    if arguments.json:
        print(as_json(found, arguments.rounds))


if __name__ == "__main__":
    main()
