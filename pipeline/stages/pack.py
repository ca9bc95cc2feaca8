"""Stage `pack@RUNG`: `packed/<rung>`, the deliverable; published if it says what the trained rung says."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline import kinds, paths, record
from pipeline.evaluation import agreement
from pipeline.evaluation.agreement import Agreement, ByKernels, OnSplit
from pipeline.params import Params, Task
from pipeline.progress import say

if TYPE_CHECKING:
    from bitladder.packed.format import ReadingFields
    from pipeline.kinds.kind import Chosen
    from pipeline.kinds.metrics import Array
    from pipeline.tasks.batches import Encoded

COMPARED_ROWS = 64  # by every engine


def run(params: Params, rung: str | None = None) -> None:
    """Pack one rung.

    Raises:
        IntegrityError: the trained rung or the data are not what their manifests say.
        EngineError: BITLADDER_ENGINE names an engine that there is not.
        ValueError: there is no such rung, a value cannot be stored exactly, or the outputs do not agree.
    """
    from bitladder.packed.writing import pack
    from bitladder.runtime.kernels import engines

    if rung not in params.deliver:
        raise ValueError(f"deliver: no rung {rung!r}; known: {params.deliver}")
    engines.choose()  # a wrong one is found before the work, not after it
    source = paths.model_dir(rung)
    check_record(source, files.verify(source))
    with files.publish(paths.packed_dir(rung)) as folder:
        pack(source, folder, _reading(params.task))
        shutil.copyfile(source / record.RECORD, folder / record.RECORD)
        found = compare(params.task, source, folder)
        found.check(rung)
        agreement.write(folder, found)
    say(_line(rung, found))


def _reading(task: Task) -> "ReadingFields | None":
    """What the task's models read; of question answering their config says it already."""
    from bitladder.packed.format import ReadingFields

    if task.answering is not None:
        return None
    texts: Any = len(task.sentence_columns)
    return ReadingFields(texts=texts, max_length=task.max_length)


def check_record(folder: Path, digests: dict[str, str]) -> None:
    """Raises IntegrityError when a folder's record tells of other weights than those in it."""
    own = record.read(folder)
    if own.digest != digests[files.WEIGHTS]:
        raise files.IntegrityError(
            f"{folder / record.RECORD}: it is of weights with sha256 {own.digest}; "
            f"those beside it have {digests[files.WEIGHTS]}"
        )


def compare(task: Task, trained_folder: Path, packed_folder: Path) -> Agreement:
    """Outputs of the trained and of the packed model on the whole first validation split; of a sentence
    encoder, whose sets may have thousands of paragraphs, on the whole set with the fewest rows.

    Raises:
        ValueError: a model's outputs are not all finite numbers.
    """
    import numpy as np

    from bitladder.modeling.checkpoint import load_bert
    from bitladder.runtime.kernels.engines import TORCH
    from bitladder.transformers_model.model import load_unpublished
    from pipeline.data.tables import read_split
    from pipeline.tasks import scoring
    from pipeline.tasks.scoring import logits
    from pipeline.training.device import device

    plain, names = paths.data_dir(task.name, "plain"), task.validation_splits
    files.verify(plain)
    frames = {name: read_split(plain, name) for name in names}
    name = names[0] if kinds.of(task).has_labels else min(names, key=lambda name: len(frames[name]))
    split = scoring.read(frames[name], task, packed_folder)
    rows = split.encoded
    trained: Any = load_bert(trained_folder)
    packed: Any = load_unpublished(packed_folder)
    chosen = kinds.of(task).noted(trained.config)
    has_kernels = packed.engine.engine != TORCH
    trained_NL = logits(trained.to(device()), rows)
    packed.by_kernels = False
    packed_NL = logits(packed.to(device()), rows)
    packed.to("cpu").by_kernels = True
    found = [trained_NL, packed_NL, *([logits(packed, rows)] if has_kernels else [])]
    if not all(np.isfinite(one).all() for one in found):
        raise ValueError(f"{trained_folder}: outputs on {name} are not all finite; nothing is packed")
    by_kernels = None
    if has_kernels:
        require_same_by_every_engine(packed_folder, rows)
        scored = [scoring.score_logits(one, split, task, chosen=chosen) for one in found]
        own, by_ours = scored[0].score, scored[2].score
        by_kernels = ByKernels(
            largest_logit_difference=float(np.abs(trained_NL - found[2]).max()),
            mean_logit_difference=mean_difference(trained_NL, found[2]),
            label_agreement=label_agreement(task, trained_NL, found[2], chosen),
            score_difference=None if own is None or by_ours is None else by_ours - own,
        )
    on_split = OnSplit(
        rows=len(rows),
        largest_logit_difference=float(np.abs(trained_NL - packed_NL).max()),
        label_agreement=label_agreement(task, trained_NL, packed_NL, chosen),
        by_kernels=by_kernels,
    )
    return Agreement({name: on_split})


def require_same_by_every_engine(packed_folder: Path, rows: "Encoded") -> None:
    """Raises ValueError where engines of this computer differ in a bit, on the first rows.

    They multiply whole numbers in different ways and do all else alike, so whatever the model says, a
    difference is a fault of one of them.
    """
    import numpy as np

    from bitladder.packed.format import read_config
    from bitladder.packed.reading import open_weights
    from bitladder.runtime import Model
    from bitladder.runtime.kernels.engines import Choice, running

    batch = rows.batch(list(range(min(COMPARED_ROWS, len(rows)))))
    inputs = (batch[name].numpy() for name in ("input_ids", "attention_mask", "token_type_ids"))
    ids, mask, segments = inputs
    arrays, first = open_weights(packed_folder, read_config(packed_folder)), None
    for engine in running():
        answers = Model(arrays, Choice(engine, "to compare"), threads=1).logits(ids, mask, segments)
        first = answers if first is None else first
        if not np.array_equal(first, answers):
            raise ValueError(
                f"engines {running()[0]} and {engine} do not give the same logits here; one of them is "
                "wrong on this processor; please report it, with what `bitladder doctor` says"
            )


def label_agreement(
    task: Task, trained_NL: "Array", other_NL: "Array", chosen: "Chosen" = None
) -> float | None:
    """Share of rows with the same label. Of a question's window that is the answer's first and last token,
    of words with tags each token's; None where answers are numbers.
    """
    trained, other = (kinds.of(task).decided(one, chosen) for one in (trained_NL, other_NL))
    if trained is None or other is None:
        return None
    return float((trained == other).reshape(len(trained_NL), -1).all(axis=1).mean())


def mean_difference(trained_NL: "Array", other_NL: "Array") -> float:
    """Of the logits that say something: on padding all agree, however much there is of it."""
    from bitladder.modeling.traces import PADDING

    return float(abs(trained_NL - other_NL)[trained_NL != PADDING].mean())


def _line(rung: str, found: Agreement) -> str:
    from bitladder.packed.size import account

    sizes = account(paths.packed_dir(rung))
    [(split, own)] = found.splits.items()
    size = f"{sizes.on_disk.mib:.3f} MiB, {sizes.on_disk.ratio:.1f} times smaller than in 32 bits"
    kernels = f"; by the kernels they {_differ(own.by_kernels)}" if own.by_kernels else ""
    return f"pack {rung}: {size}; on {own.rows} rows of {split} logits {_differ(own)}{kernels}"


def _differ(found: OnSplit | ByKernels) -> str:
    share = found.label_agreement
    agreed = "" if share is None else f", labels agree on {share:.2%}"
    moved = found.score_difference if isinstance(found, ByKernels) else None
    scored = "" if moved is None else f", the score by {100 * moved:+.1f} points"
    return f"differ by at most {found.largest_logit_difference:g}{agreed}{scored}"
