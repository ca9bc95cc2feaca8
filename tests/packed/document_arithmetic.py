"""What docs/file-format.md says a packed model computes, in numpy and from it alone: it imports nothing of
pipeline/.

Shapes: S tokens, A heads, D features of a head; x is [S, I] or [A, S, D].
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
STORED = ("magnitude", "log_step", "offset", "shift")
SMALLEST, LARGEST = np.float32(math.log(2**-24)), np.float32(math.log(65504))
TINY = np.float32(2.0**-126)
ERF = np.vectorize(math.erf, otypes=[np.float32])  # math's, rounded
USUAL = {8: "per_token", 4: "lsq", 2: "lsq", 1: "elastic"}
CENTRED, GELUS, FROM_ZERO = "centred", "GELU's outputs", "from zero"
LEVELS = {8: (-127, 127, 127), 4: (-7, 7, 15), 2: (-2, 1, 3)}


class Model:
    """The model of what `document_reader.read` gives, one sequence at a time."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, Floats]) -> None:
        self.config, self.tensors = config, tensors
        precision = config["bitladder_precision"]
        self.bits, self.bi = precision["activations"], "attention" in precision
        self.kind = precision.get("activation_quantizer", USUAL.get(self.bits))
        self.second = precision.get("feed_forward_activations", self.bits)
        self.relu = config["hidden_act"] == "relu"

    def logits(self, ids: Floats, segments: Floats, mask: Floats | None = None) -> Floats:
        """[L], or [S, L] of heads that read every token."""
        name = "bert.embeddings"
        x = self.table(f"{name}.word_embeddings", ids) + self.table(f"{name}.token_type_embeddings", segments)
        x = self.norm(f"{name}.LayerNorm", x + self.table(f"{name}.position_embeddings", np.arange(len(ids))))
        hidden = np.float32(-3.4e38) * np.float32(0 if mask is None else 1 - mask)
        for number in range(self.config["num_hidden_layers"]):
            x = self.layer(f"bert.encoder.layer.{number}", x, hidden)
        [architecture] = self.config["architectures"]
        if not architecture.endswith("SequenceClassification"):
            head = "qa_outputs" if architecture.endswith("QuestionAnswering") else "classifier"
            return x @ self.tensors[f"{head}.weight"].T + self.tensors[f"{head}.bias"]
        function = self.config.get("bitladder_pooler_act", "tanh")
        pooled = activate(function, self.linear("bert.pooler.dense", x[:1]))[0]
        return np.asarray(self.tensors["classifier.weight"] @ pooled + self.tensors["classifier.bias"])

    def layer(self, name: str, x: Floats, hidden: Floats) -> Floats:
        own = f"{name}.attention"
        context = self.attention(f"{own}.self", x, hidden)
        x = self.norm(f"{own}.output.LayerNorm", self.linear(f"{own}.output.dense", context) + x)
        inner = activate(self.config["hidden_act"], self.linear(f"{name}.intermediate.dense", x))
        sort = FROM_ZERO if self.relu else GELUS
        return self.norm(f"{name}.output.LayerNorm", self.linear(f"{name}.output.dense", inner, sort) + x)

    def attention(self, name: str, x: Floats, hidden: Floats) -> Floats:
        size = self.config["hidden_size"] // self.config["num_attention_heads"]
        parts = {}
        for part in ("query", "key", "value"):
            heads = self.linear(f"{name}.{part}", x).reshape(len(x), -1, size).transpose(1, 0, 2)
            is_sign = self.bi and part != "value"
            kind = "sign" if is_sign else self.kind
            parts[part] = self.rounded(f"{name}.products.{part}", heads, CENTRED, kind)
        scores = parts["query"] @ parts["key"].transpose(0, 2, 1) * np.float32(1 / math.sqrt(size)) + hidden
        if self.bi:
            weighting = (scores >= 0).astype(np.float32)
        else:
            powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
            shares = powers / powers.sum(axis=-1, keepdims=True)
            weighting = self.rounded(f"{name}.products.probabilities", shares, FROM_ZERO, self.kind)
        return (weighting @ parts["value"]).transpose(1, 0, 2).reshape(len(x), -1)

    def table(self, name: str, which: Floats) -> Floats:
        return np.asarray(self.weight(name)[which])

    def linear(self, name: str, x: Floats, sort: str = CENTRED) -> Floats:
        bits = self.bits if sort == CENTRED else self.second
        kind = self.kind if bits == self.bits else USUAL[bits]
        x = self.rounded(f"{name}.activation", x, sort, kind, bits)
        bias = self.tensors.get(f"{name}.bias", self.tensors.get(f"{name}.first.bias"))
        assert bias is not None
        return np.asarray(x @ self.weight(name).T + bias)

    def weight(self, name: str) -> Floats:
        halves = [self.tensors.get(f"{name}{half}.weight") for half in ("", ".first", ".second")]
        return np.asarray(sum(half for half in halves if half is not None))

    def norm(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return np.asarray(centred / deviation * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"])

    def rounded(self, name: str, x: Floats, sort: str, kind: str | None, bits: int | None = None) -> Floats:
        stored = {
            part: self.tensors.get(f"{name}.{part}") for part in ("magnitude", "log_step", "offset", "shift")
        }
        match kind:
            case "per_token":
                step = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 127 * TINY) / np.float32(127)
                return np.asarray(np.rint(x / step) * step)
            case "min_max_ema":
                step = np.maximum(stored["magnitude"], 127 * TINY) / np.float32(127)
                return np.asarray(np.rint(np.clip(x / step, -127, 127)) * step)
            case "lsq" | "elastic":
                clamped = np.clip(
                    stored["log_step"], np.float32(math.log(2**-24)), np.float32(math.log(65504))
                )
                step = np.exp(clamped.astype(np.float64)).astype(np.float32)
                return (
                    _lsq(x, step, sort, bits or self.bits, stored)
                    if kind == "lsq"
                    else _elastic(x, step, sort, stored)
                )
            case "sign":
                return np.where(x >= 0, np.float32(1), np.float32(-1))
        return x


def activate(function: str, x: Floats) -> Floats:
    match function:
        case "gelu":
            return np.asarray(x / 2 * (1 + ERF(x / math.sqrt(2))))
        case "gelu_new" | "gelu_pytorch_tanh":
            return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
        case "silu":
            return np.asarray(x / (1 + np.exp(-x)))
        case "tanh":
            return np.tanh(x)
    return np.maximum(x, 0)


def _lsq(x: Floats, step: Floats, sort: str, bits: int, stored: dict[str, Any]) -> Floats:
    assert (stored["offset"] is not None) == (sort == GELUS)
    offset = np.float32(0) if stored["offset"] is None else stored["offset"]
    lowest, highest, unsigned = LEVELS[bits]
    low, high = (lowest, highest) if sort == CENTRED else (0, unsigned)
    return np.asarray(np.rint(np.clip((x - offset) / step, low, high)) * step + offset)


def _elastic(x: Floats, step: Floats, sort: str, stored: dict[str, Any]) -> Floats:
    assert (stored["shift"] is None) == (sort == FROM_ZERO)
    shift = np.float32(0) if stored["shift"] is None else stored["shift"]
    if sort == CENTRED:
        return np.asarray(np.where(x >= shift, step, -step))
    return np.asarray(np.where((x - shift) / step >= 0.5, step, np.float32(0)))
