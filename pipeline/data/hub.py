"""One split of a data set on the Hugging Face Hub, as an Arrow table, at a pinned revision."""

import pyarrow as pa


class HubError(ConnectionError):
    """The data set could be had neither from the Hub nor from its local cache."""

    exit_code = 3


def fetch(repository: str, config: str | None, split: str, revision: str) -> pa.Table:
    """Through `datasets`, which looks into its cache first; without a config, the repository's only one.

    Raises:
        HubError: the Hub cannot be reached and the split is not in the local cache.
    """
    from datasets import load_dataset

    try:
        return load_dataset(repository, config, split=split, revision=revision).data.table
    # datasets raises a dozen unrelated types when offline, and every one of them means the same here.
    except Exception as error:
        name = f"{repository} {config}" if config else repository
        raise HubError(
            f"data.source hub: cannot load {name} {split} at revision {revision}: "
            f"{type(error).__name__}: {error}. Check the network and HF_HUB_OFFLINE, or use data.source path"
        ) from error
