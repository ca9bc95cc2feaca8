"""A packed torch model written as a packed folder again, for transformers' `save_pretrained`.

Written are config.json, model.safetensors and a manifest of both. The tokenizer is saved by its own
`save_pretrained`, before or after, as transformers does it; such a manifest promises none.
"""

from pathlib import Path
from typing import Any

from bitladder import files
from bitladder.packed import format, schema, tensors
from bitladder.packed.format import PackedConfig
from bitladder.packed.reading import Arrays
from bitladder.packed.writing import exactly_half

# Of transformers' options those that say something else than it is done here; None, False and "" do not.
_REFUSED = {
    "push_to_hub": "upload the saved folder, with huggingface_hub.upload_folder",
    "variant": "the file's name is model.safetensors, as the manifest has it",
    "peft_config": "a packed model has no adapters",
}


def save(folder: Path, arrays: Arrays, config: PackedConfig, options: dict[str, Any]) -> None:
    """Write into the folder, which is made if it is not there.

    Args:
        arrays: the model's tensors; half-precision ones may be in 32 bits.
        options: transformers' own for `save_pretrained`.

    Raises:
        ValueError: an option asks for another file, or a value is not exactly one that the file can hold.
        FormatError: a tensor holds what packing cannot write.
    """
    for key, instead in _REFUSED.items():
        if options.get(key):
            raise ValueError(f"{key}: {options[key]!r}; {instead}")
    arrays.check()
    stored = {name: one.entry.dtype for name, one in schema.tensors(config).items()}
    found = {
        name: exactly_half(name, array) if stored[name] == "F16" else array for name, array in arrays.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / files.MANIFEST).unlink(missing_ok=True)  # until the new one is there nothing is promised
    tensors.write(folder / format.WEIGHTS, found, config.metadata)
    files.write_json(folder / format.CONFIG, config.as_dict())
    files.seal(folder, [format.CONFIG, format.WEIGHTS])
