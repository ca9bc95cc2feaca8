"""The code that MLflow stores beside a packed model ("models from code": no pickle) and runs to serve it.

It hands the stored folder to our own loader, which checks the manifest, and needs the `bitladder` package
installed. Input: a table with the task's sentence columns. Output: a table with `label` and `score` (the
label's probability), or with `score` alone for regression.
"""

from typing import Any

import mlflow
import pandas
from mlflow.pyfunc.model import PythonModel, PythonModelContext

BATCH = 64


class ServedModel(PythonModel):
    """A packed rung, ready for inference."""

    def load_context(self, context: PythonModelContext) -> None:
        from transformers import AutoTokenizer

        from pipeline.packing import model

        folder = context.artifacts["packed"]
        self.model = model.load(folder)
        self.folder = folder
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.label_names = {int(number): name for number, name in (self.model.config.id2label or {}).items()}
        self.settings = context.model_config

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: Any = None
    ) -> pandas.DataFrame:
        if self.model.config.bitladder_answering is not None:
            return self._found_answers(model_input)
        rows = range(0, len(model_input), BATCH)
        return pandas.concat(
            [self._answers(model_input[row : row + BATCH]) for row in rows], ignore_index=True
        )

    def _found_answers(self, table: pandas.DataFrame) -> pandas.DataFrame:
        from pipeline.packing.predict import answer_questions

        texts = [table[column].tolist() for column in self.settings["sentence_columns"]]
        found = answer_questions(self.model, self.folder, *texts)
        rows = [{"answer": one["answer"] or "", "score": one["score"]} for one in found]
        return pandas.DataFrame(rows, columns=["answer", "score"])

    def _answers(self, table: pandas.DataFrame) -> pandas.DataFrame:
        import torch

        texts = [table[column].tolist() for column in self.settings["sentence_columns"]]
        limit = {"truncation": True, "max_length": self.settings["max_length"]}
        batch = self.tokenizer(*texts, padding=True, return_tensors="pt", **limit)
        with torch.inference_mode():
            logits_BC = self.model(**batch).logits
        if logits_BC.shape[1] == 1:
            return pandas.DataFrame({"score": logits_BC[:, 0].tolist()})
        best = logits_BC.softmax(dim=1).max(dim=1)
        labels = [self.label_names[index] for index in best.indices.tolist()]
        return pandas.DataFrame({"label": labels, "score": best.values.tolist()})


mlflow.models.set_model(ServedModel())
