"""Steps that a table's entries missed are taken later, and nobody can tell: bit for bit an ordinary AdamW."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import Ended, KilledError, kill_before
from tiny_model import ALL_TERMS, classifier
from torch import Tensor, nn

from bitladder.modeling.layers import QuantizedEmbedding
from bitladder.modeling.traces import trace
from bitladder.quantizers.precision import Precision
from pipeline.params import Optimization
from pipeline.tasks.batches import Batch, Encoded
from pipeline.training import tables
from pipeline.training.loop import Phase, fit
from pipeline.training.parallel import World
from pipeline.training.resume import States, open_states
from pipeline.training.state import weights
from pipeline.training.tables import Table, by_entry
from pipeline.training.teaching import against_teacher

OPTIMIZATION = Optimization(
    batch_size=4, learning_rate=0.01, warmup_fraction=0.3, weight_decay=0.1, max_grad_norm=1.0, dropout=0.0
)
SIZE = {"vocab_size": 60, "hidden_size": 32}
NUM_STEPS = 12


@pytest.fixture(autouse=True)
def _small_tables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WORTH_IT", 60 * 32)
    monkeypatch.setattr(tables, "ENTRIES_AT_ONCE", 7)
    monkeypatch.setattr(tables, "IDLE_AT_ONCE", 5)


# one table


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 19), max_size=6, unique=True), min_size=1, max_size=25),
    st.lists(st.booleans(), min_size=25, max_size=25),
    st.floats(1e-6, 0.5),
    st.sampled_from([0.0, 0.01]),
    st.integers(0, 99),
)
def test_any_entries_in_any_order_end_as_torchs_own_adamw_has_them(
    looked_up: list[list[int]], asked: list[bool], rate: float, decay: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer, whole = an_embedding(generator), None
    whole = nn.Parameter(layer.weight.detach().clone())
    plain = torch.optim.AdamW([whole], lr=rate, weight_decay=decay, fused=True)
    group = {"lr": rate, "weight_decay": decay, "betas": (0.9, 0.999), "eps": 1e-8}
    state: dict[str, Tensor] = {}
    own = Table(layer, group, state)
    for number, (entries, is_asked) in enumerate(zip(looked_up, asked, strict=False)):
        group["lr"] = plain.param_groups[0]["lr"] = rate / (number + 1)
        gradient = torch.randn(len(entries), 16, generator=generator)
        entries_U = torch.tensor(sorted(entries), dtype=torch.int64)
        whole.grad = torch.zeros_like(whole).index_copy_(0, entries_U, gradient)
        if entries:
            own.before(entries_U)
            assert torch.equal(layer.weight[entries_U], whole[entries_U])
            own.receive(entries_U, gradient)
        plain.step()
        own.step()
        if is_asked:
            own.catch_up()
            assert torch.equal(layer.weight, whole)
    own.catch_up()
    assert torch.equal(layer.weight, whole)
    assert state.keys() == plain.state[whole].keys()
    for name, expected in plain.state[whole].items():
        assert torch.equal(state[name], expected), name


def an_embedding(generator: torch.Generator) -> QuantizedEmbedding:
    layer = nn.Embedding(20, 16)
    layer.weight.data.normal_(generator=generator)
    layer.__class__ = QuantizedEmbedding
    assert isinstance(layer, QuantizedEmbedding)
    return layer


# a training


def rows() -> Encoded:
    """Of sixty words; many come up in one row alone."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(3, 8, (24,), generator=generator).tolist()
    ids = [torch.randint(1, 60, (length,), generator=generator).tolist() for length in lengths]
    return Encoded(ids, [[0] * len(row) for row in ids], torch.arange(24) % 2, 0)


def train(
    precision: Precision,
    *,
    put_off: bool,
    states: States | None = None,
    kill_at: int = 0,
    phases: Sequence[int] = (NUM_STEPS,),
) -> Ended:
    student, teacher = classifier(precision, **SIZE), classifier(seed=1, **SIZE)
    shuffled = rows().shuffled(4, seed=0)

    def batches(step: int) -> Batch:
        kill_before(kill_at)(step)
        return shuffled(step)

    def score(model: nn.Module) -> float:
        """Reads the whole table, and is up and down."""
        with torch.no_grad():
            logits = trace(model, rows().batch([5, 6, 7])).logits_BL
        return float(
            (weights(model)["bert.embeddings.word_embeddings.weight"].sum() + logits.sum()) * 100 % 1
        )

    terms = against_teacher(teacher, ALL_TERMS)
    fitted = fit(
        student,
        name="w1a8",
        batches=batches,
        course=[Phase(terms, steps, 0.01) for steps in phases],
        score=score,
        num_evaluations=3,
        optimization=OPTIMIZATION,
        states=states,
        put_off=put_off,
    )
    assert all(part.reader is None for part in student.modules() if isinstance(part, QuantizedEmbedding))
    return Ended({k: t.clone() for k, t in weights(student).items()}, list(fitted.curve), fitted.best_step)


@pytest.mark.parametrize(
    "precision", [Precision(1, 1, 8), Precision(1, 8, 32), Precision(2, 2, 8, weight_quantizer="lsq")]
)
def test_the_same_weights_curve_and_best_step_as_with_every_step_taken_at_once(precision: Precision) -> None:
    assert len(by_entry(classifier(precision, **SIZE))) == 1
    assert train(precision, put_off=True) == train(precision, put_off=False)


def test_so_it_is_in_phases() -> None:
    precision = Precision(1, 1, 8)
    found = train(precision, put_off=True, phases=(5, 7))
    assert found == train(precision, put_off=False, phases=(5, 7))


@pytest.mark.parametrize("step", [2, 5, 8, 12])
def test_killed_and_gone_on_with_it_ends_the_same(
    step: int, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    precision = Precision(1, 1, 8)
    with pytest.raises(KilledError):
        train(precision, put_off=True, states=opened(), kill_at=step)
    assert train(precision, put_off=True, states=opened()) == train(precision, put_off=False)


def test_a_state_is_an_ordinary_adamws(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    found = []
    for name, put_off in (("one", True), ("other", False)):
        states = opened(name)
        with pytest.raises(KilledError):
            train(Precision(1, 1, 8), put_off=put_off, states=states, kill_at=8)
        found.append(states.newest())
    one, other = found
    assert one is not None
    assert other is not None
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name


def opened(name: str = "w1a8") -> States:
    return open_states(name, {"seed": "0"}, every=3, world=World())


# which tables


def test_tables_that_somebody_sees_whole_are_left_to_torch() -> None:
    whole = [
        classifier(Precision(1, 1, 8, "matrix"), **SIZE),  # one scale of all entries
        classifier(Precision(2, 2, 8, weight_quantizer="lat"), **SIZE),  # it sees all moments
        classifier(**SIZE),  # not ours
    ]
    assert [by_entry(model) for model in whole] == [[], [], []]


def test_a_tied_a_frozen_and_a_small_table_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    tied, frozen, small = (classifier(Precision(1, 1, 8), **SIZE) for _ in range(3))
    tied.other = nn.Linear(32, 60, bias=False)
    tied.other.weight = tied.bert.embeddings.word_embeddings.weight
    frozen.requires_grad_(False)
    assert (by_entry(tied), by_entry(frozen)) == ([], [])
    assert len(by_entry(small)) == 1
    monkeypatch.setattr(tables, "WORTH_IT", 2**20)
    assert by_entry(small) == []


def test_nothing_is_put_off_unless_asked() -> None:
    model = classifier(Precision(1, 1, 8), **SIZE)
    assert by_entry(model)[0].reader is None


def test_what_is_too_small_for_a_normal_number_counts_as_zero_in_a_step_and_nowhere_else() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    tiny = torch.tensor([1e-40])
    with tables.tiny_is_zero():
        assert float(tiny * 0.5) == 0.0
    assert float(tiny * 0.5) > 0.0
    torch.set_num_threads(2)
    with tables.tiny_is_zero():
        assert float(tiny * 0.5) > 0.0
    torch.set_num_threads(before)
