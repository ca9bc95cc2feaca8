"""nlpaug's contextual augmentation on transformers 5: a masked-language model proposes words that fit.

nlpaug 1.1.11 chooses the words and sees to the rest. Replaced here, by subclassing, is how words are
proposed, because of what does not hold any more or never did:

- its `Bert` asks the tokenizer for methods that transformers 5 has no more;
- it caches models by the folder's last name, so that two folders called alike are one model;
- it loads a folder without a masked-LM head with a random one, and a warning;
- its text comes back from the tokenizer's `decode`: small letters, apostrophes set apart, [UNK] for the rest;
- it lets the model attend to padding, so that a sentence's proposals depend on its neighbours in the batch;
- it makes one pass per word, and runs the head, the widest layer, at every position.

All chosen words of a sentence are masked at once (params.yaml says what share; BERT learned on 15 %), so
that one forward pass serves a whole batch of sentences, and the head sees the masked positions alone. Needs
nlpaug, torch and transformers at import: import it where it is used.

Shapes: B sentences, T tokens, H hidden size, M masked words of the batch, V vocabulary, E endings, K
candidates.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nlpaug.augmenter.word as naw
import nlpaug.model.lang_models as nml
import torch
from torch import Tensor
from transformers import AutoTokenizer, BertForMaskedLM
from transformers.utils import logging

from pipeline.data.words import ENDINGS, LeftAlone, ending, is_content_word, match_case, split_edges

# TinyBERT draws from the 15 likeliest words (arXiv:1909.10351, algorithm 1).
NUM_CANDIDATES = 15


class MaskedLanguageModel(nml.Bert):  # type: ignore[misc]
    """A BERT with its masked-LM head, in the place of nlpaug's own.

    Raises:
        ValueError: the folder's weights lack some of the model's.
    """

    def __init__(self, folder: Path, *, device: str, batch_size: int) -> None:
        # Not Bert's own: it loads whatever it finds and never asks whether the head was there.
        nml.LanguageModels.__init__(self, device, model_type="bert", batch_size=batch_size)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = _load(folder).to(device).eval()
        self.mask_id = self.token2id(self.get_mask_token())
        self.excluded_EV = _excluded(self.tokenizer, self.model.config.vocab_size).to(device)

    def token2id(self, token: str) -> Any:
        return self.tokenizer.convert_tokens_to_ids(token)

    def id2token(self, _id: int) -> Any:
        return self.tokenizer.convert_ids_to_tokens(_id)

    @torch.inference_mode()
    def predict(self, texts: list[str], target_words: Sequence[Sequence[str]], n: int = 1) -> list[list[str]]:
        """For each text the word drawn for each of its masks, in order, or its own where none is left.

        Drawn from the likeliest words that share the target's ending, itself excepted, in proportion to their
        probabilities, from torch's global generator. Targets past the model's longest input stay as well.
        """
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.get_max_length(), return_tensors="pt"
        ).to(self.device)
        rows_M, columns_M = (batch["input_ids"] == self.mask_id).nonzero(as_tuple=True)
        found_B = torch.bincount(rows_M, minlength=len(texts)).tolist()
        words = [word for row, num in zip(target_words, found_B, strict=True) for word in row[:num]]
        if not words:
            return [list(row) for row in target_words]
        hidden_BTH = self.model.bert(batch["input_ids"], attention_mask=batch["attention_mask"])[0]
        drawn = iter(self._draw(self.model.cls(hidden_BTH[rows_M, columns_M]), words))
        return [
            [next(drawn) for _ in range(num)] + list(row[num:])
            for row, num in zip(target_words, found_B, strict=True)
        ]

    def get_max_length(self) -> int:
        return int(self.model.config.max_position_embeddings)

    def _draw(self, logits_MV: Tensor, words: list[str]) -> list[str]:
        """One word for each mask, or its own word where no other is left."""
        kinds_M = torch.tensor([ENDINGS.index(ending(word)) for word in words], device=self.device)
        own_M2 = torch.tensor([[self.token2id(word), self.token2id(word.lower())] for word in words])
        logits_MV = logits_MV.masked_fill(self.excluded_EV[kinds_M], -torch.inf)
        logits_MV.scatter_(1, own_M2.to(self.device), -torch.inf)
        top = logits_MV.topk(min(NUM_CANDIDATES, logits_MV.shape[1]))
        # On the CPU, so that one generator serves every device.
        values_MK, ids_MK = top.values.float().cpu(), top.indices.cpu()
        some_M1 = values_MK[:, :1] > -torch.inf
        weights_MK = torch.where(some_M1, values_MK, 0.0).softmax(dim=1)
        drawn_M1 = ids_MK.gather(1, torch.multinomial(weights_MK, 1))
        return [
            match_case(self.id2token(index), word) if some else word
            for index, some, word in zip(drawn_M1[:, 0].tolist(), some_M1[:, 0].tolist(), words, strict=True)
        ]


# nlpaug hands whole batches to a class of this name only; any other gets its sentences one by one.
class ContextualWordEmbsAug(naw.ContextualWordEmbsAug):  # type: ignore[misc]
    """nlpaug's augmenter on our model. Give `augment` a list of at most `batch_size` texts a call."""

    def __init__(self, folder: Path, *, word_fraction: float, device: str, batch_size: int) -> None:
        self.left_alone = LeftAlone()
        super().__init__(
            model_path=str(folder), model_type="bert", action="substitute", aug_p=word_fraction, aug_min=1,
            aug_max=None, device=device, batch_size=batch_size,
        )  # fmt: skip

    @classmethod
    def get_model(
        cls, model_path: str, *, device: str, batch_size: int, **unused: object
    ) -> MaskedLanguageModel:
        return MaskedLanguageModel(Path(model_path), device=device, batch_size=batch_size)

    def is_stop_words(self, token: str) -> bool:
        return token in self.left_alone

    def substitute(self, data: list[str]) -> list[str]:
        """Each text with new words in the chosen words' places; all else, but runs of spaces, as it was."""
        texts = [text.split() for text in data]
        chosen = [sorted(self._get_aug_idxes(tokens)) for tokens in texts]
        parts = [
            [split_edges(tokens[place]) for place in places]
            for tokens, places in zip(texts, chosen, strict=True)
        ]
        # A mask that the text itself spells out is no question of ours.
        mask, unknown = self.model.get_mask_token(), self.model.get_unknown_token()
        shown = [[token.replace(mask, unknown) for token in tokens] for tokens in texts]
        masks = [[mask] * len(places) for places in chosen]
        words = self.model.predict(
            [_filled(*row) for row in zip(shown, chosen, parts, masks, strict=True)],
            [[word for _, word, _ in row] for row in parts],
        )
        return [_filled(*row) for row in zip(texts, chosen, parts, words, strict=True)]


def _filled(
    tokens: list[str], places: list[int], parts: list[tuple[str, str, str]], words: Sequence[str]
) -> str:
    """The text with `words` at `places`, between the punctuation that was there."""
    changed = {
        place: f"{before}{word}{after}"
        for place, (before, _, after), word in zip(places, parts, words, strict=True)
    }
    return " ".join(changed.get(place, token) for place, token in enumerate(tokens))


def _load(folder: Path) -> Any:
    verbosity = logging.get_verbosity()
    # What it would print is told below, as an error, where it matters.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # Any: with loading info it returns a pair, which its annotation does not know.
    loaded: Any = BertForMaskedLM.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    logging.set_verbosity(verbosity)
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        raise ValueError(f"{folder}: no complete masked-LM head to propose words: missing {missing}")
    return model


def _excluded(tokenizer: Any, vocab_size: int) -> Tensor:
    """[E, V] of bool: what is never proposed for a word of each ending; never pieces or function words."""
    excluded_EV = torch.ones(len(ENDINGS), vocab_size, dtype=torch.bool)
    for token, index in tokenizer.get_vocab().items():
        excluded_EV[ENDINGS.index(ending(token)), index] = not is_content_word(token)
    return excluded_EV
