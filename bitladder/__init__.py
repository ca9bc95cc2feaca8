"""Low-bit BERTs: packed models that answer, and what they are made of.

    model = bitladder.load("packed/w1a8")
    model("a sentence")                                  # {"label": ..., "scores": {...}}
    model(["a sentence", "another"])                     # a list of such
    model("a question", "its context")                   # or a pair of sentences
    model.logits(input_ids, attention_mask)              # numpy arrays in and out

Importing this imports neither torch nor transformers. After `bitladder.register()` transformers' own Auto
classes and pipelines load packed folders too.
"""

from bitladder.predict import PackedModel, load

__all__ = ["PackedModel", "load", "register"]


def register() -> None:
    """Have `AutoConfig`, `AutoModelFor...`, `AutoTokenizer` and pipelines load packed folders.

    Imports transformers and torch. Calling it again changes nothing.

    Raises:
        ModuleNotFoundError: transformers or torch is not installed.
    """
    from bitladder.transformers_model import model

    model.register()
