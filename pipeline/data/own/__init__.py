"""A person's own files: read, checked with every problem told at once, and cut into splits."""
