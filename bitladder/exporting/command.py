"""`bitladder export DIR --onnx OUT`: write the graph, run it in ONNX Runtime, compare its logits."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from bitladder import files, predict
from bitladder.exporting import checked
from bitladder.exporting.bert import Bert, check, problems
from bitladder.exporting.checked import Agreement, Batch
from bitladder.exporting.products import Form, Product
from bitladder.modeling.architectures import SHAPE
from bitladder.packed.format import WEIGHTS, PackedConfig, read_config
from bitladder.packed.reading import open_weights
from bitladder.rows import reading
from bitladder.rows.row import names_for
from bitladder.text.given import TextError
from bitladder.text.tokens import copy_tokenizer, tokenize

MODEL = "model.onnx"
_BERT = (*SHAPE, "id2label", "label2id", "pad_token_id", "problem_type")
_OURS = ("bitladder_kind", "bitladder_thresholds", "bitladder_answering", "bitladder_reading")
_MOST_ROWS, _AT_ONCE = 256, 16


class TargetError(ValueError):
    """What is at OUT is not ours to replace."""

    exit_code = 2


class DisagreementError(RuntimeError):
    """ONNX Runtime's logits are not ours; nothing was written."""


def main(
    folder: Path, out: Path, *, int8: bool = False, file: str | None = None, as_json: bool = False
) -> int:
    """Publish OUT, and say how large it is and how far its logits are from ours.

    Args:
        int8: weights of 8 bits in memory; see `exporting.products`.
        file: texts to compare on, as `bitladder predict --file` reads them; else drawn ids.

    Raises as `predict.load` does, and TargetError, DisagreementError, NotExpressedError, TextError.
    """
    form: Form = "int8" if int8 else "nbits"
    digests = files.verify(folder)
    config = read_config(folder)
    check(config, form)
    _check_target(out)
    model = predict.load(folder)
    batches = checked.made_up(config) if file is None else list(_batches(folder, config, file))
    bert = Bert(open_weights(folder, config), form)
    made = bert.model({"bitladder_model_sha256": digests[WEIGHTS], "bitladder_form": form})
    with files.publish(out) as target:
        (target / MODEL).write_bytes(made.SerializeToString(deterministic=True))
        copy_tokenizer(folder, target)
        files.write_json(target / "config.json", _config(config))
        agreement = checked.compare(checked.session(target / MODEL), model, batches)
        if not agreement.holds:
            raise DisagreementError(f"{out}: not written: {_said(agreement)}")
    slow = checked.slow(bert.asked)
    _tell_slow(slow)
    if as_json:
        values = _as_dict(folder, out, agreement, slow)
        sys.stdout.write(json.dumps({"form": form, "file": file, **values}, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(folder, out, agreement, file))
        if not int8 and not problems(config, "int8"):
            sys.stdout.write("faster, for more memory: --int8 (docs/onnx.md)\n")
    return 0


def _check_target(out: Path) -> None:
    if out.is_dir() and (
        not any(out.iterdir()) or {MODEL, files.MANIFEST} <= {p.name for p in out.iterdir()}
    ):
        return
    if out.exists():
        raise TargetError(f"--onnx: {out}: is there, and is no earlier export; name a new folder")


def _config(config: PackedConfig) -> dict[str, Any]:
    """What transformers' config.json of such a BERT says, and what answers are made of."""
    values, own = config.as_dict(), config.head.architecture
    architecture = "BertModel" if config.head.reads == "mean" else own
    kept = {key: values[key] for key in (*_BERT, *_OURS) if key in values}
    return {"model_type": "bert", "architectures": [architecture], **kept}


def _batches(folder: Path, config: PackedConfig, file: str) -> Iterator[Batch]:
    """The first rows of a file. Raises TextError at a bad one, or if there is none."""
    with reading.opened(file) as contents:
        rows = reading.read(reading.Lines(contents), reading.format_of(file), names_for(config))
        good = list(islice(reading.good(rows, file), _MOST_ROWS))
    if not good:
        raise TextError(f"--file: {file}: has no rows")
    pairs = [one.pair for one in good if one.pair is not None] or None
    tokens = tokenize([one.text for one in good], pairs, folder, max_length=config.max_length)
    yield from tokens.batches(_AT_ONCE)


def _said(found: Agreement) -> str:
    return (
        f"logits differ from ours by {found.largest:.2g} at most, {found.mean:.2g} on average over "
        f"{found.rows} rows (the largest logit is {found.largest_logit:.3g}); {found.agreeing} rows by at "
        f"most {found.limit:.2g}, {found.needed} have to"
    )


def _lines(folder: Path, out: Path, agreement: Agreement, file: str | None) -> list[str]:
    size, ours = ((where / name).stat().st_size for where, name in ((out, MODEL), (folder, WEIGHTS)))
    rows = "drawn ids; --file compares on texts" if file is None else file
    return [f"{out / MODEL}: {size:,} bytes; {folder / WEIGHTS}: {ours:,}", f"{_said(agreement)} ({rows})"]


def _as_dict(folder: Path, out: Path, agreement: Agreement, slow: dict[Product, float]) -> dict[str, Any]:
    return {
        "folder": str(out),
        "model_onnx_bytes": (out / MODEL).stat().st_size,
        "model_safetensors_bytes": (folder / WEIGHTS).stat().st_size,
        "agreement": asdict(agreement),
        "slow_products": [{**asdict(product), "times_float": times} for product, times in slow.items()],
    }


def _tell_slow(slow: dict[Product, float]) -> None:
    for product, times in slow.items():
        sys.stderr.write(
            f"bitladder: slow on this processor: MatMulNBits has no kernel for weights of {product.bits} "
            f"bits, {product.K} inputs and {product.N} outputs, and unpacks the matrix at every call: "
            f"{times:.0f} times as long as a product in 32 bits, of 16 rows\n"
        )
