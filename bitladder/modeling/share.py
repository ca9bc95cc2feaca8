"""What a share of a BERT's heads and neurons is in whole numbers. Torch-free: config.json is checked so."""


def num_kept(whole: int, width: float, what: str) -> int:
    """How many of `whole` heads or neurons a width keeps. Raises ValueError unless that is a whole number."""
    kept = round(whole * width)
    if kept < 1 or abs(kept - whole * width) > 1e-6:
        raise ValueError(f"width: {width:g} of {whole} {what} is {whole * width:g}; a whole number is needed")
    return kept
