"""A better first guess than rounding: each block of a rung learns to put out what its teacher's puts out.

The blocks are the embeddings and each layer, in the order of the forward pass. Each is trained by itself for
a few steps against the teacher's hidden states and attention scores on training rows; it reads what the
blocks before it, trained already, put out (module-wise reconstruction error minimization, Bai et al.,
arXiv:2109.15082, which rounds to 2 bits and more; there the blocks are trained side by side). No gradient
passes from one block to another, the teacher is asked once for each row, and the head is left alone.

Shapes: B sequences, S tokens, E hidden size, H heads.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from bitladder.modeling.traces import Trace, trace
from pipeline.distillation import losses
from pipeline.params import Optimization
from pipeline.tasks.batches import Batch
from pipeline.training.optimizer import adamw, schedule

MOST_TOKENS: Final = 2**14  # of the rows that blocks are trained on: their hidden states stay in memory
Block = Callable[[int], tuple[Tensor, Tensor | None]]


def reconstruct(
    model: nn.Module,
    teacher: nn.Module,
    batches: Sequence[Batch],
    *,
    num_steps: int,
    optimization: Optimization,
) -> list[float]:
    """Train every block of a quantized BERT in place; return each one's mean loss over its last steps.

    Args:
        teacher: full-precision, of the same shape.
        batches: labelled or not, on the model's device; gone through in turn.
        num_steps: of each block; the last tenth of them is the mean that is returned.
    """
    bert: Any = model.bert
    with torch.no_grad():
        taught = [trace(teacher, batch) for batch in batches]
    was_training = model.training
    model.train()
    ends = []
    hidden: list[Tensor] = []
    for number, block in enumerate([bert.embeddings, *bert.encoder.layer]):
        run = _runner(block, number, batches, hidden)

        def loss(index: int, run: Block = run, number: int = number) -> Tensor:
            return _distance(run(index), taught[index], number, batches[index]["attention_mask"])

        ends.append(_train(block, loss, len(batches), num_steps, optimization))
        with torch.no_grad():
            hidden = [run(index)[0] for index in range(len(batches))]
    model.train(was_training)
    return ends


def _runner(block: Any, number: int, batches: Sequence[Batch], hidden: Sequence[Tensor]) -> Block:
    """What a block puts out for a batch: hidden states [B, S, E] and, of a layer, scores [B, H, S, S]."""

    def embeddings(index: int) -> tuple[Tensor, None]:
        batch = batches[index]
        return block(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"]), None

    def layer(index: int) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []
        hook = block.attention.self.register_forward_hook(lambda _, __, output: found.append(output[1]))
        try:
            hidden_BSE = block(hidden[index], _added(batches[index]["attention_mask"], hidden[index]))
        finally:
            hook.remove()
        return hidden_BSE, found[0]

    return layer if number else embeddings


def _added(mask_BS: Tensor, like: Tensor) -> Tensor:
    """What is added to scores, [B, 1, 1, S], so that padding is not attended to."""
    return (1 - mask_BS[:, None, None, :].to(like.dtype)) * torch.finfo(like.dtype).min


def _distance(found: tuple[Tensor, Tensor | None], taught: Trace, number: int, mask_BS: Tensor) -> Tensor:
    """Of hidden states and, of a layer, scores, as in distillation (TernaryBERT, eq. 7 and 8)."""
    hidden_BSE, scores = found
    loss = losses.hidden_states((hidden_BSE,), (taught.hidden_states[number],), mask_BS)
    if scores is None:
        return loss
    return loss + losses.attention_scores((scores,), (taught.scores[number - 1],), mask_BS)


def _train(
    block: nn.Module,
    loss: Callable[[int], Tensor],
    num_batches: int,
    num_steps: int,
    optimization: Optimization,
) -> float:
    optimizer = adamw(
        block,
        learning_rate=optimization.learning_rate,
        weight_decay=optimization.weight_decay,
        first_beta=optimization.first_beta,
    )
    share = schedule(num_steps=num_steps, warmup_fraction=optimization.warmup_fraction, decay="cosine")
    last: list[Tensor] = []
    for step in range(1, num_steps + 1):
        optimizer.zero_grad(set_to_none=True)
        found = loss((step - 1) % num_batches)
        found.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(block.parameters(), optimization.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = optimization.learning_rate * share(step)
        optimizer.step()
        last = [*last, found.detach()][-max(1, num_steps // 10) :]
    optimizer.zero_grad(set_to_none=True)
    return float(torch.stack(last).mean())


def enough(batches: Iterator[Batch]) -> list[Batch]:
    """The first of them, up to MOST_TOKENS tokens with padding, and at least one."""
    taken: list[Batch] = []
    tokens = 0
    for batch in batches:
        tokens += batch["input_ids"].numel()
        if taken and tokens > MOST_TOKENS:
            break
        taken.append(batch)
    return taken
