"""Token ids as a packed model takes them, checked, whichever engine computes.

Shapes: B sequences, S tokens.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitladder.packed.format import PackedConfig

Whole = NDArray[np.int64]


class NumTextsError(ValueError):
    """A model of pairs was asked with one text, or one of single texts with two."""

    exit_code = 2


class Inputs(NamedTuple):
    """Arrays [B, S] of the same shape."""

    input_ids: Whole
    attention_mask: Whole
    token_type_ids: Whole


def checked(
    config: PackedConfig,
    input_ids: ArrayLike,
    attention_mask: ArrayLike | None = None,
    token_type_ids: ArrayLike | None = None,
) -> Inputs:
    """As a tokenizer gives them: 1 in the mask is a token, which all are unless given; segments are 0.

    Raises:
        NumTextsError: the segments are those of more texts, or fewer, than the model reads at a time.
        ValueError: shapes differ, an id is not in its table, there are too many tokens, or none.
    """
    ids_BS = _whole(input_ids, "input_ids")
    mask_BS = np.ones_like(ids_BS) if attention_mask is None else _whole(attention_mask, "attention_mask")
    segments_BS = (
        np.zeros_like(ids_BS) if token_type_ids is None else _whole(token_type_ids, "token_type_ids")
    )
    if not ids_BS.shape == mask_BS.shape == segments_BS.shape:
        shapes = f"{ids_BS.shape}, attention_mask {mask_BS.shape}, token_type_ids {segments_BS.shape}"
        raise ValueError(f"input_ids {shapes}: all must be of the same shape")
    for key, found in {"vocab_size": ids_BS, "type_vocab_size": segments_BS}.items():
        if found.size and not 0 <= int(found.min()) <= int(found.max()) < getattr(config, key):
            known = f"0 to {getattr(config, key) - 1}"
            raise ValueError(f"{key}: ids from {found.min()} to {found.max()}; the table has {known}")
    if ids_BS.shape[1] > config.max_position_embeddings:
        longest = config.max_position_embeddings
        raise ValueError(f"input_ids: {ids_BS.shape[1]} tokens; the model has {longest} positions")
    if not (mask_BS != 0).any(axis=1).all() or not len(ids_BS):
        raise ValueError("attention_mask: a sequence without a token, or no sequence")
    require_num_texts(config, (segments_BS != 0).any(axis=1))
    return Inputs(ids_BS, mask_BS, segments_BS)


def require_num_texts(config: PackedConfig, are_pairs_B: NDArray[np.bool]) -> None:
    """Raises NumTextsError unless all rows are what the model reads: pairs, or single texts.

    `are_pairs_B` says where a token is of segment 1, which each pair of a BERT has, if only [SEP]; a model
    with one segment alone cannot tell.
    """
    if config.num_texts is None or config.type_vocab_size < 2:
        return
    wrong = np.flatnonzero(are_pairs_B != (config.num_texts == 2))
    if len(wrong):
        wanted = "pairs: tokens of the second text have segment 1"
        wanted = wanted if config.num_texts == 2 else "single texts: all tokens have segment 0"
        found = "a pair" if config.num_texts == 1 else "a single text"
        raise NumTextsError(f"token_type_ids: row {wrong[0]} is {found}; this model reads {wanted}")


def _whole(values: ArrayLike, name: str) -> Whole:
    found = np.asarray(values)
    if found.ndim != 2 or found.dtype.kind not in "iub":
        raise ValueError(f"{name}: whole numbers [B, S] are needed, not {found.dtype}{list(found.shape)}")
    return np.array(found, np.int64, order="C")  # a copy: what is checked must be what is read
