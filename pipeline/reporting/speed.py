"""How long each model takes on this computer: .bitladder/speed.json.

A speed belongs to a processor and is another one each time, so it is in no file that DVC or git keeps: the
report's page alone shows it. All models are timed in one go, in turns, so that whatever else the computer
does slows all of them alike. They are timed again when one of them, or the processor, is another one.
"""

import platform
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from bitladder import files
from pipeline import paths
from pipeline.params import Task
from pipeline.progress import say
from pipeline.rungs import TEACHER

if TYPE_CHECKING:
    from pipeline.tasks.batches import Encoded

SPEED = paths.WORK / "speed.json"
ROUNDS = 9
TEXTS = 32  # of the validation split, at most
SECONDS = 1.0  # that a model may take in all rounds, but for one text a round
TORCH = "torch"
Answer = Callable[[int], object]  # to the text of that number


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Milliseconds(_Written):
    """Of processor time for one text: the median of the rounds, between their quartiles."""

    median: float
    low: float
    high: float


class Speed(_Written):
    """One model's. `digest`: of its weights; `engine`: what computed, see `bitladder doctor`."""

    digest: str
    engine: str
    milliseconds: Milliseconds


class Speeds(_Written):
    """Attributes:
    texts: that were timed in each round, one at a time.
    tokens: of the median text.
    models: by name, the teacher among them.
    """

    processor: str
    threads: int
    rounds: int
    texts: int
    tokens: float
    models: dict[str, Speed]

    def times_as_fast(self, name: str) -> float | None:
        """As the teacher."""
        if name not in self.models or TEACHER not in self.models:
            return None
        return self.models[TEACHER].milliseconds.median / self.models[name].milliseconds.median


def of_now(task: Task, digests: Mapping[str, str], *, again: bool = False) -> Speeds | None:
    """What was measured of these very models here, measured now if it was not, or if asked for `again`.

    `digests`: of the weights, by name. None, with a line that says why, where a model cannot be timed: a
    report does without.
    """
    if not again and (known := read()) is not None and fits(known, digests):
        return known
    try:
        found = measure(task, digests)
    except Exception as error:
        say(f"report: speeds were not measured: {error}")
        return None
    files.write_json(SPEED, found.model_dump())
    return found


def fits(speeds: Speeds, digests: Mapping[str, str]) -> bool:
    """Whether they are of these models and of this processor."""
    return speeds.processor == processor() and digests == {
        name: one.digest for name, one in speeds.models.items()
    }


def read() -> Speeds | None:
    """None where nothing was measured, or what lies there is not what `of_now` writes."""
    try:
        return Speeds.model_validate_json(SPEED.read_bytes())
    except (OSError, ValueError):
        return None


def measure(task: Task, digests: Mapping[str, str]) -> Speeds:
    """Time all models in turns, on one thread, from token ids to logits."""
    import torch

    from pipeline.data.tables import read_split
    from pipeline.tasks import scoring

    split = read_split(paths.data_dir(task.name, "plain"), task.validation_splits[0])
    rows = scoring.read(split.head(TEXTS), task, paths.model_dir(TEACHER)).encoded
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        models = {name: _model(name, rows) for name in digests}
        texts, rounds = _rounds({name: answer for name, (_, answer) in models.items()}, len(rows))
    finally:
        torch.set_num_threads(before)
    return Speeds(
        processor=processor(),
        threads=1,
        rounds=ROUNDS,
        texts=texts,
        tokens=median(len(ids) for ids in rows.input_ids[:texts]),
        models={
            name: Speed(digest=digest, engine=models[name][0], milliseconds=rounds[name])
            for name, digest in digests.items()
        },
    )


def processor() -> str:
    """Its maker's name for it, which many computers share."""
    try:
        told = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        told = None
    return told[1].strip() if told else platform.processor() or platform.machine()


def _model(name: str, rows: "Encoded") -> tuple[str, Answer]:
    """Its engine, and what computes the logits of a row."""
    import torch

    from bitladder.modeling.checkpoint import load_bert
    from bitladder.predict import load
    from pipeline.tasks.batches import inputs_of

    batches = [inputs_of(rows.batch([row])) for row in range(min(len(rows), TEXTS))]
    if name == TEACHER:
        model: Any = load_bert(paths.model_dir(TEACHER))
        model.eval()
        return TORCH, torch.inference_mode()(lambda row: model(**batches[row]))
    packed, arrays = (
        load(paths.packed_dir(name)),
        [{key: tensor.numpy() for key, tensor in batch.items()} for batch in batches],
    )
    return packed.engine.engine, lambda row: packed.logits(**arrays[row])


def _rounds(models: Mapping[str, Answer], num_rows: int) -> tuple[int, dict[str, Milliseconds]]:
    """How many texts each round had, and what each model took for one."""
    slowest = max(min(_seconds(answer, 1) for _ in range(2)) for answer in models.values())  # once to warm up
    texts = max(1, min(TEXTS, num_rows, int(SECONDS / ROUNDS / max(slowest, 1e-9))))
    found: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, answer in models.items():
            found[name].append(1000 * _seconds(answer, texts) / texts)
    return texts, {name: _middle(each) for name, each in found.items()}


def _seconds(answer: Answer, texts: int) -> float:
    """Of the processor, so that another program's turn does not count."""
    started = time.process_time()
    for number in range(texts):
        answer(number)
    return time.process_time() - started


def _middle(rounds: list[float]) -> Milliseconds:
    low, half, high = (float(f"{value:.4g}") for value in quantiles(rounds, n=4, method="inclusive"))
    return Milliseconds(median=half, low=low, high=high)
