"""A worker of `inference.py`: one engine in a process of its own, with a fixed number of threads.

    python inference_worker.py '{"engine": "w1a8", "model": FOLDER, "threads": 1}'

Answers each line {"rows": B, "tokens": S, "repeats": n} of its input with one line of JSON: the seconds of
each of n calls, the resident memory after them, and the first row's logits. An engine is a function from ids
to logits. Libraries are imported where their engine is loaded, so that a process holds no other's.

Ids, masks and types are int64 arrays [B, S]; logits [B, 2].
"""

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engines import ENGINES
from numpy.typing import NDArray
from shapes import SHAPES, Ids, spread_ids

Run = Callable[[Ids], NDArray[np.float32]]


def load(name: str, model: Path, threads: int) -> Run:
    """The engine's function. Raises what its library raises."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    engine = ENGINES[name]
    if engine.is_ours:
        return _packed(model / engine.folder, threads)
    kind, _, _ = name.partition("-")
    load_rival = {"torch": _torch, "onnxruntime": _onnxruntime, "openvino": _openvino}[kind]
    return load_rival(name, model / engine.folder, threads)


def _packed(folder: Path, threads: int) -> Run:
    from bitladder import runtime

    model = runtime.load(folder, threads=threads)
    return lambda ids: model.logits(ids["input_ids"], ids["attention_mask"], ids["token_type_ids"])


def _torch(name: str, folder: Path, threads: int) -> Run:
    import torch
    from transformers import BertForSequenceClassification

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    model: Any = BertForSequenceClassification.from_pretrained(folder, attn_implementation="sdpa").eval()
    if name == "torch-bf16":
        model = model.bfloat16()
    elif name == "torch-int8":
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)

    def run(ids: Ids) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = model(**{key: torch.from_numpy(value) for key, value in ids.items()})[0]
            return np.asarray(logits.float().numpy())

    return run


def _onnxruntime(name: str, folder: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    path, providers = str(folder / "model.onnx"), ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    # The optimizer makes 32-bit ids of them.
    kinds = {wanted.name: np.int32 if "int32" in wanted.type else np.int64 for wanted in session.get_inputs()}

    def run(ids: Ids) -> NDArray[np.float32]:
        given = {key: ids[key].astype(kind, copy=False) for key, kind in kinds.items()}
        return np.asarray(session.run(None, given)[0])

    return run


def _openvino(name: str, folder: Path, threads: int) -> Run:
    import openvino

    options = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # Otherwise processors that have bfloat16 compute in it.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(folder / "model.xml"), "CPU", options)
    request, output = compiled.create_infer_request(), compiled.output(0)
    names = [wanted.get_any_name() for wanted in compiled.inputs]
    return lambda ids: np.array(request.infer({name: ids[name] for name in names})[output])


def answer(run: Run, rows: int, tokens: int, repeats: int) -> dict[str, Any]:
    ids = spread_ids(rows, tokens, vocab_size=SHAPES["minilm"].vocab_size)
    cpu_seconds, wall_seconds = [], []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        logits = run(ids)
        cpu_seconds.append(time.process_time() - cpu)
        wall_seconds.append(time.perf_counter() - wall)
    return {
        "cpu_seconds": cpu_seconds,
        "wall_seconds": wall_seconds,
        "resident_mib": resident_mib(),
        "logits": [float(logit) for logit in logits[0]],
    }


def resident_mib() -> float:
    """What the process has in memory now, pages that it shares with others included."""
    path = Path("/proc/self/smaps_rollup")
    if not path.is_file():
        import psutil

        return float(psutil.Process().memory_info().rss / 2**20)
    [line] = [line for line in path.read_text().splitlines() if line.startswith("Rss:")]
    return int(line.split()[1]) / 1024


def main() -> None:
    wanted = json.loads(sys.argv[1])
    # What a library prints goes where errors go: the pipe is for answers alone.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    run = load(wanted["engine"], Path(wanted["model"]), wanted["threads"])
    for line in sys.stdin:
        print(json.dumps(answer(run, **json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
