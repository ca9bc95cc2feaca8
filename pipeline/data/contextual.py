"""nlpaug's contextual augmentation on transformers 5: a masked-language model proposes words that fit.

nlpaug 1.1.11 chooses the words, masks them one after the other and puts the proposals in. Replaced here, by
subclassing, is what does not hold any more or never did:

- its `Bert` asks the tokenizer for methods that transformers 5 has no more;
- it caches models by the folder's last name, so that two folders called alike are one model;
- it loads a folder without a masked-LM head with a random one, and a warning;
- its text comes back from the tokenizer's `decode`: small letters, apostrophes set apart, [UNK] for the rest;
- it lets the model attend to padding, so that a sentence's proposals depend on its neighbours in the batch;
- it runs the head, the widest layer, at every position and picks from each row in Python.

One forward pass serves a whole batch of sentences, and the head sees one position of each.
Needs nlpaug, torch and transformers at import: import it where it is used.

Shapes: B sentences, T tokens, H hidden size, V vocabulary, E endings, K candidates.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nlpaug.augmenter.word as naw
import nlpaug.model.lang_models as nml
import torch
from torch import Tensor
from transformers import AutoTokenizer, BertForMaskedLM

from pipeline.data.words import ENDINGS, LeftAlone, ending, is_content_word, match_case, split_edges

# TinyBERT draws from the 15 likeliest words (arXiv:1909.10351, algorithm 1).
NUM_CANDIDATES = 15
_MASK = "[MASK]"
# nlpaug stops at this many words; ours are cut around the masked word instead, where the model needs it.
_NO_LIMIT = 10**9


class MaskedLanguageModel(nml.Bert):  # type: ignore[misc]
    """A BERT with its masked-LM head, in the shape nlpaug's augmenter asks for.

    Raises:
        ValueError: the folder's weights lack some of the model's.
    """

    def __init__(self, folder: Path, *, device: str, batch_size: int) -> None:
        # Not Bert's own: it loads whatever it finds and never asks whether the head was there.
        nml.LanguageModels.__init__(self, device, model_type="bert", batch_size=batch_size)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = _load(folder).to(device).eval()
        self.excluded_EV = _excluded(self.tokenizer, self.model.config.vocab_size).to(device)

    def token2id(self, token: str) -> Any:
        return self.tokenizer.convert_tokens_to_ids(token)

    def id2token(self, _id: int) -> Any:
        return self.tokenizer.convert_ids_to_tokens(_id)

    def get_tokenizer(self) -> "_Spaces":
        return _Spaces()

    def get_mask_token(self) -> str:
        return _MASK

    def get_subword_prefix(self) -> str:
        return " "  # stands in no token that was cut at spaces: whole words are varied

    def get_max_num_token(self) -> int:
        return _NO_LIMIT

    def predict(self, texts: Sequence[str], target_words: Sequence[str], n: int = 1) -> list[list[str]]:
        """One proposal for each text's masked token, drawn from the likeliest words other than its own.

        Drawn in proportion to the model's probabilities, from torch's global generator. The token's ending,
        capitals and punctuation are kept. An empty proposal means that the vocabulary has none.
        """
        parts = [split_edges(token) for token in target_words]
        masked = [
            text.replace(_MASK, f"{before}{self.tokenizer.mask_token}{after}", 1)
            for text, (before, _, after) in zip(texts, parts, strict=True)
        ]
        ids = self._draw(masked, [word for _, word, _ in parts])
        return [
            [f"{before}{match_case(self.id2token(i), word)}{after}" if i >= 0 else ""]
            for i, (before, word, after) in zip(ids, parts, strict=True)
        ]

    @torch.inference_mode()
    def _draw(self, masked: list[str], words: list[str]) -> list[int]:
        """Vocabulary index for each masked text, -1 where no word is left to draw."""
        kinds_B = torch.tensor([ENDINGS.index(ending(word)) for word in words], device=self.device)
        logits_BV = self._logits(masked).masked_fill(self.excluded_EV[kinds_B], -torch.inf)
        own_B2 = torch.tensor([[self.token2id(word), self.token2id(word.lower())] for word in words])
        logits_BV.scatter_(1, own_B2.to(self.device), -torch.inf)
        # On the CPU, so that one generator serves every device.
        top = logits_BV.topk(min(NUM_CANDIDATES, logits_BV.shape[1]))
        values_BK, index_BK = top.values.float().cpu(), top.indices.cpu()
        some_B = values_BK[:, 0] > -torch.inf
        weights_BK = torch.where(some_B[:, None], values_BK, 0.0).softmax(dim=1)
        drawn_B = index_BK.gather(1, torch.multinomial(weights_BK, 1)).squeeze(1)
        ids: list[int] = torch.where(some_B, drawn_B, -1).tolist()
        return ids

    def _logits(self, masked: list[str]) -> Tensor:
        """What the head says at the masked position of each text, [B, V]."""
        mask_id = self.tokenizer.mask_token_id
        size = self.model.config.max_position_embeddings
        rows = [_window(ids, ids.index(mask_id), size) for ids in self._encode(masked)]
        batch = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(self.device)
        hidden_BTH = self.model.bert(batch["input_ids"], attention_mask=batch["attention_mask"])[0]
        position_B = (batch["input_ids"] == mask_id).int().argmax(dim=1)
        logits_BV: Tensor = self.model.cls(hidden_BTH[torch.arange(len(rows)), position_B])
        return logits_BV

    def _encode(self, masked: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(masked, truncation=False, verbose=False)["input_ids"]
        return ids


# nlpaug hands whole batches to a class of this name only; any other gets its sentences one by one.
class ContextualWordEmbsAug(naw.ContextualWordEmbsAug):  # type: ignore[misc]
    """nlpaug's augmenter on our model. Give `augment` at most `batch_size` texts a call."""

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


class _Spaces:
    """Stands in for the tokenizer inside nlpaug: tokens are what stands between spaces; text stays as is."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[str]:
        return tokens

    def decode(self, tokens: list[str]) -> str:
        return " ".join(tokens)


def _load(folder: Path) -> Any:
    # Any: with loading info it returns a pair, which its annotation does not know.
    loaded: Any = BertForMaskedLM.from_pretrained(folder, local_files_only=True, output_loading_info=True)
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


def _window(ids: list[int], centre: int, size: int) -> list[int]:
    """At most `size` neighbouring tokens, the one at `centre` among them."""
    start = max(0, min(centre - size // 2, len(ids) - size))
    return ids[start : start + size]
