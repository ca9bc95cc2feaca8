"""How transformers comes to know packed folders without being imported for it.

When transformers' table of config classes is there, a stand-in for ours is put into it. It has nothing of
its own: whatever is asked of it is asked of `model.BitladderBertConfig`, and importing that file registers
all the rest. Registering the real class at once would not do: transformers' modules import each other in
circles, and ours would be imported in the middle of one.
"""

from typing import Any

from pipeline.packing.after_import import after_import

MODEL_TYPE = "bitladder-bert"


class _Deferred(type):
    def __getattr__(cls, name: str) -> Any:
        return getattr(_config_class(), name)

    def __call__(cls, *arguments: Any, **values: Any) -> Any:
        return _config_class()(*arguments, **values)


class StandIn(metaclass=_Deferred):
    """The config class of packed folders, until somebody needs it."""

    model_type = MODEL_TYPE


def register() -> None:
    """Have AutoConfig know our model type as soon as there is an AutoConfig."""
    after_import("transformers.models.auto.configuration_auto", _put_into_table)


def _put_into_table() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    stand_in: Any = StandIn
    CONFIG_MAPPING.register(MODEL_TYPE, stand_in, exist_ok=True)


def _config_class() -> Any:
    from pipeline.packing import model

    return model.BitladderBertConfig
