"""The packed file: format, codes, reading, writing, sizes."""
