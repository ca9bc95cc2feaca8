"""The files that MLflow keeps of a model, uploaded whole or not counted.

A delivered rung: the packed folder, as it is, and the code that serves it (served_model.py), so nothing is
pickled. Any other model: record.json alone; its weights stay in DVC. A logged model is READY only after
MLflow took every file, and an upload that was cut short is repeated.
"""

import tempfile
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline import paths
from pipeline.params import Params
from pipeline.record import RECORD
from pipeline.tracking.execution import Model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

# numba where there are kernels, torch and transformers where there are none.
SERVED_WITH = ("numba", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pydantic")


def upload(client: "MlflowClient", model: Model, logged: "LoggedModel", params: Params) -> None:
    """Give `logged` its files, unless it has them."""
    if logged.status == "READY":
        return
    with tempfile.TemporaryDirectory() as staging:
        folder = Path(staging) / "model"
        if model.packed is None:
            files.write_text(folder / RECORD, (model.folder / RECORD).read_text(encoding="utf-8"))
        else:
            _lay_out(model, logged, params, folder)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")


def _lay_out(model: Model, logged: "LoggedModel", params: Params, folder: Path) -> None:
    """Write `folder` as MLflow's format for models wants it."""
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    task = params.task
    description = Description(
        artifact_path=logged.artifact_location,
        run_id=logged.source_run_id,
        model_id=logged.model_id,
        model_uuid=logged.model_id,
    )
    with warnings.catch_warnings():
        # It asks for an input example, to guess the signature that is given here.
        warnings.simplefilter("ignore", UserWarning)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"packed": str(paths.packed_dir(model.name))},
            signature=_signature(params),
            mlflow_model=description,
            model_config={"sentence_columns": list(task.sentence_columns), "max_length": task.max_length},
            pip_requirements=[f"{name}=={version(name)}" for name in SERVED_WITH if find_spec(name)],
        )


def _signature(params: Params) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    outputs = [ColSpec("double", "score")]
    if params.task.kind != "regression":
        outputs.insert(0, ColSpec("string", "label" if params.task.kind == "classification" else "answer"))
    inputs = [ColSpec("string", column) for column in params.task.sentence_columns]
    return ModelSignature(inputs=Schema([*inputs]), outputs=Schema([*outputs]))
