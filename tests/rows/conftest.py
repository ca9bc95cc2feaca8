"""Trained rungs and their packed folders."""

from packed_models import made_folder, packed_folder, trained_folder

__all__ = ["made_folder", "packed_folder", "trained_folder"]
