"""Encoded sentences a second: packed sentence encoders beside the model they come from, in fp32 and in int8.

    pip install -e '.[bench]' --constraint constraints.txt
    python benchmarks/encoding.py --file sentences.txt [--teacher models/teacher] [--packed packed/w1a8 ...]
                                  [--rounds 7] [--threads 1]

From texts (a line each) to vectors of length 1, tokenizing included. torch computes the teacher in fp32,
OpenVINO the same model in int8 (NNCF, statically, calibrated on the first texts; its file is made first,
under .bitladder/bench). Both get batches of 32 sorted by length, as sentence-transformers makes them; our
kernels take each text by itself. One process per engine, the others sleep while one computes. With 1 thread
the time is the processor's, with more it is the wall's; ratios are taken within each round.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import HERE, as_markdown, middle, started, take_turns
from numpy.typing import NDArray

CACHE = HERE.parent / ".bitladder" / "bench" / "encoder"
BATCH = 32
CALIBRATION = 64  # texts
Encode = Callable[[list[str]], NDArray[np.float32]]
Run = Callable[[dict[str, NDArray[np.int64]]], NDArray[np.float32]]


def ours(folder: Path) -> Encode:
    import bitladder

    return bitladder.load(folder).encode


def torch_fp32(folder: Path, threads: int) -> Encode:
    import torch

    torch.set_num_threads(threads)
    model = _loaded(folder)

    def run(batch: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found = model(**{name: torch.from_numpy(values) for name, values in batch.items()})
            return np.asarray(found.logits.numpy())

    return _batched(run, folder)


def openvino_int8(folder: Path, threads: int) -> Encode:
    import openvino

    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(CACHE / "model.xml"), "CPU", options)
    request, output = compiled.create_infer_request(), compiled.output(0)
    names = [wanted.get_any_name() for wanted in compiled.inputs]
    return _batched(lambda batch: np.array(request.infer({n: batch[n] for n in names})[output]), folder)


def make_openvino(folder: Path, texts: list[str]) -> None:
    """OpenVINO's file of the teacher in int8, made as benchmarks/engine_files.py makes it of a classifier."""
    import nncf
    import openvino
    import torch

    from bitladder.text.tokens import tokenize

    class Vectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = _loaded(folder)

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.model(input_ids, attention_mask, token_type_ids).logits

    tokens = tokenize(texts[:CALIBRATION], None, folder, max_length=256)
    samples = list(tokens.batches(8))
    order = ("input_ids", "attention_mask", "token_type_ids")
    example = {name: torch.from_numpy(samples[0][name]) for name in order}
    made = openvino.convert_model(Vectors().eval(), example_input=example)
    data = nncf.Dataset(samples)
    made = nncf.quantize(made, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))
    CACHE.mkdir(parents=True, exist_ok=True)
    openvino.save_model(made, CACHE / "model.xml", compress_to_fp16=True)


def _loaded(folder: Path) -> Any:
    from bitladder.modeling.checkpoint import load_config, load_state
    from bitladder.modeling.sentence_bert import BertForSentenceEmbedding

    model = BertForSentenceEmbedding._from_config(load_config(folder), attn_implementation="sdpa")
    model.load_state_dict(load_state(folder))
    return model.eval()


def _batched(run: Run, folder: Path) -> Encode:
    from bitladder.text.tokens import tokenize

    def encode(texts: list[str]) -> NDArray[np.float32]:
        tokens = tokenize(texts, None, folder, max_length=256)
        order = sorted(range(len(texts)), key=lambda row: -len(tokens.input_ids[row]))
        found: list[Any] = [None] * len(texts)
        for start in range(0, len(texts), BATCH):
            rows = order[start : start + BATCH]
            for row, vector in zip(rows, run(tokens.batch(rows)), strict=True):
                found[row] = vector
        return np.stack(found)

    return encode


def work(wanted: dict[str, Any]) -> None:
    """A worker: each line of its input is answered with the seconds of encoding all texts once."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    folder, threads, texts = Path(wanted["folder"]), wanted["threads"], wanted["texts"]
    if wanted["engine"] == "make":
        make_openvino(folder, texts)
        encode: Encode = lambda _: np.zeros((1, 1), np.float32)  # noqa: E731
    else:
        made = {"torch": torch_fp32, "openvino": openvino_int8}.get(wanted["engine"])
        encode = ours(folder) if made is None else made(folder, threads)
    for _ in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        vectors = encode(texts)
        seconds = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        print(json.dumps({**seconds, "first": vectors[0].tolist()}), file=answers, flush=True)


def measure(asked: argparse.Namespace) -> str:
    texts = [line for line in Path(asked.file).read_text(encoding="utf-8").splitlines() if line.strip()]
    engines = {"torch fp32": ("torch", asked.teacher), "OpenVINO int8": ("openvino", asked.teacher)}
    engines |= {f"bitladder {Path(folder).name}": ("ours", folder) for folder in asked.packed}

    def command(engine: str, folder: str) -> list[str]:
        told = {"engine": engine, "folder": folder, "threads": asked.threads, "texts": texts}
        return [str(HERE / "encoding.py"), "--work", json.dumps(told)]

    def start(stack: ExitStack, name: str, engine: str, folder: str) -> Any:
        variables = {"BITLADDER_THREADS": str(asked.threads)}
        return stack.enter_context(started(name, command(engine, folder), threads=asked.threads, **variables))

    with ExitStack() as stack:
        maker = start(stack, "OpenVINO's file", "make", asked.teacher)
        maker.ask(repeats=1)
        maker.answer()
    with ExitStack() as stack:
        workers = [start(stack, name, *own) for name, own in engines.items()]
        asking = {"repeats": 1}
        answers = take_turns(workers, warm_up=asking, rounds=asked.rounds, request=asking)
    clock = "cpu" if asked.threads == 1 else "wall"
    seconds = {name: [one[clock] for one in found[1:]] for name, found in answers.items()}
    head = [
        "engine",
        "sentences a second",
        *(f"times {name}" for name in list(engines)[:2]),
        "cosine to fp32",
    ]
    first = {name: np.array(found[-1]["first"]) for name, found in answers.items()}
    rows: list[list[str]] = [head]
    for name, own in seconds.items():
        rate = middle([len(texts) / each for each in own]).text(1)
        ratios = [
            middle([theirs / mine for theirs, mine in zip(seconds[rival], own, strict=True)]).text(2)
            for rival in list(engines)[:2]
        ]
        rows.append([name, rate, *ratios, f"{float(first[name] @ first['torch fp32']):.3f}"])
    what = f"{len(texts)} texts, {asked.threads} threads, {clock} time, {asked.rounds} rounds"
    return f"{what}: median [quartiles]\n\n{as_markdown(rows, words=1)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", default="models/teacher")
    parser.add_argument("--packed", nargs="+", default=["packed/w1a8"])
    parser.add_argument("--file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(json.loads(asked.work))
    else:
        print(measure(asked))


if __name__ == "__main__":
    main()
