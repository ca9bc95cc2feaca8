"""What rehearsals say of a plan's models: the arithmetic from their answers to seconds, rows and memory.

An answer is what flows.rehearsal tells of one piece. A time in it is a pair of seconds, on the wall and of
the processors, of which `cost.undisturbed` makes one: beside other work each alone says too much or little.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitladder import files
from pipeline import paths
from pipeline.ladder import cost
from pipeline.ladder.cost import Rehearsed, Rows, undisturbed
from pipeline.params import Params

Answers = Mapping[str, Mapping[str, Any]]
# Over the rows that `pack` compares on; the last one where kernels run the rung.
PASSES = ("scoring", "packed_scoring", "kernel_scoring")


@dataclass(frozen=True)
class Measured:
    """What is known of a plan's models.

    Attributes:
        kinds: by model; without those that could not be measured, or were not.
        rows: None when nothing was ever measured on this data.
        prepare_seconds, augment_seconds: of those stages, where a rehearsal could tell.
        failures: by model or piece, why it could not be measured.
    """

    kinds: dict[str, Rehearsed]
    rows: Rows | None
    prepare_seconds: float | None
    augment_seconds: float | None
    failures: dict[str, str]


def assembled(params: Params, answers: Answers, failures: dict[str, str]) -> Measured:
    rows = _rows(params, answers) if {"rows", "lengths"} <= set(answers) else None
    kinds = {}
    if rows is not None:
        for name in ("pretrained", "teacher", *params.rungs):
            if name in answers:
                batch_size = cost.optimization_of(params, name).batch_size
                kinds[name] = _rehearsed(answers[name], rows.tokens.get(str(batch_size)))
    prepare = answers.get("rows", {}).get("seconds")
    augment = answers.get("augment")
    return Measured(
        kinds,
        rows,
        None if prepare is None else undisturbed(prepare) + undisturbed(answers["rows"]["start_seconds"]),
        None if augment is None or rows is None else _augment_seconds(params, augment, rows),
        failures,
    )


def _rows(params: Params, answers: Answers) -> Rows:
    counted, lengths = answers["rows"], answers["lengths"]
    train = counted["train"]
    return Rows(
        train=train,
        augmented=_augmented(params, train, answers.get("augment", {}).get("left_out", ())),
        selection=counted["selection"],
        validation=counted["validation"],
        judged=counted["judged"],
        seconds_per_row=undisturbed(lengths["seconds_per_row"]),
        rehearsed=(counted["rehearsed"][0], counted["rehearsed"][1]),
        origin=counted["origin"],
        tokens=lengths["tokens"],
    )


def _augmented(params: Params, train: int | None, left_out: Sequence[str]) -> int | None:
    """Rows that `augment` has made, originals included, or will make at most."""
    try:
        summary = files.read_json(paths.data_dir(params.task.name, "augmented") / "summary.json")
        return int(sum(summary["rows"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None if train is None else train + _new_rows(params, train, left_out)


def _new_rows(params: Params, train: int, left_out: Sequence[str]) -> int:
    """Rows asked for, of the methods that the pre-trained model can do."""
    wanted, others = params.augmentation, {"word_fraction", "max_rows", *left_out}
    asked: int = train * sum(wanted.model_dump(exclude=others).values())
    return asked if wanted.max_rows is None else min(asked, wanted.max_rows)


def _augment_seconds(params: Params, answer: Mapping[str, Any], rows: Rows) -> float | None:
    """The start, what the first run takes longer, and the new rows at what more of them cost."""
    if rows.train is None:
        return None
    seconds = [undisturbed(timed) for timed in answer["seconds"]]
    (fewer, more), (less_time, more_time) = answer["rows"][-2:], seconds[-2:]
    per_row = max(0.0, more_time - less_time) / (more - fewer) if more > fewer else 0.0
    beside_rows = max(0.0, seconds[0] - answer["rows"][0] * per_row)
    new_rows = _new_rows(params, rows.train, answer["left_out"])
    return float(undisturbed(answer["start_seconds"]) + beside_rows + per_row * new_rows)


def _rehearsed(answer: Mapping[str, Any], tokens: float | None) -> Rehearsed:
    """What the rehearsal of a training says of the whole of it."""
    threads = 0 if answer["gpu_mib"] is not None else answer["threads"]
    steps = [undisturbed(timed, threads) for timed in answer["durations"]]
    widths = answer.get("widths", [1] * len(steps))
    written = answer["state_after"] - 1  # the step during which a state was written is none of the others
    plain = [number for number in range(len(steps)) if number != written]
    own_steps, own_widths = [steps[n] for n in plain], [widths[n] for n in plain]
    own_tokens = tokens if tokens and "widths" in answer else 1
    per_row = {name: _per_row(answer, name, threads) for name in PASSES}
    asked = "kernel_scoring" if answer["gpu_mib"] is None else "packed_scoring"
    start = undisturbed(answer["start_seconds"])
    return Rehearsed(
        seconds_per_step=cost.seconds_per_step(own_steps, own_widths, own_tokens) if own_steps else 0.0,
        seconds_per_row=per_row["scoring"],
        other_seconds=start + _beside_steps(answer),
        peak_mib=answer["peak_mib"],
        gpu_mib=answer["gpu_mib"],
        threads=answer["threads"],
        steps=len(own_steps),
        share=_share(answer),
        seconds_per_state=_longer(steps[written], own_steps) if written < len(steps) else 0.0,
        pack_seconds=start + _beside_rows(answer),
        packed_seconds_per_row=per_row[asked] or per_row["packed_scoring"],
        compared_seconds_per_row=sum(per_row.values()),
    )


def _longer(seconds: float, others: list[float]) -> float:
    return max(0.0, seconds - statistics.median(others)) if others else 0.0


def _per_row(answer: Mapping[str, Any], name: str, threads: int) -> float:
    return undisturbed(answer[name], threads) / answer["scored"] if name in answer else 0.0


def _beside_steps(answer: Mapping[str, Any]) -> float:
    """What the stage took but for its steps (of the first, what was usual) and the two times it scored."""
    left = []
    for part, whole in enumerate(answer["seconds"]):
        steps = [timed[part] for timed in answer["durations"]]
        first = statistics.median(steps) if steps else 0.0
        left.append(whole - sum(steps) - first - 2 * answer.get("scoring", (0.0, 0.0))[part])
    return max(0.0, undisturbed(left))


def _beside_rows(answer: Mapping[str, Any]) -> float:
    """What packing took but for its passes over the rows that it compares on."""
    if "packing" not in answer:
        return 0.0
    share = answer["packed_on"] / answer["scored"]
    passes = zip(*(answer[name] for name in PASSES if name in answer), strict=True)
    left = [whole - share * sum(parts) for whole, parts in zip(answer["packing"], passes, strict=True)]
    return max(0.0, undisturbed(left))


def _share(answer: Mapping[str, Any]) -> float:
    wall, cpu = (sum(timed[part] for timed in answer["durations"]) for part in (0, 1))
    return 1.0 if answer["gpu_mib"] is not None or not wall else cpu / (wall * answer["threads"])
