"""A trained and packed ladder of tiny files, in a project of its own.

The weights mean nothing: tracking reads digests, records and results. The folders are real (files.publish).
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
from ruamel.yaml import YAML
from safetensors.numpy import save_file

from bitladder import files
from bitladder.quantizers.precision import Precision
from pipeline import params_file, paths, record
from pipeline.evaluation import results
from pipeline.evaluation.results import ModelResult, OverSeeds, Results
from pipeline.params import Params
from pipeline.parts import every_part
from pipeline.record import Part, Record

ROOT = Path(__file__).parents[2]
# name: parent, bits of weights and activations, score, MiB
LADDER: dict[str, tuple[str | None, int, int, float | None, float]] = {
    "pretrained": (None, 32, 32, None, 4.0),
    "teacher": ("pretrained", 32, 32, 0.96, 4.0),
    "w8": ("teacher", 8, 32, 0.95, 1.0),
    "w1": ("w8", 1, 32, 0.94, 0.15),
    "w1a8": ("w1", 1, 8, 0.93, 0.15),
    "w1a8_direct": ("teacher", 1, 8, 0.88, 0.15),
}
DELIVERED = ("w8", "w1", "w1a8", "w1a8_direct")
VALIDATION = "5" * 64


@dataclass
class Project:
    """A project's folder, which is the working directory while a test runs."""

    root: Path

    @property
    def params(self) -> Params:
        return params_file.load(self.root / "params.yaml")

    def train(self, name: str, **changes: Any) -> None:
        """Write models/<name>/, and packed/<name>/ if it is delivered. `seed` changes the weights."""
        parent, weights, activations, _, _ = LADDER[name]
        folder = self.root / paths.model_dir(name)
        with files.publish(folder) as made:
            seed = changes.get("seed", 0)
            _tensors(made, f"{name} {seed}")
            (made / "curve.csv").write_text("step,loss,score\n1,0.9,\n2,0.5,0.8\n")
            if name in DELIVERED:
                flips = "1,bert.pooler.dense.weight,0.1\n2,bert.pooler.dense.weight,0.25\n"
                (made / "sign_flips.csv").write_text(f"step,tensor,share\n{flips}")
            own = Record(
                name=name,
                stage=_stage(name, activations),
                task="demo",
                digest=files.sha256(made / "model.safetensors"),
                parent=parent,
                parent_digest=self.record(parent).digest if parent else None,
                teacher="teacher" if name in DELIVERED else None,
                teacher_digest=self.record("teacher").digest if name in DELIVERED else None,
                precision=Precision(weights, weights, activations),
                init=_init(parent, self.record(parent).digest if parent else None),
                data={"kind": "plain", "train": "1" * 64, "selection": "2" * 64},
                seed=seed,
                steps=2,
                best_step=2,
                selected_on="selection",
                scores={"selection": {"accuracy": 0.8}},
                sign_flips={"bert.pooler.dense.weight": 0.25},
                settings={"learning_rate": 3e-4, "batch_size": 32},
            )
            record.write(made, own)
        if name in DELIVERED:
            self.pack(name)

    def pack(self, name: str) -> None:
        with files.publish(self.root / paths.packed_dir(name)) as made:
            _tensors(made, f"codes of {self.record(name).digest}")
            files.write_json(made / "config.json", {"model_type": "bert"})
            record.write(made, self.record(name))

    def evaluate(self, **scores: float | None) -> None:
        """Write metrics/results.json; `scores` replaces those of LADDER."""
        models: dict[str, ModelResult] = {}
        for name, (parent, weights, activations, score, mib) in LADDER.items():
            if name == "pretrained":
                continue
            score = scores.get(name, score)
            models[name] = ModelResult(
                stage=_stage(name, activations),
                parent=parent,
                weight_bits=weights,
                embedding_bits=weights,
                activation_bits=activations,
                score=score,
                scores={"validation": {"accuracy": score}},
                accuracy=score,
                collapsed=False,
                no_answer_threshold=None,
                num_examples=100,
                bytes=int(mib * 2**20),
                mib=mib,
                digest=self.record(name).digest,
                label_agreement=None,
                seed=0,
                selected_on="selection",
                steps=2,
                total_steps=2,
                augmented_steps=0,
                ancestors=[],
                gap=None if score is None else score - 0.96,
                ratio=4.0 / mib,
            )
        found = Results(
            format=results.FORMAT,
            task="demo",
            kind="classification",
            metrics=["accuracy"],
            split="validation",
            rows={"validation": 100},
            checkpoint_selected_on="selection",
            models=models,
            rows_read={"validation": 100},
            majority={"validation": 0.5},
            majority_score=0.5,
            num_seeds=1,
            claims=[],
        )
        results.write(self.root / paths.RESULTS, found)

    def repeat(self, **means: float | None) -> None:
        """Write into metrics/results.json that these models had so much on average over three seeds."""
        seeds = ("0", "1", "2")
        rest: dict[str, Any] = dict.fromkeys(("std", "gap_mean", "gap_std"))
        rest |= {"scores": dict.fromkeys(seeds), "accuracies": dict.fromkeys(seeds), "metrics": {}}
        for name, mean in means.items():
            over = OverSeeds(mean=mean, num_seeds=3, collapsed=dict.fromkeys(seeds, False), **rest)
            self.change_result(name, seeds=over)

    def collapse(self, name: str, *, seed: int = 0) -> None:
        """Write into metrics/results.json that this model gives one answer to all rows, from that seed."""
        over = results.read(self.root / paths.RESULTS).models[name].seeds
        if over is not None:
            over = over.model_copy(update={"collapsed": {**over.collapsed, str(seed): True}})
        self.change_result(name, collapsed=seed == 0, **({"seeds": over} if over else {}))

    def change_result(self, name: str, **changes: Any) -> None:
        """Write metrics/results.json with one model's entry changed."""
        found = results.read(self.root / paths.RESULTS)
        models = {**found.models, name: found.models[name].model_copy(update=changes)}
        results.write(self.root / paths.RESULTS, found.model_copy(update={"models": models}))

    def record(self, name: str) -> Record:
        return record.read(self.root / paths.model_dir(name))


def swap_packed(project: Project, name: str, other: str) -> None:
    """Put another rung's packed files, sound in themselves, into packed/<name>/."""
    source = project.root / paths.packed_dir(other)
    with files.publish(project.root / paths.packed_dir(name)) as made:
        for file in source.iterdir():
            shutil.copy(file, made)


def _stage(name: str, activations: int) -> Any:
    if name in ("pretrained", "teacher"):
        return name
    return "weights" if activations == 32 else "weights_activations"


def _init(parent: str | None, parent_digest: str | None) -> list[Part]:
    if parent_digest is None:
        return [Part("all", "drawn", distribution="N(0, 0.02)", seed=0)]
    copied = Part("", "copied", model=parent, digest=parent_digest)
    return [replace(copied, part=part) for part in every_part(2)]


def _tensors(folder: Path, content: str) -> None:
    weight = numpy.frombuffer(content.encode().ljust(64), dtype=numpy.uint8).copy()
    save_file({"weight": weight}, folder / "model.safetensors")


def write_params(path: Path) -> None:
    document = YAML()
    values = document.load((ROOT / "params.yaml").read_text())
    values["weights"] = {
        "w8": {"bits": 8, "init_from": "teacher", "taught_by": "teacher", "data": "plain"},
        "w1": {"bits": 1, "init_from": "w8", "taught_by": "teacher", "data": "plain"},
    }
    values["weights_activations"] = {
        "w1a8": {"bits": 1, "activation_bits": 8, "init_from": "w1", "taught_by": "teacher", "data": "plain"},
        "w1a8_direct": {
            "bits": 1,
            "activation_bits": 8,
            "init_from": "teacher",
            "taught_by": "teacher",
            "data": "plain",
        },
    }
    values["deliver"] = list(DELIVERED)
    values["claims"] = []
    with path.open("w") as file:
        document.dump(values, file)
