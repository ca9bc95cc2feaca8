"""docs/quantizers.md adds a quantizer with one file and one line. Here it does, and a rung trains with it."""

import re
import sys
from pathlib import Path

import pytest
import torch
from made_up import params
from torch import nn

import bitladder.quantizers
from bitladder.modeling.layers import QuantizedLinear
from bitladder.quantizers import names as quantizer_names
from bitladder.quantizers.names import WEIGHTS
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import weight_quantizer
from pipeline.params_file import ParamsError

PAGE = Path(__file__).parents[2] / "docs" / "quantizers.md"
NAME = "bwn_median"
# What the page says of weights; activations have a chapter of their own.
CHAPTER = PAGE.read_text(encoding="utf-8").partition("\n# ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", CHAPTER, re.DOTALL)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's file beside the others, and its line among theirs."""
    file, line = BLOCKS
    (tmp_path / f"{NAME}.py").write_text(file, encoding="utf-8")
    monkeypatch.setattr(bitladder.quantizers, "__path__", [*bitladder.quantizers.__path__, str(tmp_path)])
    lines = eval(f"{{{line}}}", vars(quantizer_names))  # noqa: S307, the page is ours
    for name, named in lines.items():
        monkeypatch.setitem(WEIGHTS, name, named)
    yield
    sys.modules.pop(f"bitladder.quantizers.{NAME}", None)


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize(("granularity", "group_size"), [("row", None), ("matrix", None), ("group", 4)])
def test_a_layer_trains_with_the_pages_quantizer(granularity: str, group_size: int | None) -> None:
    torch.manual_seed(0)
    layer, target = nn.Linear(8, 5), nn.Linear(8, 5)
    precision = Precision(1, 1, 32, granularity, False, group_size, NAME)  # type: ignore[arg-type]
    QuantizedLinear.convert(layer, quantizer=weight_quantizer(precision, (5, 8)), activation=None)
    x = torch.randn(64, 8)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (layer(x) - target(x).detach()).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


@pytest.mark.usefixtures("added")
def test_its_levels_are_the_medians() -> None:
    quantizer = weight_quantizer(Precision(1, weight_quantizer=NAME), (1, 3))
    assert quantizer is not None
    assert quantizer.quantize(torch.tensor([[9.0, -2.0, 1.0]])).values_OI.tolist() == [[2.0, -2.0, 2.0]]


@pytest.mark.usefixtures("added")
def test_params_know_its_name_and_its_width(tmp_path: Path) -> None:
    named = f"+weights.w1.weight_quantizer={NAME}"
    assert params(tmp_path, named).rungs["w1"].weight_quantizer == NAME
    with pytest.raises(ParamsError, match=rf"w2.weight_quantizer: {NAME} needs bits 1, not 2"):
        params(tmp_path, named.replace("w1", "w2"))


def test_the_page_names_every_quantizer_there_is_with_its_source() -> None:
    table = {line.split("|")[1].strip(" `"): line for line in CHAPTER.splitlines() if line.startswith("| `")}
    assert set(table) == set(WEIGHTS)
    for name, named in WEIGHTS.items():
        assert named.source in table[name]
        for bits in named.bits:
            assert f"**{bits}**" in table[name] if bits in named.default else str(bits) in table[name]
