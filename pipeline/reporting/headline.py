"""What the report says first: which low-bit model is the best one, and how it stands beside its teacher."""

from dataclasses import dataclass

from pipeline.evaluation.results import ModelResult, Results
from pipeline.reporting import cells, table
from pipeline.reporting.speed import Speeds
from pipeline.rungs import TEACHER

_ON_BITS = 8  # activations of at most so many bits: their products are of whole numbers, without floats


@dataclass(frozen=True)
class Tile:
    """One figure: its name, its value, and what it is compared with."""

    name: str
    value: str
    beside: str


@dataclass(frozen=True)
class Headline:
    """Attributes:
    model: the best low-bit one; None where none has a score.
    title, sentence: in words.
    """

    model: str | None
    title: str
    sentence: str
    tiles: tuple[Tile, ...] = ()


def headline(results: Results, speeds: Speeds | None = None) -> Headline:
    """Of `best_low_bit`, with its speed where it was measured."""
    name = best_low_bit(results)
    if name is None:
        return Headline(
            None, "No low-bit model to show", "None has a defined score and more than one answer."
        )
    model, teacher = results.models[name], results.models[TEACHER]
    metric = table.score_name(results)
    times = speeds.times_as_fast(name) if speeds else None
    sentence = (
        f"{name} has {_bits(model)}. Its {metric} is {cells.score(model)}, "
        f"its teacher's {cells.score(teacher)}. "
        f"Its file has {model.mib:.3f} MiB instead of {teacher.mib:.3f}."
    )
    if times is not None:
        sentence += f" On this computer it is {_times(times)} the teacher."
    return Headline(name, _title(name, model), sentence, tuple(_tiles(results, name, speeds)))


def best_low_bit(results: Results) -> str | None:
    """The highest score among the models with the fewest weight bits, and, where there are any, with
    activations of at most 8 bits; of equals the smaller one. None that has collapsed or has no score.

    Activations of 32 bits are left to those ladders that have nothing else: such a model is small on disk and
    computes as the teacher does.
    """
    able = {
        name: model
        for name, model in results.models.items()
        if name != TEACHER and not model.collapsed_seeds and model.means.mean is not None
    }
    fewest = min((model.weight_bits for model in able.values()), default=0)
    low = {name: model for name, model in able.items() if model.weight_bits == fewest}
    on_bits = {name: model for name, model in low.items() if model.activation_bits <= _ON_BITS}

    def merit(name: str) -> tuple[float, int, int, str]:
        model = able[name]
        return -(model.means.mean or 0.0), model.bytes, model.activation_bits, name

    return min(on_bits or low, key=merit, default=None)


def _title(name: str, model: ModelResult) -> str:
    gap = model.means.gap_mean
    bits = "1 bit" if model.weight_bits == 1 else f"{model.weight_bits} bits"
    if gap is None:
        return f"{name}: {bits} a weight, {model.ratio:.0f} times smaller"
    loses = f"loses {-100 * gap:.1f} points" if gap < 0 else f"gains {100 * gap:.1f} points"
    return f"{name}: {bits} a weight, {model.ratio:.0f} times smaller, {loses}"


def _bits(model: ModelResult) -> str:
    return f"{model.weight_bits}-bit weights and {model.activation_bits}-bit activations"


def _times(times: float) -> str:
    return f"{times:.1f} times as fast as" if times >= 1 else f"{1 / times:.1f} times slower than"


def _tiles(results: Results, name: str, speeds: Speeds | None) -> list[Tile]:
    model, teacher = results.models[name], results.models[TEACHER]
    found = [
        Tile(
            f"{table.score_name(results)} on {results.split}",
            cells.number(model.means.mean, model.means.std),
            f"teacher {cells.score(teacher)}, gap {cells.gap(model)}",
        ),
        Tile("file", f"{model.mib:.3f} MiB", f"teacher {teacher.mib:.3f} MiB, {model.ratio:.1f} times"),
    ]
    if speeds and name in speeds.models and (times := speeds.times_as_fast(name)) is not None:
        own, others = (speeds.models[one].milliseconds.median for one in (name, TEACHER))
        found.append(
            Tile("one text, here", f"{own:.3g} ms", f"teacher {others:.3g} ms, {times:.1f} times as fast")
        )
    return found
