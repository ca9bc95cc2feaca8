"""A small RoBERTa, fine-tuned on reviews.csv in about a minute: `python examples/fine_tune.py DIR`.

It stands for a model that you have already, and is written as transformers writes one. Nothing is downloaded:
the tokenizer is trained on the reviews, and the weights start at random.
"""

import csv
import sys
from pathlib import Path

import torch
from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizerFast

LABELS = ["bad", "fine", "good"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def main(folder: str, epochs: int = 8, batch_size: int = 16) -> None:
    with (Path(__file__).parent / "reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["review"] for row in rows]
    labels = torch.tensor([LABELS.index(row["stars"]) for row in rows])

    blank = RobertaTokenizerFast(vocab={token: number for number, token in enumerate(SPECIAL)}, merges=[])
    tokenizer = blank.train_new_from_iterator(texts, vocab_size=1000, show_progress=False)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=66,
        type_vocab_size=1,
        id2label=dict(enumerate(LABELS)),
        label2id={name: number for number, name in enumerate(LABELS)},
    )
    model = RobertaForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    for epoch in range(epochs):
        for batch in torch.randperm(len(texts)).split(batch_size):
            inputs = tokenizer(
                [texts[at] for at in batch], padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            loss = model(**inputs, labels=labels[batch]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
