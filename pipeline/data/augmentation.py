"""More training rows out of those there are: nlpaug varies a few words of a row and the label stays.

What is asked for is planned first (which row, which method, which of its sentences), so that a cap on rows
draws from the plan and costs nothing to honour. Of a pair one sentence is varied in each new row, the two
in turn and always from the original: TinyBERT's script leaves its last variant of the first sentence in the
row when it goes on to the second. Rows that come out as they went in, that repeat another row or that stand
in a split the models are judged by are dropped and counted.

That the label stays is a guess: a good one for sentiment or topic, a poor one where the label is about the
form. Another noun can break a grammatical sentence or mend a broken one, though a word's ending is kept and
function words are never varied (see `words`). Which rung trains on augmented rows is therefore a choice in
params.yaml.

The same seed gives the same rows, whatever was drawn before, and leaves Python's, numpy's and torch's
generators as it found them: nlpaug knows no other randomness than theirs.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from pipeline.data.splits import text_keys
from pipeline.data.words import LeftAlone
from pipeline.progress import Progress

Method = Literal["contextual", "embedding", "swap", "delete", "spelling"]
METHODS: tuple[Method, ...] = get_args(Method)
ORIGIN = "origin"
ORIGINAL = "original"

# Rows that share one seed, and for the contextual method one forward pass.
SHARD_ROWS = 64

# Sentences in, as many varied sentences out.
Vary = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Counts:
    """What became of the rows asked of one method; `asked` is the sum of the others."""

    asked: int = 0
    kept: int = 0
    unchanged: int = 0
    duplicate: int = 0
    held_out: int = 0

    @property
    def share_changed(self) -> float | None:
        """Share of the rows asked for that came out other than they went in; None when none were asked."""
        return (self.asked - self.unchanged) / self.asked if self.asked else None


def augment(
    train: pd.DataFrame,
    *,
    sentence_columns: Sequence[str],
    copies: Mapping[Method, int],
    vary: Mapping[Method, Vary],
    seed: int,
    max_rows: int | None = None,
    held_out: Collection[bytes] = (),
    varied_columns: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[Method, Counts]]:
    """All rows of `train` as they are, then the new ones; column `origin` says which method made a row.

    Args:
        copies: new rows per training row, by method; 0 or absent for none.
        vary: what each of these methods does to sentences (see `augmenters`).
        max_rows: at most so many new rows, drawn from all that were asked for.
        held_out: text keys of the rows that models are judged by; a new row equal to one is dropped.
        varied_columns: the sentences that may be varied, all unless said; the others stay as they are.
    """
    plan = _plan(len(train), varied_columns or sentence_columns, copies, seed, max_rows)
    parts = [_vary_rows(train, part, vary, seed) for _, part in plan.groupby(["method", "copy"], sort=False)]
    new = pd.concat([train.iloc[:0].assign(**{ORIGIN: ORIGINAL}), *parts], ignore_index=True)
    fates = _fates(
        text_keys(new, sentence_columns), plan["row"].tolist(), text_keys(train, sentence_columns), held_out
    )
    rows = pd.concat([train.assign(**{ORIGIN: ORIGINAL}), new[fates == "kept"]], ignore_index=True)
    counts = {}
    for method in METHODS:
        own = fates[new[ORIGIN].to_numpy() == method]
        counts[method] = Counts(asked=len(own), **Counter(own.tolist()))
    return rows.astype(train.dtypes.to_dict()), counts


def augmenters(
    methods: Collection[Method], *, folder: Path, word_fraction: float, texts: Sequence[str], device: str
) -> dict[Method, Vary]:
    """nlpaug's augmenter of each method, on the pre-trained BERT in `folder` where it needs one.

    Args:
        word_fraction: share of a sentence's words to vary, rounded up, one at least.
        texts: the sentences that will be varied; neighbours are looked up for their words.
        device: where the contextual method's model runs.
    """
    return {
        method: _augmenter(method, folder, word_fraction, texts, device).augment
        for method in METHODS
        if method in methods
    }


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, numpy's and torch's global generators inside the block; put them back after it.

    torch's is the CPU's alone: `torch.manual_seed` would touch the GPU's as well.
    """
    import torch

    states = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


def _plan(
    num_rows: int,
    sentence_columns: Sequence[str],
    copies: Mapping[Method, int],
    seed: int,
    max_rows: int | None,
) -> pd.DataFrame:
    """One line per new row: method, copy, row, column. Sentences of a pair take turns by row and copy."""
    asked = [(method, copy) for method in METHODS for copy in range(copies.get(method, 0))]
    row = np.arange(num_rows)
    parts = [
        pd.DataFrame(
            {"method": method, "copy": copy, "row": row, "column": (row + copy) % len(sentence_columns)}
        )
        for method, copy in asked
    ]
    plan = pd.concat([pd.DataFrame(columns=["method", "copy", "row", "column"]), *parts], ignore_index=True)
    plan["column"] = [sentence_columns[number] for number in plan["column"]]
    if max_rows is None or len(plan) <= max_rows:
        return plan
    drawn = np.random.default_rng(seed).choice(len(plan), size=max_rows, replace=False)
    return plan.iloc[np.sort(drawn)]


def _vary_rows(
    train: pd.DataFrame, part: pd.DataFrame, vary: Mapping[Method, Vary], seed: int
) -> pd.DataFrame:
    """New rows for one copy by one method, in the order of `train`."""
    method, copy = part["method"].iloc[0], int(part["copy"].iloc[0])
    new = train.iloc[part["row"]].reset_index(drop=True)
    columns = part["column"].reset_index(drop=True)
    progress = Progress(f"augment {method} {copy + 1}", len(part), unit="row")
    for number, column in enumerate(sorted(columns.unique())):
        rows = columns.index[columns == column]
        seeds = (seed, METHODS.index(method), copy, number)
        new.loc[rows, column] = _vary_texts(new.loc[rows, column].tolist(), vary[method], seeds, progress)
    progress.close()
    return new.assign(**{ORIGIN: method})


def _vary_texts(texts: list[str], vary: Vary, seeds: tuple[int, ...], progress: Progress) -> list[str]:
    """Varied sentences in the same order; each shard has a seed of its own."""
    # Sentences of one length together: a forward pass then has little padding.
    order = sorted(range(len(texts)), key=lambda index: len(texts[index].split()))
    varied = list(texts)
    for shard, start in enumerate(range(0, len(order), SHARD_ROWS)):
        indices = order[start : start + SHARD_ROWS]
        shard_seed = int(np.random.SeedSequence([*seeds, shard]).generate_state(1)[0])
        with seeded(shard_seed):
            results = vary([texts[index] for index in indices])
        for index, result in zip(indices, results, strict=True):
            varied[index] = result
        progress.advance(len(indices))
    return varied


def _fates(
    keys: Sequence[bytes], sources: Sequence[int], train_keys: Sequence[bytes], held_out: Collection[bytes]
) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    """kept, unchanged, duplicate or held_out for each new row; `sources` are the training rows they vary."""
    seen, judged = set(train_keys), set(held_out)
    fates = []
    for key, source in zip(keys, sources, strict=True):
        if key == train_keys[source]:
            fates.append("unchanged")
        elif key in seen:
            fates.append("duplicate")
        else:
            fates.append("held_out" if key in judged else "kept")
            seen.add(key)
    return np.array(fates, dtype=np.str_)


def _augmenter(method: Method, folder: Path, word_fraction: float, texts: Sequence[str], device: str) -> Any:
    import nlpaug.augmenter.word as naw

    # Tokens are cut at spaces: nlpaug's own tokenizer gives "can ' t" for "can't".
    options: dict[str, Any] = {
        "aug_p": word_fraction,
        "aug_min": 1,
        "aug_max": None,
        "stopwords": LeftAlone(),
        "tokenizer": str.split,
        "reverse_tokenizer": " ".join,
    }
    match method:
        case "contextual":
            from pipeline.data.contextual import ContextualWordEmbsAug

            return ContextualWordEmbsAug(
                folder, word_fraction=word_fraction, device=device, batch_size=SHARD_ROWS
            )
        case "embedding":
            from pipeline.data.neighbours import Neighbours, read_embeddings

            neighbours = Neighbours(*read_embeddings(folder), texts)
            # The type must be one of three names; with a model given it means nothing.
            return naw.WordEmbsAug(model_type="glove", model=neighbours, **options)
        case "swap" | "delete":
            return naw.RandomWordAug(action=method, **options)
        case "spelling":
            # Not the reverse too, nlpaug's default: that makes `luck` of `like`.
            speller = naw.SpellingAug(include_reverse=False, **options)
            # The dictionary is cached for the process whatever its options; its lists come out of sets of
            # strings, whose order changes with every process; and some entries are scraps of markup.
            speller.model = speller.get_model(force_reload=True)
            for misspellings in speller.model.dict.values():
                misspellings[:] = sorted(filter(str.isalpha, misspellings))
            return speller
