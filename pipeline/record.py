"""What is written beside every model so that its origin can be proved: `record.json`.

Deterministic on purpose: no clock, no host, no run id. Two runs of the same rung write the same bytes.
"""

from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from bitladder import files
from bitladder.quantizers.precision import Precision
from pipeline.parts import every_part, layers_in, shortest

RECORD = "record.json"
SUMS_OF_TWO = "sums of two"  # of a split rung: every matrix and table is two binary ones
Stage = Literal["pretrained", "teacher", "general", "weights", "weights_activations"]
T = TypeVar("T")
_CONFIG = ConfigDict(extra="forbid", strict=True)


class OtherFormatError(RuntimeError):
    """A file of the project that another version of bitladder wrote, or that somebody changed."""

    exit_code = 2


@dataclass(frozen=True, config=_CONFIG)
class Part:
    """Where the first weights of one part of a model (`pipeline.parts`) came from.

    Attributes:
        source: copied, then the next three fields say from what; drawn, then the others say how.
        model: whose weights.
        digest: sha256 of the file they were read from.
        through: what was done to make them fit, as ternary weight splitting; None where nothing was.
        distribution: of the weights; biases are 0 and LayerNorms 1 and 0.
        std: its standard deviation.
        seed: of the generators.
    """

    part: str
    source: Literal["copied", "drawn"]
    model: str | None = None
    digest: str | None = None
    through: str | None = None
    distribution: str | None = None
    std: float | None = None
    seed: int | None = None

    def __str__(self) -> str:
        """Where from, for a reader; which part is left out."""
        if self.source == "copied":
            how = f", {self.through}" if self.through else ""
            return f"copied from {self.model or 'a file'} ({(self.digest or '')[:10]}){how}"
        spread = f" of std {self.std:g}" if self.std is not None else ""
        seed = f", seed {self.seed}" if self.seed is not None else ""
        return f"drawn: {self.distribution}{spread}{seed}"


@dataclass(frozen=True, config=_CONFIG)
class Record:
    """One trained model.

    Attributes:
        name: `pretrained`, `teacher` or the rung's name; also its folder under `models/`.
        parent: the model its first weights came from (`init_from`); None at the root.
        teacher: the model it was distilled from (`taught_by`); None for what no model taught.
        digest: sha256 of its own `model.safetensors`.
        precision: as its config.json has it; full precision by default.
        data: sha256 of each Parquet file it saw, by split; `kind` is plain, augmented or corpus.
        scores: metric values by split; a split that chose the checkpoint says so in `selected_on`.
        sign_flips: share of latent weights whose sign changed since initialization, by tensor.
        settings: the hyperparameters it was trained with.
    """

    name: str
    stage: Stage
    task: str
    digest: str
    parent: str | None = None
    parent_digest: str | None = None
    teacher: str | None = None
    teacher_digest: str | None = None
    precision: Precision = Precision()
    init: list[Part] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    steps: int = 0
    best_step: int = 0
    selected_on: str | None = None
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    sign_flips: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def origins(init: list[Part]) -> dict[str, Part]:
    """The same in few lines: parts that came from the same place under as few selectors as name them."""
    num_layers = layers_in(part.part for part in init)
    known = set(every_part(num_layers))
    alike: dict[Part, list[str]] = {}
    for part in init:
        alike.setdefault(replace(part, part=""), []).append(part.part)
    return {
        selector: origin
        for origin, names in alike.items()
        for selector in (*shortest(names, num_layers), *(name for name in names if name not in known))
    }


def bits(record: Record) -> dict[str, int]:
    """Of `weights`, `embeddings` and `activations`."""
    precision = record.precision
    return {name: getattr(precision, name) for name in ("weights", "embeddings", "activations")}


def quantizers(precision: Precision) -> dict[str, str]:
    """The name of the quantizer of weights, embeddings and activations, where they have one, and what else of
    the precision is not a number of bits.
    """
    if precision.is_full:
        return {}
    named = {
        "weights": precision.quantizer_of_weights(),
        "embeddings": precision.quantizer_of_weights(is_table=True),
        "activations": precision.quantizer_of_activations(),
    }
    others = ("granularity", "group_size", "scale_bits", "split", "attention")
    return named | {key: str(value) for key, value in precision.as_dict().items() if key in others}


def write(folder: Path, record: Record) -> None:
    files.write_json(folder / RECORD, {**asdict(record), "precision": record.precision.as_dict()})


def read(folder: Path) -> Record:
    """Raises FileNotFoundError when the folder has no record, OtherFormatError when a field is wrong."""
    return read_as(Record, folder / RECORD, remedy="dvc repro")


def read_as(kind: type[T], path: Path, *, remedy: str) -> T:
    """What a JSON file holds, as a pydantic model or dataclass.

    Raises:
        FileNotFoundError: there is no such file.
        OtherFormatError: it holds something else: in one line which field, what is wrong, and the `remedy`.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise OtherFormatError(
            f"{path}: not as this version of bitladder writes it ({where}: {first['msg']}); "
            f"`{remedy}` writes it anew"
        ) from None
