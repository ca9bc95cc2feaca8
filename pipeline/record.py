"""What is written beside every model so that its origin can be proved: `record.json`.

Deterministic on purpose: no clock, no host, no run id. Two runs of the same rung write the same bytes.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline import files

RECORD = "record.json"
Stage = Literal["pretrained", "teacher", "weights", "weights_activations"]


@dataclass(frozen=True)
class Part:
    """Where one part of a model's first weights came from.

    `source` is "copied" (then `digest` is the sha256 of the file it was read from) or "drawn" (then
    `distribution` and `seed` say how).
    """

    part: str
    source: Literal["copied", "drawn"]
    digest: str | None = None
    distribution: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Record:
    """One trained model.

    Attributes:
        name: `pretrained`, `teacher` or the rung's name; also its folder under `models/`.
        parent: the model its first weights came from (`init_from`); None at the root.
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


def write(folder: Path, record: Record) -> None:
    files.write_json(folder / RECORD, asdict(record))


def read(folder: Path) -> Record:
    """Raises FileNotFoundError when the folder has no record, TypeError when a field is unknown."""
    value = files.read_json(folder / RECORD)
    return Record(**{**value, "init": [Part(**part) for part in value["init"]]})
