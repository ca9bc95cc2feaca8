"""Blocks that are trained one by one before a rung's first step."""

import pytest
import torch
from tiny_model import classifier
from tiny_rung import batch
from torch import Tensor, nn

from bitladder.modeling.traces import trace
from bitladder.quantizers.precision import Precision
from pipeline.distillation import losses
from pipeline.params import Optimization
from pipeline.tasks.batches import Batch
from pipeline.training.reconstruct import enough, reconstruct

PLAIN = Optimization(
    batch_size=4, learning_rate=0.01, warmup_fraction=0.1, weight_decay=0.0, max_grad_norm=1.0, dropout=0.0
)


def without_dropout(model: nn.Module) -> nn.Module:
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def pair(precision: Precision) -> tuple[nn.Module, nn.Module]:
    """A teacher, and a student with its weights, quantized."""
    teacher, student = classifier(), classifier(precision)
    known = student.state_dict()
    student.load_state_dict(known | {k: v for k, v in teacher.state_dict().items() if k in known})
    return teacher, without_dropout(student)


def rows() -> list[Batch]:
    return [batch(), {name: tensor.flip(0) for name, tensor in batch().items()}]


def run(student: nn.Module, teacher: nn.Module, num_steps: int) -> list[float]:
    return reconstruct(student, teacher, rows(), num_steps=num_steps, optimization=PLAIN)


def distance(student: nn.Module, teacher: nn.Module) -> float:
    with torch.no_grad():
        own, taught = trace(student.eval(), batch()), trace(teacher, batch())
    found: Tensor = losses.hidden_states(own.hidden_states, taught.hidden_states, batch()["attention_mask"])
    return float(found)


@pytest.mark.parametrize(
    "precision", [Precision(2, 2), Precision(1, 1), Precision(1, 1, 8), Precision(1, 1, 4)]
)
def test_the_whole_model_comes_nearer_to_its_teacher_and_the_head_is_left_alone(precision: Precision) -> None:
    teacher, student = pair(precision)
    before, head = distance(student, teacher), student.classifier.weight.detach().clone()
    run(student, teacher, 40)
    assert distance(student, teacher) < 0.8 * before
    assert torch.equal(student.classifier.weight, head)


def test_a_student_that_is_its_teacher_has_nothing_to_learn() -> None:
    # Its blocks, put one after the other here, are the model's own forward pass: each loss is zero.
    teacher, student = pair(Precision())
    assert run(student, teacher, 3) == pytest.approx([0.0] * 3, abs=1e-8)


def test_more_steps_bring_a_block_nearer() -> None:
    few, many = (
        run(student, teacher, steps) for steps in (2, 60) for teacher, student in [pair(Precision(1, 1))]
    )
    assert all(late < early for early, late in zip(few, many, strict=True))


def test_a_model_in_evaluation_stays_there() -> None:
    teacher, student = pair(Precision(1, 1))
    run(student.eval(), teacher, 1)
    assert not student.training


def test_rows_are_taken_until_their_tokens_are_enough() -> None:
    one = {"input_ids": torch.zeros(2**6, 2**7)}  # half of the tokens that are kept
    assert len(enough(iter([one] * 5))) == 2
    assert len(enough(iter([{"input_ids": torch.zeros(2**10, 2**10)}] * 2))) == 1
