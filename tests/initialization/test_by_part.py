"""`init` of params.yaml, selector by selector, becomes an origin for every part."""

import torch

from pipeline.initialization.assemble import Source
from pipeline.initialization.by_part import origins
from pipeline.initialization.partially_random import Draw
from pipeline.parts import every_part
from pipeline.rungs import Origin

PARENT = Source("w1", {"head": torch.zeros(1)}, "1" * 64)
TEACHER = Source("teacher", {}, "0" * 64)


def found(**init: object) -> dict[str, object]:
    wanted = {selector.replace("__", "."): Origin.model_validate(origin) for selector, origin in init.items()}
    return dict(origins(wanted, 2, parent=PARENT, teacher=lambda: TEACHER, std=0.02, seed=5))


def test_everything_is_the_parents_unless_said() -> None:
    assert found() == dict.fromkeys(every_part(2), PARENT)


def test_random_is_berts_own_initialization_with_the_files_seed() -> None:
    assert found(encoder="random")["encoder.1.q"] == Draw("normal", 0.02, 5)


def test_distribution_spread_and_seed_may_be_said() -> None:
    said = found(encoder={"distribution": "uniform", "std": 0.1}, head={"seed": 0}, pooler={"std": 0.3})
    assert said["encoder.0.norms"] == Draw("uniform", 0.1, 5)
    assert said["head"] == Draw("normal", 0.02, 0)
    assert said["pooler"] == Draw("normal", 0.3, 5)


def test_a_narrower_selector_takes_its_parts_back_from_a_wider_one() -> None:
    said = found(encoder="random", encoder__ffn1="copy", embeddings__word={"copy_from": "teacher"})
    assert said["encoder.0.ffn1"] is PARENT
    assert said["encoder.0.ffn2"] == Draw("normal", 0.02, 5)
    assert said["embeddings.word"] is TEACHER
    assert said["embeddings.norm"] is PARENT
