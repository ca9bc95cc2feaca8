"""Packed folders that kernels run."""

from packed_models import made_folder

__all__ = ["made_folder"]
