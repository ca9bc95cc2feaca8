"""A whole distillation step on the fast paths is the plain step: same losses, the second of which has seen
every gradient and the optimizer.

With 1-bit activations that is no fair question: one rounding difference near a threshold turns a code from
-1 to +1, every later layer sees other codes, and the second step's loss is another one, on both paths equally
right. There the layers are compared one by one, each on the inputs and the gradient that it has on the plain
path: same codes, so same results.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_model import batch, classifier
from torch import Tensor, nn

from bitladder.modeling import routines
from bitladder.modeling.attention import QuantizedSelfAttention, attention
from bitladder.modeling.bert import freeze
from bitladder.modeling.layers import QuantizedLinear
from bitladder.modeling.routines import Routines, choose
from bitladder.modeling.traces import trace
from bitladder.quantizers.activation import ActivationQuantizer
from bitladder.quantizers.precision import Precision
from pipeline.distillation.objective import Objective, total

GOAL = Objective(logits=1, hidden_states=1, attention_scores=1, labels=0, loss="cross_entropy")
MINILM = {  # its layers
    "vocab_size": 1000,
    "hidden_size": 384,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 64,
}
# Deviation of BERT's own weights; in wide layers, wider ones would make noise of every rounding.
NARROW = 0.02
ABOVE_ONE_BIT = [Precision(1, 1, 32), Precision(1, 1, 8), Precision(2, 2, 8), Precision(1, 1, 4)]
WATCHED = (QuantizedLinear, ActivationQuantizer)


def two_losses(
    precision: Precision,
    chosen: Routines,
    inputs: dict[str, Tensor],
    device: str = "cpu",
    **sizes: int,
) -> list[float]:
    """Loss of the first and of the second step; the learning rate is one that can be felt."""
    teacher = classifier(seed=1, **sizes).requires_grad_(False).to(device)
    student = classifier(precision, **sizes).to(device)
    if sizes:
        for parameter in (*teacher.parameters(), *student.parameters()):
            parameter.data.mul_(NARROW / 0.3 if parameter.dim() == 2 else 1)
    routines.use(student, chosen)
    freeze(teacher, chosen)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-4)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    losses = []
    for _ in range(2):
        with torch.no_grad():
            taught = trace(teacher, inputs)
        loss = total(GOAL.terms(trace(student, inputs), taught, inputs))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def assert_same(found: list[float], expected: list[float], tolerance: float) -> None:
    assert expected[1] != pytest.approx(expected[0], rel=5e-4), "the step did nothing"
    assert found == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("precision", ABOVE_ONE_BIT)
def test_the_second_steps_loss_is_the_plain_one(precision: Precision) -> None:
    plain = two_losses(precision, choose(name="plain"), batch())
    assert_same(two_losses(precision, choose(name="fused"), batch()), plain, 1e-4)
    # bfloat16 keeps 8 bits of the teacher's and the gradients' factors.
    assert_same(two_losses(precision, choose("bfloat16", name="fused"), batch()), plain, 3e-3)


def test_with_1_bit_activations_every_layer_is_the_plain_one_on_the_plain_ones_inputs() -> None:
    model, inputs = classifier(Precision(1, 1, 1)), batch()
    routines.use(model, choose(name="plain"))
    seen: dict[nn.Module, Tensor] = {}
    upstream: dict[nn.Module, Tensor] = {}

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...], y: Tensor) -> None:
        seen[layer] = arguments[0].detach()
        if isinstance(layer, QuantizedLinear):
            y.register_hook(lambda gradient: upstream.update({layer: gradient}))

    parts = list(model.modules())
    hooks = [part.register_forward_hook(watch) for part in parts if isinstance(part, WATCHED)]
    traced, taught = trace(model, inputs), trace(classifier(seed=1), inputs)
    total(GOAL.terms(traced, taught, inputs)).backward()
    for hook in hooks:
        hook.remove()
    linears = [part for part in parts if isinstance(part, QuantizedLinear)]
    attentions = [part for part in parts if isinstance(part, QuantizedSelfAttention)]
    assert (len(linears), len(attentions)) == (13, 2)
    for linear in linears:
        assert_same_layer(linear, linear, [seen[linear]], [upstream[linear]])
    for layer in attentions:
        products = layer.products
        assert products is not None
        heads = [seen[quantizer] for quantizer in (products.query, products.key, products.value)]
        scores = torch.zeros(heads[0].shape[:-1] + heads[0].shape[-2:-1])
        some = [torch.linspace(-1, 2, x.numel()).view_as(x) for x in (heads[0].transpose(1, 2), scores)]
        assert_same_layer(layer, lambda *x, layer=layer: attention(layer, *x, None), heads, some)


def assert_same_layer(
    layer: nn.Module, function: Callable[..., Any], inputs: list[Tensor], upstream: list[Tensor]
) -> None:
    """Outputs and all gradients on both paths."""
    found = []
    for name in ("fused", "plain"):
        routines.use(layer, choose(name=name))
        layer.zero_grad()
        leaves = [x.clone().requires_grad_() for x in inputs]
        outputs = function(*leaves)
        outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        torch.autograd.backward(outputs, upstream)
        gradients = {str(i): x.grad for i, x in enumerate(leaves)}
        gradients |= {name: parameter.grad for name, parameter in layer.named_parameters()}
        found.append({f"output {i}": y.detach() for i, y in enumerate(outputs)} | gradients)
    fused, plain = found
    for name, expected in plain.items():
        if expected is None:  # a layer inside, which the function does not call
            assert fused[name] is None
            continue
        worst = float((fused[name] - expected).abs().max() / expected.abs().max().clamp(min=1e-9))
        # A step's gradient is one sum over all of the input, of terms that nearly cancel.
        assert worst <= (1e-4 if name.endswith("log_step") else 1e-5), f"{name}: {worst}"


def test_so_it_is_at_minilms_shape() -> None:
    inputs = batch(1000, rows=4, length=48)
    plain, fused, rounded = (
        two_losses(Precision(1, 1, 8), chosen, inputs, **MINILM)
        for chosen in (choose(name="plain"), choose(name="fused"), choose("bfloat16", name="fused"))
    )
    assert_same(fused, plain, 1e-4)
    assert_same(rounded, plain, 3e-3)


def test_a_step_twice_gives_the_same_bits() -> None:
    for gradients in ("float32", "bfloat16"):
        chosen = choose(gradients, name="fused")  # type: ignore[arg-type]
        first, second = (two_losses(Precision(1, 1, 4), chosen, batch()) for _ in range(2))
        assert first == second


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ABOVE_ONE_BIT)
@pytest.mark.parametrize(("gradients", "tolerance"), [("float32", 1e-3), ("bfloat16", 3e-3)])
def test_on_a_gpu_it_is_the_plain_one_of_the_cpu(
    precision: Precision, gradients: str, tolerance: float
) -> None:
    """And nothing in forward and backward waits for the device."""
    plain = two_losses(precision, choose(name="plain"), batch(rows=32))
    chosen = choose(gradients, name="fused")  # type: ignore[arg-type]
    assert_same(two_losses(precision, chosen, batch(rows=32), device="cuda"), plain, tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_a_step_never_waits_for_the_device() -> None:
    student = classifier(Precision(1, 1, 8)).to("cuda")
    routines.use(student, choose("bfloat16", name="fused"))
    inputs = {name: tensor.to("cuda") for name, tensor in batch(rows=32).items()}
    trace(student, inputs)
    torch.cuda.set_sync_debug_mode("error")
    try:
        traced = trace(student, inputs)
        total(GOAL.terms(traced, traced, inputs)).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
