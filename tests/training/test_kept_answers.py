"""What a teacher said is recalled as it was said, from the same batch wherever a training is gone on with."""

from dataclasses import replace

import pytest
import torch
from tiny_model import ALL_TERMS, answerer, classifier
from torch import Tensor, nn

from bitladder.modeling.traces import Trace, trace
from bitladder.quantizers.precision import Precision
from pipeline.distillation.objective import WHOLE
from pipeline.rungs import Distillation
from pipeline.tasks.batches import ROWS, Encoded, Shuffled, inputs_of
from pipeline.training import teaching
from pipeline.training.kept_answers import BUDGET, KeptAnswers
from pipeline.training.teaching import Lesson, against_teacher, comes_again, course

PER_EPOCH, BATCH_SIZE = 4, 5
NOTHING = {"logits": 0.0, "hidden_states": 0.0, "attention_scores": 0.0, "labels": 0.0}
LOGITS = Distillation(**{**NOTHING, "logits": 1.0})
CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # another number of rows may add in another order


@pytest.fixture(params=["classifier", "answerer", "rung"])
def teacher(request: pytest.FixtureRequest) -> nn.Module:
    made = {
        "classifier": lambda: classifier(seed=1),
        "answerer": lambda: answerer(seed=1),
        "rung": lambda: classifier(Precision(1, 1, 8), seed=1),
    }[request.param]()
    return made.eval().requires_grad_(False)


def shuffled(num_rows: int = 18) -> Shuffled:
    """Rows of 3 to 12 tokens; the last batch is smaller."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(3, 13, (num_rows,), generator=generator).tolist()
    ids = [torch.randint(1, 60, (length,), generator=generator).tolist() for length in lengths]
    return Encoded(ids, [[0] * len(row) for row in ids], torch.arange(num_rows) % 2, 0).shuffled(
        BATCH_SIZE, seed=0
    )


def keep(teacher: nn.Module, batches: Shuffled, budget: int = BUDGET) -> KeptAnswers:
    return KeptAnswers(teacher, batches, states=True, heads=True, budget=budget)


def seen(answers: Trace, mask_BS: Tensor) -> list[Tensor]:
    """All that some term of a loss may look at: nothing of padding."""
    token, pair = mask_BS.bool(), (mask_BS.unsqueeze(2) * mask_BS.unsqueeze(1)).bool()
    heads = [each for layer in answers.heads for each in layer]
    return [
        answers.logits_BL,
        *(each[token] for each in answers.hidden_states),
        *(each.permute(0, 2, 3, 1)[pair] for each in answers.scores),
        *(each.transpose(1, 2)[token] for each in heads),
    ]


def test_in_the_first_epoch_it_is_the_teachers_own_answer(teacher: nn.Module) -> None:
    batches = shuffled()
    kept = keep(teacher, batches)
    for step in range(1, PER_EPOCH + 1):
        batch = batches(step)
        for one, other in zip(
            seen(kept(batch), batch["attention_mask"]),
            seen(trace(teacher, batch, heads=True), batch["attention_mask"]),
            strict=True,
        ):
            assert torch.equal(one, other)
    assert (kept.num_asked, kept.num_recalled) == (18, 0)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.0])
def test_later_it_is_the_same_but_for_rounding_and_the_teacher_is_asked_about_the_rest_alone(
    teacher: nn.Module, share: float
) -> None:
    batches = shuffled()
    kept = keep(teacher, batches, budget=int(share * needed(teacher, batches)))
    num_kept = {1.0: 18, 0.6: 10, 0.0: 0}[share]
    for step in range(1, 3 * PER_EPOCH + 1):
        batch = batches(step)
        found, own = kept(batch), trace(teacher, batch, heads=True)
        for one, other in zip(
            seen(found, batch["attention_mask"]), seen(own, batch["attention_mask"]), strict=True
        ):
            torch.testing.assert_close(one, other, **CLOSE)
    assert (kept.num_asked, kept.num_recalled) == (18 + 2 * (18 - num_kept), 2 * num_kept)


def needed(teacher: nn.Module, batches: Shuffled) -> int:
    """Bytes of all answers."""
    return sum(each.nbytes for parts in keep(teacher, batches)._slots.values() for each in parts.values())


@pytest.mark.parametrize("share", [1.0, 0.6])
@pytest.mark.parametrize("first", [2, 5, 7])
def test_who_goes_on_from_a_state_hears_the_same_bits(teacher: nn.Module, share: float, first: int) -> None:
    batches = shuffled()
    budget = int(share * needed(teacher, batches))
    whole, resumed = keep(teacher, batches, budget), keep(teacher, shuffled(), budget)
    for step in range(1, 3 * PER_EPOCH + 1):
        batch = batches(step)
        expected = seen(whole(batch), batch["attention_mask"])
        if step >= first:
            found = seen(resumed(batch), batch["attention_mask"])
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_no_loss_and_no_gradient_depends_on_the_padding_that_was_not_kept() -> None:
    teacher, batches = classifier(seed=1).requires_grad_(False), shuffled()
    kept = keep(teacher, batches)
    for step in range(1, PER_EPOCH + 1):
        kept(batches(step))
    batch = batches(PER_EPOCH + 1)
    recalled = kept(batch)
    told = replace(recalled, **padded_with_ones(recalled, batch["attention_mask"]))
    losses, gradients = [], []
    for answers in (recalled, told):
        student = classifier(Precision(1, 1, 8))
        own = trace(student, batch, heads=True)
        loss = sum(ALL_TERMS.terms(own, answers, batch, WHOLE).values())
        loss.backward()
        losses.append(loss.detach())
        gradients.append([each.grad for each in student.parameters() if each.grad is not None])
    assert torch.equal(*losses)
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def padded_with_ones(answers: Trace, mask_BS: Tensor) -> dict[str, tuple[Tensor, ...]]:
    padding = mask_BS == 0
    pair = (padding.unsqueeze(2) | padding.unsqueeze(1)).unsqueeze(1)
    return {
        "hidden_states": tuple(each.masked_fill(padding.unsqueeze(2), 1) for each in answers.hidden_states),
        "scores": tuple(each.masked_fill(pair, 1) for each in answers.scores),
    }


def test_logits_alone_are_kept_where_no_term_asks_for_more() -> None:
    teacher, batches = classifier(seed=1).requires_grad_(False), shuffled()
    kept = KeptAnswers(teacher, batches, states=False, heads=False)
    assert kept._slots[0].keys() == {"logits"}
    goal = ALL_TERMS.model_copy(update={"hidden_states": 0.0, "attention_scores": 0.0, "directions": 0.0})
    student = classifier(Precision(1, 1, 8))
    for step in range(1, 2 * PER_EPOCH + 1):
        batch = batches(step)
        one, other = (against_teacher(teacher, goal, each)(student, batch, WHOLE) for each in (kept, None))
        assert one.keys() == other.keys()
        for name, term in one.items():
            torch.testing.assert_close(term, other[name], **CLOSE)


@pytest.mark.parametrize(
    "name", ["logits", "hidden_states", "attention_scores", "directions", "sentence_vectors", "similarities"]
)
def test_a_term_alone_finds_what_it_compares(name: str) -> None:
    weights = {**NOTHING, name: 1.0}
    lessons = [Lesson(Distillation(**weights), 2 * PER_EPOCH, 0.1)]
    teacher, student, batches = classifier(seed=1), classifier(Precision(1, 1, 8)), shuffled()
    (phase,) = course(lessons, teacher, loss="cross_entropy", batches=batches)
    (alone,) = course(lessons, teacher, loss="cross_entropy")
    for step in (1, PER_EPOCH + 1, PER_EPOCH + 2):
        found, expected = (each.loss_terms(student, batches(step), WHOLE) for each in (phase, alone))
        torch.testing.assert_close(found[name], expected[name], **CLOSE)


def test_a_training_that_has_no_row_twice_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = shuffled()
    assert not comes_again(batches, PER_EPOCH)
    assert comes_again(batches, PER_EPOCH + 1)
    made: list[object] = []
    monkeypatch.setattr(teaching, "KeptAnswers", lambda *arguments, **_: made.append(arguments))
    teacher = classifier(seed=1)
    for num_steps in (PER_EPOCH, PER_EPOCH + 1):
        course([Lesson(LOGITS, num_steps, 0.1)], teacher, loss="cross_entropy", batches=batches)
    assert made == [(teacher, batches)]


def test_the_number_of_a_row_is_nothing_that_a_model_reads() -> None:
    batch = shuffled()(1)
    assert batch[ROWS].tolist() == shuffled().first_epoch[0]
    assert inputs_of(batch).keys() == {"input_ids", "token_type_ids", "attention_mask"}
