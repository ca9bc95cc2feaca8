"""What is written beside every model so that its origin can be proved: `record.json`.

Deterministic on purpose: no clock, no host, no run id. Two runs of the same rung write the same bytes.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bitladder import files
from pipeline.parts import every_part, layers_in, shortest

RECORD = "record.json"
SUMS_OF_TWO = "sums of two"  # of a split rung: every matrix and table is two binary ones
Stage = Literal["pretrained", "teacher", "weights", "weights_activations"]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Record:
    """One trained model.

    Attributes:
        name: `pretrained`, `teacher` or the rung's name; also its folder under `models/`.
        parent: the model its first weights came from (`init_from`); None at the root.
        teacher: the model it was distilled from (`taught_by`); None for what no model taught.
        digest: sha256 of its own `model.safetensors`.
        bits: of `weights`, `embeddings` and `activations`; 32 means left in full precision.
        quantizers: the quantizer's name by part, empty in full precision.
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
    bits: dict[str, int] = field(default_factory=lambda: {"weights": 32, "embeddings": 32, "activations": 32})
    quantizers: dict[str, str] = field(default_factory=dict)
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


def write(folder: Path, record: Record) -> None:
    files.write_json(folder / RECORD, asdict(record))


def read(folder: Path) -> Record:
    """Raises FileNotFoundError when the folder has no record, TypeError when a field is unknown."""
    value = files.read_json(folder / RECORD)
    return Record(**{**value, "init": [Part(**part) for part in value["init"]]})
