"""What a training leaves: its curves and its record, beside its weights in a folder that appears whole.

A rung has a second curve: how many of its latent weights have changed sign since it began, by matrix and
table, at each point of the first. What a 1-bit weight can do is change sign; why a random start may do better
than a pre-trained one is a guess (docs/method.md): large pre-trained latents hardly ever change sign at the
learning rates that train.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import BODY
from pipeline import kinds, paths, record
from pipeline.initialization.first_weights import of_quantizer
from pipeline.params import Params
from pipeline.record import Record
from pipeline.tasks.selection import chosen_on
from pipeline.training import parallel
from pipeline.training.loop import Fitted
from pipeline.training.rows import TaskData
from pipeline.training.state import Point, Shares


def described(
    draft: Record, params: Params, data: TaskData, model: nn.Module, config: BertConfig, fitted: Fitted
) -> Record:
    """The draft with what is told alike of the teacher and of every rung; scores are of the model as it is.

    What its answers are decided by (thresholds, where a kind has them) goes into `config` too.
    """
    scored = data.score(model)
    kind = kinds.of(params.task)
    chosen = {} if scored.chosen is None else {str(kind.chosen_as): scored.chosen}
    if chosen:
        kind.note(config, scored.chosen)
    return replace(
        draft,
        data=data.digests,
        seed=params.seed,
        steps=fitted.num_steps,
        best_step=fitted.best_step,
        selected_on=chosen_on(params),
        scores={chosen_on(params): scored.scores},
        settings={
            **draft.settings,
            "processes": params.training.processes,
            "gradients": params.training.gradients,
            "rows": len(data.train),
            "truncated": data.train.num_truncated,
            **chosen,
        },
    )


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
        files.write_text(folder / paths.CURVE, curve_csv(curve))
        if any(point.sign_flips for point in curve):
            files.write_text(folder / paths.SIGN_FLIPS, flips_csv(curve))
    return finished


def curve_csv(curve: Sequence[Point]) -> str:
    """Columns step, loss (mean since the row before) and score (empty where it was not measured)."""
    rows = [[p.step, f"{p.loss:.6g}", "" if p.score is None else f"{p.score:.6g}"] for p in curve]
    return files.csv_text(["step", "loss", "score"], rows)


def flips_csv(curve: Sequence[Point]) -> str:
    """Columns step, tensor and share; a row per matrix or table and point of the curve."""
    rows = [[point.step, name, share] for point in curve for name, share in sorted(point.sign_flips.items())]
    return files.csv_text(["step", "tensor", "share"], rows)


def sign_flips_since(first: Mapping[str, Tensor]) -> Callable[[nn.Module], Shares]:
    """What tells the share of each matrix and table of a model in training; keeps the first signs alone."""
    signs = {
        name: tensor < 0
        for name, tensor in sorted(first.items())
        if tensor.dim() == 2 and name.startswith(BODY) and not of_quantizer(name)
    }

    @torch.no_grad()
    def shares(model: nn.Module) -> Shares:
        now = model.state_dict()
        return {
            name: round(float((sign.to(now[name].device) != (now[name] < 0)).float().mean()), 6)
            for name, sign in signs.items()
        }

    return shares
