"""What every packed BERT has, whatever its head: strict loading, who answers a call, what is refused.

Shapes: B sequences, S tokens, L labels.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertPreTrainedModel

from bitladder import files
from bitladder.modeling import attention
from bitladder.modeling.bert import narrow, quantize, set_pooler
from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear
from bitladder.modeling.traces import PADDING, logits_of
from bitladder.packed import format, inputs
from bitladder.packed.format import PackedConfig
from bitladder.packed.inputs import Whole
from bitladder.packed.reading import Arrays, Floats, open_weights
from bitladder.packed.tensors import Entry, FormatError
from bitladder.runtime import Model, UnsupportedError
from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import Choice
from bitladder.transformers_model.by_kernels import ByKernels, is_traced, logits
from bitladder.transformers_model.layers import PackedEmbedding, PackedLinear, require_float32
from bitladder.transformers_model.saving import save

_DTYPES = {torch.uint8: "U8", torch.float32: "F32"}


class BitladderBertConfig(BertConfig):
    """BERT's configuration, precision of its parts, share of its width, format's version, how to answer."""

    model_type = format.MODEL_TYPE
    bitladder_format: int = format.FORMAT
    bitladder_precision: dict[str, Any] | None = None
    bitladder_width: float | None = None
    bitladder_trits_per_byte: int | None = None
    bitladder_pooler_act: str | None = None
    bitladder_answering: dict[str, Any] | None = None
    bitladder_kind: str | None = None
    bitladder_thresholds: list[float] | None = None
    bitladder_reading: dict[str, Any] | None = None


class PackedBert(BertPreTrainedModel):
    """What a BERT with packed codes has, whatever its head; made by `load` or `from_pretrained`.

    Attributes:
        packed_config: config.json of its folder.
        by_kernels: whether the kernels answer where they can; else the torch layers always do.
    """

    config_class = BitladderBertConfig
    architecture = ""  # of the subclass, as config.json says it
    packed_config: PackedConfig
    by_kernels = True

    def __init__(self, config: BitladderBertConfig, *arguments: Any, **options: Any) -> None:
        """Raises FormatError when the config is not that of a packed folder."""
        config._attn_implementation = attention.NAME  # the one that quantizes both products' inputs
        super().__init__(config, *arguments, **options)
        self.packed_config = packed = _packed_config(config, self.architecture)
        if packed.width is not None:
            narrow(cast("Any", self))
        set_pooler(self)
        quantize(cast("Any", self), packed.precision)
        for name, layer in list(self.named_modules()):
            if isinstance(layer, QuantizedLinear | QuantizedEmbedding):
                assert layer.quantizer is not None
                stored = packed.stored_bits(layer.quantizer.layout.bits)
                kind = PackedLinear if isinstance(layer, QuantizedLinear) else PackedEmbedding
                self.set_submodule(name, cast("Any", kind)(layer, stored=stored))
        self._kernels = ByKernels(self)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *arguments: Any, **options: Any) -> Any:
        """As transformers' own, but strict: see the top of this file.

        Raises:
            IntegrityError: a file of a local folder is not what its manifest promises.
            FormatError: a tensor is missing, left over, misshapen, or holds what packing cannot write.
            ValueError: an option asks for other arithmetic than that of the trained model.
        """
        if (folder := Path(pretrained_model_name_or_path)).is_dir():
            files.verify(folder)
        return cls._load(pretrained_model_name_or_path, *arguments, **options)

    @classmethod
    def _load(cls, source: Any, *arguments: Any, **options: Any) -> Any:
        _refuse_other_arithmetic(options)
        wants_info = options.pop("output_loading_info", False)
        folder = Path(source)
        if folder.is_dir():  # from the header alone, before memory is taken for a model
            config = format.read_config(folder)
            if config.architectures != [cls.architecture]:
                holds = config.architectures[0]
                raise FormatError(f"{folder}: holds a {holds}, and a {cls.architecture} was asked for")
            open_weights(folder, config)
        strict = {"output_loading_info": True, "use_safetensors": True, "dtype": torch.float32}
        with _default_dtype(torch.float32):  # what a layer makes without saying of which
            model, info = cast("Any", super()).from_pretrained(source, *arguments, **{**options, **strict})
        wrong = {name: sorted(map(str, keys)) for name, keys in info.items() if keys}
        if wrong:
            raise FormatError(f"{source}: {wrong}")
        model.arrays().check()
        model.requires_grad_(False)
        return (model, info) if wants_info else model

    def save_pretrained(  # type: ignore[override]  # the rest of transformers' options are in `options`
        self,
        save_directory: Any,
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        **options: Any,
    ) -> None:
        """Write the model as a packed folder, config.json as it is now; see saving.py. Raises as `save`."""
        if is_main_process:
            save(Path(save_directory), self.arrays(state_dict), self._config_now(), options)

    def resize_token_embeddings(self, *arguments: Any, **options: Any) -> Any:
        """Refused: rows of a packed table are codes, which nothing new can be trained in."""
        size = self.packed_config.vocab_size
        raise ValueError(
            f"resize_token_embeddings: a packed word table keeps its {size} rows; add tokens to the "
            "full-precision model, and train and pack it again"
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """What `.to()`, `.half()` and their kin call. Raises ValueError when they ask for another dtype."""
        require_float32(fn)
        return cast("Any", super())._apply(fn, recurse)

    def logits(
        self,
        input_ids: ArrayLike,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
    ) -> Floats:
        """As `runtime.Model.logits`, by whatever answers here.

        Torch is given one sequence at a time, without its padding: in a batch it takes sums in another order,
        and a value near the threshold between two codes would have another code there than alone.
        """
        given = inputs.checked(self.packed_config, input_ids, attention_mask, token_type_ids)
        if (model := self._answering_kernels()) is not None:
            return model.logits(*given)
        return np.stack([self._of_one(*row) for row in zip(*given, strict=True)])

    @torch.inference_mode()
    def _of_one(self, ids_S: Whole, mask_S: Whole, segments_S: Whole) -> Floats:
        """[L], or [L, S]."""
        length = int(mask_S.nonzero()[0][-1]) + 1
        cut = (torch.from_numpy(one[None, :length]).to(self.device) for one in (ids_S, mask_S, segments_S))
        ids_1S, mask_1S, segments_1S = cut
        output = self(ids_1S, attention_mask=mask_1S, token_type_ids=segments_1S)
        found: Floats = logits_of(output, mask_1S)[0].cpu().numpy()
        if self.packed_config.head.per_token:
            found = np.pad(found, ((0, 0), (0, len(ids_S) - length)), constant_values=PADDING)
        return found

    def _config_now(self) -> PackedConfig:
        """With the names of labels and the loss that were set since it was loaded."""
        return _packed_config(cast("BitladderBertConfig", self.config), self.architecture, loss=True)

    def arrays(self, state_dict: dict[str, Tensor] | None = None) -> Arrays:
        """Its tensors as they are now, or these. Raises FormatError where config.json says otherwise."""
        own = self.state_dict() if state_dict is None else state_dict
        state = {name: tensor.detach().cpu() for name, tensor in own.items()}
        entries = {
            name: Entry(_DTYPES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))
            for name, tensor in state.items()
        }
        options: Any = {"source": "the model's tensors", "widened": True}
        return Arrays(lambda name: state[name].numpy(), entries, self.packed_config, **options)

    @property
    def engine(self) -> Choice:
        """What would answer a plain call now, and why: the kernels' engine, or torch."""
        if not self.by_kernels:
            return Choice(engines.TORCH, "the model's by_kernels is False")
        model = self._answering_kernels()
        return Choice(engines.TORCH, self._kernels.reason) if model is None else model.engine

    def _answering_kernels(self) -> Model | None:
        return self._kernels.model(self._arrays_of_cpu) if self.by_kernels else None

    def _arrays_of_cpu(self) -> Arrays:
        if self.device.type != "cpu":
            raise UnsupportedError(f"the model is on {self.device}; kernels are for the CPU")
        return self.arrays()

    def _answered(
        self,
        given: tuple[Any, Any, Any],
        asked: dict[str, Any],
        by_torch: Callable[..., Any],
        output: Callable[[Tensor], Any],
    ) -> Any:
        """The kernels' answer where they have one, else torch's, in float32 under autocast too.

        Args:
            given: ids, mask and segments.
            asked: what else the caller gave.
            output: what to make of the kernels' logits [B, L] or [B, L, S].

        Raises NumTextsError for single texts where the model reads pairs, and the other way round.
        """
        if (found := self._by_kernels(*given, asked)) is not None:
            return output(found)
        with torch.autocast(self.device.type, enabled=False):
            return by_torch(*given, **asked)

    def _by_kernels(
        self, input_ids: Any, attention_mask: Any, token_type_ids: Any, asked: dict[str, Any]
    ) -> Tensor | None:
        self._require_num_texts(input_ids, token_type_ids)
        wanted = (*asked.values(), self.config.output_hidden_states, self.config.output_attentions)
        if any(one is not None and one is not False for one in wanted):
            return None
        model = self._answering_kernels()
        return None if model is None else logits(model, input_ids, attention_mask, token_type_ids)

    def _require_num_texts(self, input_ids: Any, token_type_ids: Any) -> None:
        """As far as it can be seen: while torch traces, nothing may depend on values."""
        given = input_ids if token_type_ids is None else token_type_ids
        if is_traced() or type(given) is not Tensor or given.ndim != 2:
            return
        are_pairs_B = torch.zeros(len(given), dtype=torch.bool)
        if token_type_ids is not None:
            are_pairs_B = (token_type_ids != 0).any(dim=1).cpu()
        inputs.require_num_texts(self.packed_config, are_pairs_B.numpy())


def _packed_config(config: BitladderBertConfig, architecture: str, *, loss: bool = False) -> PackedConfig:
    said = config.to_dict()
    known = {field.alias or name for name, field in PackedConfig.model_fields.items()}
    if not loss:  # what it is, users may say at any time: no logit depends on it
        known -= {"problem_type"}
    values = {name: value for name, value in said.items() if name in known}
    values |= {"architectures": [architecture], "attn_implementation": format.ATTENTION, "dtype": "float32"}
    values["id2label"] = {str(number): name for number, name in said["id2label"].items()}
    return format.parse_config(values, source="the model's config")


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _refuse_other_arithmetic(options: dict[str, Any]) -> None:
    for key in ("state_dict", "quantization_config", "gguf_file"):
        if options.get(key) is not None:
            raise ValueError(f"{key}: a packed model takes its weights from its folder alone")
    for key in ("dtype", "torch_dtype"):
        if (asked := options.pop(key, None)) not in (None, "auto", "float32", torch.float32):
            raise ValueError(f"{key}: {asked!r}; a packed model computes in float32")
    # The Auto classes put what they are asked for into the config.
    configured = getattr(options.get("config"), "_attn_implementation", None)
    asked = options.pop("attn_implementation", None) or configured
    if asked not in (None, attention.NAME, format.ATTENTION):
        raise ValueError(f"attn_implementation: {asked!r}; a packed model needs {attention.NAME!r}")
