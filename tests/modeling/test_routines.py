"""Every routine for products of whole numbers gives the one right result; how a routine is chosen."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier
from torch import Tensor

from bitladder.modeling import routines
from bitladder.modeling.routines import PLAIN, Routines, choose, integer_product
from bitladder.quantizers.precision import Precision

FUSED = choose(name="fused")
WITHOUT_INT8 = replace(FUSED, vnni=False)
BFLOAT16 = choose("bfloat16", name="fused")
SIDES = st.integers(1, 40)
# Small products go through oneDNN only where the test says that they are worth it.
every_threshold = pytest.mark.parametrize("worth", [0, routines.WORTH_ONEDNN])


def drawn_codes(rows: int, columns: int, top: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-top, top + 1, (rows, columns), generator=generator, dtype=torch.int8)


@given(SIDES, SIDES, SIDES, st.sampled_from([1, 7, 127]), st.sampled_from([1, 15, 127]), st.integers(0, 99))
def test_integer_products_are_exact_whatever_the_shape_and_the_routine(
    tokens: int, inputs: int, outputs: int, weight_top: int, top: int, seed: int
) -> None:
    x, weight = drawn_codes(tokens, inputs, top, seed), drawn_codes(outputs, inputs, weight_top, seed + 1)
    expected = (x.long() @ weight.long().t()).float()
    for chosen in (FUSED, WITHOUT_INT8):
        found = integer_product(x, weight, largest=top * weight_top, routines=chosen)
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)


@pytest.mark.parametrize("chosen", [FUSED, WITHOUT_INT8])
def test_sums_that_float32_cannot_hold_are_rounded_once(chosen: Routines) -> None:
    """W8A8 over 4096 inputs: the sum passes 2^24, and adding up in float32 would round at every term."""
    x = torch.full((17, 4096), 127, dtype=torch.int8)
    x[:, ::3] -= 1
    exact = (x[:1].double() @ x[:1].double().t()).item()
    assert exact > 2**24
    found = integer_product(x, x, largest=127 * 127, routines=chosen)
    assert torch.equal(found, torch.full((17, 17), exact, dtype=torch.float64).float())


def test_a_gpu_beside_it_does_not_give_the_cpu_int8_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would saturate: 127 * 127 twice is beyond 16 bits."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    monkeypatch.setattr(torch, "_int_mm", lambda *_: pytest.fail("int8 product on a CPU without VNNI"))
    x = torch.full((32, 32), 127, dtype=torch.int8)
    found = integer_product(x, x, largest=127 * 127, routines=choose(name="fused"))
    assert torch.equal(found, torch.full((32, 32), 32.0 * 127 * 127))


@every_threshold
@given(SIDES, SIDES, SIDES, st.integers(0, 99))
def test_products_of_floats_agree_with_torchs_own(
    worth: int, tokens: int, inputs: int, outputs: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, weight, gradient, bias = (
        torch.randn(shape, generator=generator)
        for shape in ((tokens, inputs), (outputs, inputs), (tokens, outputs), (outputs,))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routines, "WORTH_ONEDNN", worth)
        # 1e-5 of sums of up to 40 terms near 1: only the order of summation differs.
        assert torch.allclose(routines.product(x, weight, bias, FUSED), x @ weight.t() + bias, atol=1e-5)
        assert torch.allclose(routines.input_gradient(gradient, weight, FUSED), gradient @ weight, atol=1e-5)
        assert torch.allclose(routines.weight_gradient(gradient, x, FUSED), gradient.t() @ x, atol=1e-5)
        # bfloat16 keeps 8 bits of each factor and of the sum, of up to 40 terms below 16.
        assert torch.allclose(routines.weight_gradient(gradient, x, BFLOAT16), gradient.t() @ x, atol=0.3)
        assert torch.allclose(
            routines.input_gradient(gradient, weight, BFLOAT16), gradient @ weight, atol=0.3
        )


@every_threshold
@pytest.mark.parametrize("outputs", [3, 9])
@pytest.mark.parametrize("chosen", [FUSED, BFLOAT16, PLAIN])
def test_a_weights_gradient_is_float32_in_rows_whatever_the_factors_and_the_shape(
    chosen: Routines, outputs: int, worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wider than 6 inputs, 9 outputs: there the product is computed transposed."""
    monkeypatch.setattr(routines, "WORTH_ONEDNN", worth)
    gradient, x = torch.randn(5, outputs), torch.randn(5, 6)
    found = routines.weight_gradient(gradient, x, chosen)
    assert (found.dtype, found.shape) == (torch.float32, (outputs, 6))
    assert found.is_contiguous()
    tolerance = 0.1 if chosen.gradients == torch.bfloat16 else 1e-5
    assert torch.allclose(found, gradient.t() @ x, atol=tolerance)


def test_the_environment_chooses_the_plain_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITLADDER_KERNELS", "plain")
    assert choose("bfloat16") == PLAIN
    assert classifier(Precision(1, 1, 8)).bert.pooler.dense.routines == PLAIN
    assert choose("bfloat16", name="fused").gradients == torch.bfloat16


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITLADDER_KERNELS", "fast")
    with pytest.raises(ValueError, match="BITLADDER_KERNELS: 'fast'; known: fused, plain"):
        choose()


def test_a_models_routines_are_set_on_every_layer_that_has_some() -> None:
    model = classifier(Precision(1, 1, 8))
    routines.use(model, BFLOAT16)
    assert model.bert.encoder.layer[1].output.dense.routines == BFLOAT16
    assert not hasattr(model.classifier, "routines")
