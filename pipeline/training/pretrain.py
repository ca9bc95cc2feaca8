"""Pre-train the demo's small BERT by masked-language modelling on its own corpus (BERT, arXiv:1810.04805).

Gives what every other model brings along: embeddings, an encoder and a masked-LM head for augmentation.
"""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertForMaskedLM

from bitladder import files
from bitladder.modeling import checkpoint
from pipeline import paths, record
from pipeline.data.tables import read_split
from pipeline.distillation.objective import Portion
from pipeline.params import Architecture, Params
from pipeline.record import Part, Record
from pipeline.tasks.batches import Batch, Encoded, Shuffled
from pipeline.training import fingerprint, parallel
from pipeline.training.device import choose_threads, move, seed_everything
from pipeline.training.loop import Fitted, Phase, fit
from pipeline.training.outcome import curve_csv
from pipeline.training.resume import States, open_states

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# BERT hides 15 %. Short sentences of a small language teach more when more is hidden (arXiv:2202.08005).
MASKED_SHARE = 0.2


def fit_pretrained(params: Params) -> None:
    """Train and publish `models/pretrained`. Raises OtherTrainingError where a stopped one was another."""
    assert params.model.architecture is not None
    corpus = paths.data_dir(params.task.name, "corpus")
    corpus_digest = files.verify(corpus)["corpus.parquet"]
    world = parallel.join(params.training.processes)
    choose_threads(params.model.architecture.hidden_size)
    facts = fingerprint.of_pretraining(params, corpus_digest, processes=world.size)
    states = open_states("pretrained", facts, every=params.training.checkpoint_every, world=world)
    model, tokenizer, fitted = pretrain(params, read_split(corpus, "corpus")["text"].tolist(), states)
    if not world.leads:
        return
    drawn = Part("whole model", "drawn", distribution="BERT's own initialization", seed=params.seed)
    with files.publish(paths.model_dir("pretrained")) as folder:
        write_tokenizer(folder, tokenizer, max_length=model.config.max_position_embeddings)
        checkpoint.save(folder, model, model.config, tokenizer_from=folder)
        files.write_text(folder / paths.CURVE, curve_csv(fitted.curve))
        own = Record(
            "pretrained",
            "pretrained",
            params.task.name,
            files.sha256(folder / checkpoint.WEIGHTS),
            init=[drawn],
            data={"kind": "corpus", "train": corpus_digest},
            seed=params.seed,
            steps=fitted.num_steps,
            best_step=fitted.best_step,
            settings={**params.training.pretraining.model_dump(), "processes": params.training.processes},
        )
        record.write(folder, own)
    states.clear()


def pretrain(
    params: Params, corpus: list[str], states: States | None = None
) -> tuple[BertForMaskedLM, Tokenizer, Fitted]:
    """Train a BERT of `params.model.architecture` from nothing; return it with its tokenizer."""
    assert params.model.architecture is not None
    optimization = params.training.pretraining
    choose_threads(params.model.architecture.hidden_size)
    seed_everything(params.seed)
    tokenizer = word_tokenizer(corpus)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(corpus)]
    rows = Encoded(ids, [[0] * len(row) for row in ids], torch.zeros(len(ids)), 0)
    config = bert_config(params.model.architecture, tokenizer.get_vocab_size(), dropout=optimization.dropout)
    model = BertForMaskedLM(config)
    move(model)
    batches = rows.shuffled(
        optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
    )
    num_steps = params.budget.pretraining.count_steps(num_rows=len(rows), batch_size=optimization.batch_size)
    fitted = fit(
        model,
        name="pretrained",
        batches=Masked(batches, tokenizer),
        course=[Phase(masked_words, num_steps, optimization.learning_rate)],
        score=None,
        num_evaluations=0,
        optimization=optimization,
        states=states,
    )
    return model, tokenizer, fitted


def word_tokenizer(corpus: list[str]) -> Tokenizer:
    """BERT's tokenizer with every word of the corpus as one token, and letters for any other word."""
    from tokenizers import BertWordPieceTokenizer

    words = sorted({word for sentence in corpus for word in sentence.split()})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*SPECIAL, *dict.fromkeys([*words, *letters, *(f"##{letter}" for letter in letters)])]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    return cast("Tokenizer", BertWordPieceTokenizer(vocabulary)._tokenizer)


def write_tokenizer(folder: Path, tokenizer: Tokenizer, *, max_length: int) -> None:
    """tokenizer.json and what transformers wants beside it."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    files.write_text(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": max_length,
        **names,
    }
    files.write_json(folder / "tokenizer_config.json", settings)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    files.write_text(folder / "vocab.txt", "".join(f"{token}\n" for token, _ in vocabulary))


def bert_config(architecture: Architecture, vocab_size: int, *, dropout: float) -> BertConfig:
    return BertConfig(
        **architecture.model_dump(),
        vocab_size=vocab_size,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )


class Masked:
    """The batch of any step with words hidden, and their ids as labels (-100 elsewhere)."""

    def __init__(self, batches: Shuffled, tokenizer: Tokenizer) -> None:
        self.batches, self.vocab_size = batches, tokenizer.get_vocab_size()

    def __call__(self, step: int) -> Batch:
        """Which words are hidden is drawn from the seed and the step alone."""
        batch = self.batches(step)
        drawn = np.random.SeedSequence([self.batches.seed, step]).generate_state(1, dtype=np.uint64)
        generator = torch.Generator().manual_seed(int(drawn[0]))
        ids, labels = mask_words(batch["input_ids"], SPECIAL.index("[MASK]"), self.vocab_size, generator)
        return {**batch, "input_ids": ids, "labels": labels}


def mask_words(
    ids_BS: Tensor, mask_id: int, vocab_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose MASKED_SHARE of the words: 80 % become [MASK], 10 % another word, 10 % stay.

    Returns the ids to read and the labels, both [B, S]; labels are -100 where nothing was chosen.
    """
    draw_BS = torch.rand(ids_BS.shape, generator=generator)
    kind_BS = torch.rand(ids_BS.shape, generator=generator)
    other_BS = torch.randint(len(SPECIAL), vocab_size, ids_BS.shape, generator=generator)
    chosen_BS = (draw_BS < MASKED_SHARE) & (ids_BS >= len(SPECIAL))
    hidden_BS = torch.where(chosen_BS & (kind_BS < 0.8), mask_id, ids_BS)
    hidden_BS = torch.where(chosen_BS & (kind_BS >= 0.9), other_BS, hidden_BS)
    return hidden_BS, torch.where(chosen_BS, ids_BS, -100)


def masked_words(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
    """Cross-entropy of the hidden words. On the CPU only they go through the vocabulary's projection.

    How many there are would have to be read from a GPU, which would be waited for.
    """
    assert isinstance(model, BertForMaskedLM)
    hidden_BSE = model.bert(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        token_type_ids=batch["token_type_ids"],
    ).last_hidden_state
    hidden_ME, labels_M = hidden_BSE.flatten(0, 1), batch["labels"].flatten()
    chosen_M = labels_M != -100
    if hidden_ME.device.type == "cpu":
        hidden_ME, labels_M = hidden_ME[chosen_M], labels_M[chosen_M]
    summed = functional.cross_entropy(model.cls(hidden_ME), labels_M, reduction="sum")  # without the -100
    # One process's few rows may have no hidden word at all.
    mean = summed / chosen_M.sum().clamp(min=1)
    return {"masked_words": portion.labels * mean}
