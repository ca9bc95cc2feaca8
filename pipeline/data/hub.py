"""The Hugging Face Hub: a split of a data set and the files of a model, at a pinned revision.

Its clients look into their local cache first, and raise a dozen unrelated types when offline. Each of them
means the same here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

MODEL_FILES = (
    *(
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ),
    *("vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model"),  # of older tokenizers
)


class HubError(ConnectionError):
    """What is asked for could be had neither from the Hub nor from its local cache."""

    exit_code = 3


def fetch(repository: str, config: str | None, split: str, revision: str) -> pa.Table:
    """One split of a data set; without a config, the repository's only one.

    Raises:
        HubError: the Hub cannot be reached and the split is not in the local cache.
    """
    from datasets import load_dataset

    name = " ".join(filter(None, (repository, config, split)))
    with _explained(f"data.source hub: cannot load {name} at revision {revision}", "data.source"):
        return load_dataset(repository, config, split=split, revision=revision).data.table


def download(repository: str, revision: str | None, *, section: str = "model") -> Path:
    """The folder in the local cache that holds a model's files; `section` of params.yaml names it.

    Raises:
        HubError: the Hub cannot be reached and the model is not in the local cache.
    """
    from huggingface_hub import snapshot_download

    with _explained(f"{section}: cannot load {repository} at revision {revision}", f"{section}.source"):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(MODEL_FILES)))


@contextmanager
def _explained(what: str, setting: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise HubError(
            f"{what}: {type(error).__name__}: {error}. "
            f"Check the network and HF_HUB_OFFLINE, or use {setting} path"
        ) from error
