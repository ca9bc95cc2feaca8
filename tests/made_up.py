"""Made-up data for every GLUE task and SQuAD in the Hub's layout, and a tiny random BERT for them."""

import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bitladder import files
from flows.compose import compose
from pipeline.params import Params
from pipeline.params_file import load

CONF = Path(__file__).parents[1] / "conf"
# Columns, number of classes (None: a score) and validation splits, as on the Hub's nyu-mll/glue.
TASKS: dict[str, tuple[list[str], int | None, list[str]]] = {
    "cola": (["sentence"], 2, ["validation"]),
    "sst2": (["sentence"], 2, ["validation"]),
    "mrpc": (["sentence1", "sentence2"], 2, ["validation"]),
    "rte": (["sentence1", "sentence2"], 2, ["validation"]),
    "wnli": (["sentence1", "sentence2"], 2, ["validation"]),
    "stsb": (["sentence1", "sentence2"], None, ["validation"]),
    "qqp": (["question1", "question2"], 2, ["validation"]),
    "qnli": (["question", "sentence"], 2, ["validation"]),
    "mnli": (["premise", "hypothesis"], 3, ["validation_matched", "validation_mismatched"]),
}
_WORDS = """
river lake house garden window table music winter summer morning teacher doctor farmer sailor
rivers lakes houses gardens windows tables teachers doctors farmers sailors
walked opened painted carried watched followed walking opening painting carrying watching following
quickly slowly quietly gladly
"""
WORDS = _WORDS.split()
FUNCTION = ["the", "a", "of", "in", "and", "not", "never"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "'", "can", "t", "##s", "##ing"]


def sentence(draw: random.Random, num_words: int) -> str:
    words = [draw.choice(WORDS if position % 2 else FUNCTION + WORDS) for position in range(num_words)]
    return " ".join(words).capitalize() + "."


def rows(task: str, num_rows: int, seed: int) -> pd.DataFrame:
    """Different sentences in the task's columns; labels of each class in turn, or scores from 0 to 5."""
    columns, num_labels, _ = TASKS[task]
    draw = random.Random(seed)
    text = {name: [sentence(draw, draw.randint(4, 12)) for _ in range(num_rows)] for name in columns}
    frame = pd.DataFrame({**text, "label": range(num_rows), "idx": range(num_rows)})
    if num_labels is None:
        return frame.assign(label=frame["label"] % 26 / 5).astype({"label": "float32", "idx": "int32"})
    return frame.assign(label=frame["label"] % num_labels).astype({"label": "int64", "idx": "int32"})


def write(path: Path, frame: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path


def glue(root: Path, task: str, *, train_rows: int = 60, validation_rows: int = 12) -> Path:
    """Write `<root>/glue/<task>/*.parquet`, the unlabelled test split too; return the root."""
    folder = root / "glue" / task
    write(folder / "train.parquet", rows(task, train_rows, seed=1))
    for number, split in enumerate(TASKS[task][2]):
        write(folder / f"{split}.parquet", rows(task, validation_rows, seed=2 + number))
    unlabelled = rows(task, 8, seed=9)
    write(folder / "test.parquet", unlabelled.assign(label=unlabelled["label"] * 0 - 1))
    return root


def questions(num_rows: int, seed: int, *, answerable: float = 1.0) -> pd.DataFrame:
    """Who did what: three questions to a context, two contexts to an article; some ask of somebody else."""
    draw = random.Random(seed)
    made: list[dict[str, object]] = []
    while len(made) < num_rows:
        actors, deeds = draw.sample(WORDS[6:10], 3), draw.sample(WORDS[20:25], 3)
        things = draw.choices(WORDS[:6], k=3)
        parts = [f"The {a} {d} the {t}." for a, d, t in zip(actors, deeds, things, strict=True)]
        context = " ".join(parts)
        for number in range(3):
            has_answer, row = draw.random() < answerable, len(made)
            start = context.index(parts[number]) + parts[number].rindex(" the ") + 1
            made.append(
                {
                    "id": f"{seed}-{row}",
                    "title": f"Article {seed} {row // 6}",
                    "context": context,
                    "question": f"{deeds[number] if has_answer else 'gladly'} {actors[number]}?",
                    "answers": {
                        "text": [f"the {things[number]}"] if has_answer else [],
                        "answer_start": [start] if has_answer else [],
                    },
                }
            )
    return pd.DataFrame(made[:num_rows])


def squad(root: Path, task: str = "squad", *, train_rows: int = 60, validation_rows: int = 12) -> Path:
    """Write `<root>/<task>/*.parquet`, a third of squad_v2 without an answer; return the root."""
    share = 1.0 if task == "squad" else 0.67
    for number, (split, num_rows) in enumerate((("train", train_rows), ("validation", validation_rows)), 1):
        write(root / task / f"{split}.parquet", questions(num_rows, seed=number, answerable=share))
    return root


def params(folder: Path, *overrides: str) -> Params:
    """params.yaml composed from conf/ with these overrides, checked as every stage checks it."""
    path = folder / "params.yaml"
    path.write_text(compose(list(overrides), CONF), encoding="utf-8")
    return load(path)


def task_params(folder: Path, task: str, root: Path, *overrides: str) -> Params:
    """Params of a GLUE task read from `root`, with a fifth of the few rows held out."""
    held_out = "task.selection_fraction=0.2"
    source = ("data.source=path", f"data.root={root}")
    return params(folder, f"task={task}", "model=minilm", *source, held_out, *overrides)


def bert(folder: Path, *, masked_lm: bool = True, seed: int = 0, positions: int = 32) -> Path:
    """Publish a random BERT of 2 layers and its tokenizer in `folder`, with a masked-LM head or without."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForMaskedLM, BertModel

    vocabulary = [*PIECES, *FUNCTION, *WORDS, *"abcdefghijklmnopqrstuvwxyz"]
    config = BertConfig(
        vocab_size=len(dict.fromkeys(vocabulary)),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
        initializer_range=0.3,  # wide enough for every layer to matter
    )
    tokens = {token: number for number, token in enumerate(dict.fromkeys(vocabulary))}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForMaskedLM(config) if masked_lm else BertModel(config)
    with files.publish(folder) as made:
        shared = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
        state = {name: tensor for name, tensor in model.state_dict().items() if name not in shared}
        save_file(state, made / "model.safetensors", metadata={"format": "pt"})
        files.write_json(made / "config.json", config.to_diff_dict())
        BertWordPieceTokenizer(tokens).save(str(made / "tokenizer.json"))
        special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]", "cls_token": "[CLS]"}
        files.write_json(
            made / "tokenizer_config.json",
            {"tokenizer_class": "BertTokenizer", "sep_token": "[SEP]", **special},
        )
    return folder
