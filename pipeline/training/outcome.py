"""Publish a trained model: its folder appears whole, with its curves, the record and the manifest."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transformers.models.bert.configuration_bert import BertConfig

from bitladder import files
from bitladder.modeling import checkpoint
from pipeline import paths, record
from pipeline.record import Record
from pipeline.training import parallel
from pipeline.training.sign_flips import flips_csv
from pipeline.training.state import Point

CURVE = paths.CURVE


def publish(
    model: object, config: BertConfig, draft: Record, curve: Sequence[Point], *, tokenizer_from: Path
) -> Record:
    """Write `models/<draft.name>/`; return the record with the digest of the weights filled in.

    Of several processes the first one writes; the others return the draft.
    """
    if not parallel.world().leads:
        return draft
    with files.publish(paths.model_dir(draft.name)) as folder:
        checkpoint.save(folder, model, config, tokenizer_from=tokenizer_from)  # type: ignore[arg-type]
        finished = replace(draft, digest=files.sha256(folder / checkpoint.WEIGHTS))
        record.write(folder, finished)
        files.write_text(folder / CURVE, curve_csv(curve))
        if any(point.sign_flips for point in curve):
            files.write_text(folder / paths.SIGN_FLIPS, flips_csv(curve))
    return finished


def curve_csv(curve: Sequence[Point]) -> str:
    """Columns step, loss (mean since the row before) and score (empty where it was not measured)."""
    rows = [[p.step, f"{p.loss:.6g}", "" if p.score is None else f"{p.score:.6g}"] for p in curve]
    return files.csv_text(["step", "loss", "score"], rows)
