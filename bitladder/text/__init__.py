"""From text to token ids, and from logits back to a place in the text; no torch."""
