"""A packed folder as a transformers model. It stands above the file and the kernels, for it uses both."""
