"""A worker of `training_step.py`: takes steps of one variant, as many as each line of its input asks for.

The steps are those of the product's own loop. The loop asks for a batch at the start of each step; that is
where this process tells what the steps before took, and waits for the next line.

    python step_worker.py '{"shape": "minilm", "variant": "w1a8"}'
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TextIO

import numpy as np
import torch
from shapes import Shape
from torch import Tensor, nn
from training_step import VARIANTS, WORKLOADS, Variant, Workload
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertForSequenceClassification

from bitladder.modeling import routines
from bitladder.modeling.bert import build_bert, freeze
from bitladder.modeling.routines import Routines
from bitladder.quantizers import loops
from bitladder.quantizers.precision import Precision
from flows import processes
from pipeline.distillation.objective import Objective, Portion, label_loss, total
from pipeline.initialization.step_sizes import calibrate
from pipeline.params import Optimization
from pipeline.tasks.batches import Batch, Encoded, Shuffled, inputs_of
from pipeline.training.device import NARROW, seed_everything
from pipeline.training.kept_answers import KeptAnswers
from pipeline.training.loop import LossTerms, Phase, fit
from pipeline.training.teaching import against_teacher

UNENDING = 10**6
# A learning rate at which the second step's loss still says whether the first step's gradients were right.
OPTIMIZATION = Optimization(
    batch_size=32, learning_rate=5e-5, warmup_fraction=0.0, weight_decay=0.01, max_grad_norm=1.0, dropout=0.0
)
EVERYTHING = Objective(logits=1.0, hidden_states=1.0, attention_scores=1.0, labels=1.0, loss="cross_entropy")


class FinishedError(Exception):
    """Nobody asks for steps any more."""


class Gate:
    """Gives the loop its batch when a step is asked for, and tells what the steps before took."""

    def __init__(self, batches: Callable[[int], Batch], requests: TextIO, answers: TextIO) -> None:
        self.batches, self.requests, self.answers = batches, requests, answers
        self.left = 0
        self.losses: list[Tensor] = []
        self.kept: KeptAnswers | None = None
        self.last_loss = torch.zeros(())
        self.cpu_start = self.wall_start = 0.0

    def __call__(self, step: int) -> Batch:
        if self.left == 0:
            if step > 1:
                self._tell()
            line = self.requests.readline()
            if not line:
                raise FinishedError
            self.left = json.loads(line)["steps"]
            self.cpu_start, self.wall_start = time.process_time(), time.perf_counter()
            self._count()
        self.left -= 1
        return self.batches(step)

    def note(self, loss: Tensor) -> None:
        self.last_loss = loss.detach()
        self.losses = [*self.losses, self.last_loss][:2]

    def _count(self) -> None:
        self.asked = 0 if self.kept is None else self.kept.num_asked
        self.known = 0 if self.kept is None else self.kept.num_recalled

    def _recalled(self) -> float:
        if self.kept is None:
            return 0.0
        asked, known = self.kept.num_asked - self.asked, self.kept.num_recalled - self.known
        return known / (asked + known)

    def _tell(self) -> None:
        answer = {
            "cpu_seconds": time.process_time() - self.cpu_start,
            "wall_seconds": time.perf_counter() - self.wall_start,
            "losses": [float(loss) for loss in self.losses],
            "last_loss": float(self.last_loss),
            "recalled": self._recalled(),
            "peak_mib": int(processes.peak_mib()),
            "machine": machine(),
        }
        print(json.dumps(answer), file=self.answers, flush=True)


def make_batches(workload: Workload) -> Shuffled:
    """An epoch of rows, all between half of the tokens and all of them; each has a number of its own."""
    draw = np.random.default_rng(0)
    num_rows, most = workload.rows * workload.batches, workload.tokens
    lengths = np.linspace(most, most // 2, num_rows).astype(int)
    # Words as frequent as in a language: the n-th has a share of about 1 / n.
    chances = 1 / np.arange(1, workload.shape.vocab_size - 4) ** 1.05
    words = draw.permutation(np.arange(5, workload.shape.vocab_size))
    ids = [[2, *draw.choice(words, length - 2, p=chances / chances.sum()), 3] for length in lengths]
    labels = torch.from_numpy(draw.integers(0, 2, num_rows))
    rows = Encoded([[int(word) for word in row] for row in ids], [[0] * len(row) for row in ids], labels, 0)
    return rows.shuffled(workload.rows, seed=0)


def config(shape: Shape) -> BertConfig:
    return BertConfig(**shape._asdict(), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def transformers_own(shape: Shape) -> BertForSequenceClassification:
    """The classifier as anybody would train it."""
    model: BertForSequenceClassification = BertForSequenceClassification._from_config(
        config(shape), attn_implementation="sdpa", dtype=torch.float32
    )
    return model


def fine_tuning(variant: Variant) -> LossTerms:
    is_autocast = variant.gradients == "bfloat16"

    def terms(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
            return {
                "labels": label_loss(model(**inputs_of(batch)).logits, batch["labels"], loss="cross_entropy")
            }

    return terms


def routines_of(variant: Variant) -> Routines:
    chosen = routines.choose(variant.gradients)
    is_new = "routine" in variant.savings or variant.is_reference
    return chosen if is_new else replace(chosen, onednn=torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def student_and_teacher(variant: Variant, shape: Shape, batch: Batch) -> tuple[nn.Module, nn.Module]:
    """A frozen random teacher, and a 1-bit student that starts from its weights."""
    teacher: nn.Module = build_bert(config(shape))
    teacher.eval().requires_grad_(False)
    student = build_bert(config(shape), Precision(1, 1, variant.activation_bits))
    student.load_state_dict({**student.state_dict(), **teacher.state_dict()})
    calibrate(student, batch)
    chosen = routines_of(variant)
    routines.use(student, chosen)
    freeze(teacher, chosen)
    return student, teacher


def train(variant: Variant, workload: Workload, gate: Gate, batches: Shuffled) -> None:
    """The product's loop, on fine-tuning or on distillation."""
    shape = workload.shape
    if variant.kind == "distillation":
        model, teacher = student_and_teacher(variant, shape, batches(1))
        if workload.batches > 1 and "kept-answers" in variant.savings:
            gate.kept = KeptAnswers(teacher, batches, states=True, heads=False)
        loss_terms = against_teacher(teacher, EVERYTHING, gate.kept)
    else:
        is_ours = variant.kind == "our_plain"
        model = build_bert(config(shape), Precision()) if is_ours else transformers_own(shape)
        loss_terms = fine_tuning(variant)
    fit(
        model,
        name=variant.name,
        batches=gate,
        course=[Phase(_noting(loss_terms, gate), UNENDING, OPTIMIZATION.learning_rate)],
        score=None,
        num_evaluations=1,
        optimization=OPTIMIZATION,
        put_off="put-off" in variant.savings,
    )


def run_lower_bound(shape: Shape, gate: Gate) -> None:
    """Student forward and backward, teacher forward, and nothing else: no optimizer, no quantizers."""
    teacher = transformers_own(shape).eval().requires_grad_(False)
    student = transformers_own(shape).train()
    for step in range(1, UNENDING):
        batch = gate(step)
        inputs = inputs_of(batch)
        with torch.no_grad():
            taught = teacher(**inputs).logits
        loss = nn.functional.cross_entropy(student(**inputs).logits, taught.softmax(dim=-1))
        gate.note(loss)
        student.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]


def _noting(loss_terms: LossTerms, gate: Gate) -> LossTerms:
    def terms(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
        found = loss_terms(model, batch, portion)
        gate.note(total(found))
        return found

    return terms


def machine() -> dict[str, Any]:
    """What the figures depend on, without naming the machine."""
    features: dict[str, Callable[[], bool]] = {
        "VNNI": torch.cpu._is_vnni_supported,
        "AVX512-BF16": torch.cpu._is_avx512_bf16_supported,
        "AMX": torch.cpu._is_amx_tile_supported,
    }
    return {
        "torch": torch.__version__,
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "features": [name for name, is_there in features.items() if is_there()],
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    wanted = json.loads(sys.argv[1])
    workload, variant = WORKLOADS[wanted["shape"]], VARIANTS[wanted["variant"]]
    answers, sys.stdout = sys.stdout, sys.stderr
    seed_everything(0)
    processes.keep_what_is_freed()  # as every stage does
    if "loops" in variant.savings and workload.shape.hidden_size > NARROW:
        loops.start()
    batches = make_batches(workload)
    gate = Gate(batches, sys.stdin, answers)
    try:
        if variant.kind == "lower_bound":
            run_lower_bound(workload.shape, gate)
        else:
            train(variant, workload, gate, batches)
    except FinishedError:
        return


if __name__ == "__main__":
    main()
