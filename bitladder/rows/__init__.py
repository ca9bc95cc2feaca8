"""Rows of texts as programs send them, in files or requests, and a packed model's answer to each."""
