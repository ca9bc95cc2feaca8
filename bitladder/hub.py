"""`bitladder push DIR REPO`: a packed folder and its card, in one commit on the Hugging Face Hub.

Everything is checked before the first request. The token comes from HF_TOKEN or from what `hf auth login`
kept; huggingface_hub alone sees it.
"""

import re
import sys
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from bitladder import files
from bitladder.packed.format import PackedConfig, read_config
from bitladder.packed.size import account

CARD = "README.md"
CARDS = Path("reports", "cards")  # of a project, in which models are in packed/
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w][\w.-]*")
_TASKS = {  # as the Hub calls them
    "classification": "text-classification",
    "multi_label": "text-classification",
    "regression": "text-classification",
    "question_answering": "question-answering",
    "token_classification": "token-classification",
    "reranking": "text-ranking",
    "embeddings": "sentence-similarity",
}


class PushError(RuntimeError):
    """The Hub does not take it; one line."""


class UsageError(ValueError):
    """What was asked cannot be done; nothing has been sent."""

    exit_code = 2


def main(folder: Path, repo: str, card: Path | None, is_private: bool) -> int:
    """Upload, and print where it is.

    Raises:
        IntegrityError, FormatError: the folder is no packed model, or not what was written.
        UsageError: REPO is no OWNER/NAME, the card cannot be read, or there is no token.
        PushError: the Hub refuses, or does not answer.
    """
    if not _REPO.fullmatch(repo) or repo.count("/") != 1:
        raise UsageError(f"REPO: {repo!r}; OWNER/NAME is right, such as ada/reviews-w1a8")
    digests = files.verify(folder)
    text = _card(folder, repo, card, digests[files.WEIGHTS])
    if not (token := get_token()):
        raise UsageError("no token for the Hub: set HF_TOKEN or run `hf auth login`; nothing was sent")
    added = [CommitOperationAdd(name, folder / name) for name in [*digests, files.MANIFEST]]
    added.append(CommitOperationAdd(CARD, text.encode()))
    api = HfApi(token=token, library_name="bitladder")
    try:
        api.create_repo(repo, private=is_private or None, exist_ok=True)
        message = f"Upload {folder.absolute().name}"
        done = api.create_commit(repo, added, commit_message=message)
    except (HfHubHTTPError, OSError, RuntimeError) as error:
        raise PushError(f"{api.endpoint}: {_line(error)}") from None
    sys.stdout.write(f"{done.repo_url}\n")
    return 0


def _line(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    known = {401: "the token is not valid", 403: "the token may not write there"}
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return f"{known[status]} ({status})" if status in known else said


def _card(folder: Path, repo: str, given: Path | None, digest: str) -> str:
    if given is not None:
        try:
            return given.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--card: {given}: {error}") from None
    made = folder.absolute().parents[1] / CARDS / f"{folder.absolute().name}.md"
    if folder.absolute().parent.name != "packed" or not made.is_file():
        return short_card(folder, repo)
    text = made.read_text(encoding="utf-8")
    if digest not in text:
        raise UsageError(f"{made}: the card of other weights; `dvc repro report` renews it, or give --card")
    return text


def short_card(folder: Path, repo: str) -> str:
    """What the folder itself says: kind of task, bits, size, how to use it."""
    config = read_config(folder)
    bits, sizes = config.precision, account(folder).on_disk
    return f"""---
library_name: bitladder
pipeline_tag: {_TASKS[config.kind]}
tags: [bitladder, quantized]
---
# {repo.partition("/")[2]}

A BERT for {config.kind.replace("_", " ")} with weights of {bits.weights}, embeddings of {bits.embeddings}
and activations of {bits.activations} bits, made with bitladder. The file is
{sizes.mib:.2f} MiB, {sizes.ratio:.1f} times smaller than with 32 bits.

```python
import bitladder
from huggingface_hub import snapshot_download

model = bitladder.load(snapshot_download({repo!r}))
{_example(config)}
```
"""


def _example(config: PackedConfig) -> str:
    if config.answering is not None:
        return 'model("a question", "its context")'
    if config.kind == "embeddings":
        return 'model.encode(["a text", "another"])'
    return 'model("a text")' if config.num_texts != 2 else 'model("a text", "another")'
