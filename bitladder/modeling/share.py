"""Names and sizes of a BERT that need no torch: config.json is checked by them."""

# The embedding tables, and how config.json calls the number of their entries.
TABLES = {
    "word_embeddings": "vocab_size",
    "position_embeddings": "max_position_embeddings",
    "token_type_embeddings": "type_vocab_size",
}


def num_kept(whole: int, width: float, what: str) -> int:
    """How many of `whole` heads or neurons a width keeps. Raises ValueError unless that is a whole number."""
    kept = round(whole * width)
    if kept < 1 or abs(kept - whole * width) > 1e-6:
        raise ValueError(f"width: {width:g} of {whole} {what} is {whole * width:g}; a whole number is needed")
    return kept
