"""metrics/results.json as it is now: its format's number, and refusing another one.

The number grows when something that is read of the file is added or means something else. Then an older file
is refused with what writes it anew, rather than read half.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 3
KEY = "format"


class OtherFormatError(RuntimeError):
    """A results.json that another version of bitladder wrote."""

    exit_code = 2


def check(found: Mapping[str, Any], path: Path | str, stage: str = "evaluate") -> None:
    """Raises OtherFormatError, which says which stage writes the file anew."""
    if found.get(KEY) != FORMAT:
        stated = f"format {found[KEY]}" if KEY in found else "no format number"
        raise OtherFormatError(
            f"{path}: written by another version of bitladder ({stated}, expected {FORMAT}); "
            f"`dvc repro {stage}` writes it anew"
        )
