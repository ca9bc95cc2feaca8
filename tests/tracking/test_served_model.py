"""What MLflow serves is the packed model itself, loaded by our own loader and without pickle."""

import pandas
import pytest
from ladder_on_disk import Project
from tiny_rung import save_rung

import bitladder
from bitladder import files
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from bitladder.runtime.kernels import engines
from pipeline import paths, record
from pipeline.stages import register
from pipeline.tracking import store


def pack_a_real_model(project: Project, name: str, **sizes: int) -> str:
    """Replace the fabricated packed/<name>/ by a tiny model with 1-bit weights and 8-bit activations."""
    with files.publish(project.root / "real") as folder:
        save_rung(folder, Precision(1, 1, 8), **{"max_position_embeddings": 24, **sizes})
    target = project.root / paths.packed_dir(name)
    with files.publish(target) as folder:
        pack(project.root / "real", folder)
        record.write(folder, project.record(name))
    return str(target)


@pytest.mark.parametrize("sizes", [{}, {"hidden_size": 64, "intermediate_size": 128}], ids=["torch", "any"])
def test_the_champion_answers_as_the_packed_folder_does(
    project: Project, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int]
) -> None:
    """Layers of 32 features are torch's; those of 64 are run by kernels where there are some."""
    import mlflow

    folder = pack_a_real_model(project, "w1", **sizes)
    register.run(project.params)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(store.locate().uri)
    served = mlflow.pyfunc.load_model("models:/bitladder-demo@champion")
    texts = ["the dog sees a cat .", "a fish hears"] * 40
    answers = served.predict(pandas.DataFrame({"sentence": texts}))

    has_kernels = sizes and engines.choose().engine != engines.TORCH
    engine = served.unwrap_python_model().model.engine.engine
    assert (engine != engines.TORCH) == bool(has_kernels)
    assert list(answers.columns) == ["label", "score"]
    assert len(answers) == len(texts)
    for text, answer in zip(texts[:2], answers.itertuples(), strict=False):
        expected = bitladder.load(folder)(text)
        assert answer.label == expected["label"]
        assert answer.score == pytest.approx(expected["scores"][answer.label], abs=1e-5)
