"""The Hugging Face Hub: a split of a data set and the files of a model, at a pinned revision.

Its clients look into their local cache first, and raise a dozen unrelated types when offline. Each of them
means the same here.
"""

from pathlib import Path

import pyarrow as pa

MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


class HubError(ConnectionError):
    """What is asked for could be had neither from the Hub nor from its local cache."""

    exit_code = 3


def fetch(repository: str, config: str | None, split: str, revision: str) -> pa.Table:
    """One split of a data set; without a config, the repository's only one.

    Raises:
        HubError: the Hub cannot be reached and the split is not in the local cache.
    """
    from datasets import load_dataset

    try:
        return load_dataset(repository, config, split=split, revision=revision).data.table
    except Exception as error:
        name = f"{repository} {config}" if config else repository
        raise HubError(
            f"data.source hub: cannot load {name} {split} at revision {revision}: "
            f"{type(error).__name__}: {error}. Check the network and HF_HUB_OFFLINE, or use data.source path"
        ) from error


def download(repository: str, revision: str | None) -> Path:
    """The folder in the local cache that holds a model's files.

    Raises:
        HubError: the Hub cannot be reached and the model is not in the local cache.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(MODEL_FILES)))
    except Exception as error:
        raise HubError(
            f"model.location: cannot load {repository} at revision {revision}: {type(error).__name__}: "
            f"{error}. Check the network and HF_HUB_OFFLINE, or use model.source path"
        ) from error
