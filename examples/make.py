"""The example files, made up: `python examples/make.py` writes them anew, byte for byte.

    reviews.csv         600 reviews: bad, fine or good; several by one customer     classification
    later.csv           200 more of them, by other customers
    tickets.csv         300 messages about price, delivery, quality, or none        multi_label
    likeness.tsv        300 pairs of sentences and how alike they are, 0 to 5       regression
    passages.tsv        300 pairs of a question and a passage: an answer or not     reranking
    visits.jsonl        300 sentences with people and towns in them, as spans       token_classification
    questions.jsonl     300 questions, contexts and answers                         question_answering

Every word of them is ours. They are for trying things out: what a model scores on them says nothing of it.
"""

import csv
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
Row = dict[str, Any]

THINGS = [
    "lamp",
    "drill",
    "kettle",
    "jacket",
    "mattress",
    "chair",
    "phone",
    "camera",
    "clock",
    "tent",
    "heater",
]
GOOD = [
    "works better than I had hoped",
    "has been running every day without a fault",
    "is worth every cent",
    "made my mother very happy",
    "is the best one I have owned",
    "looks even nicer than in the picture",
]
BAD = [
    "broke after a week",
    "fell apart in my hands",
    "stopped working on the second day",
    "came scratched and with a part missing",
    "smells of glue and will not switch on",
    "was sent back, and nobody answered",
]
FINE = [
    "does what it says, no more",
    "is about what I expected for the price",
    "is neither good nor bad",
    "took some getting used to and is all right now",
    "is usable, though I have seen better ones",
    "arrived on time and is ordinary",
]
OPENINGS = [
    "",
    "",
    "Bought for my sister. ",
    "Second order here. ",
    "I waited three weeks. ",
    "To be fair, ",
    "Well: ",
]
ENDINGS = [
    "",
    "",
    " I have had it for {n} weeks.",
    " Ordered {n} of them.",
    " My neighbour says the same.",
    " Size {n}.",
]
ABOUT = {
    "price": ["it costs too much now", "you charged me twice", "the discount was not taken off"],
    "delivery": ["the parcel has not come", "it was left at the wrong door", "the driver did not ring"],
    "quality": ["the handle is loose", "the colour came off", "it stopped after two days"],
}
PEOPLE = [
    "Ada",
    "Bruno",
    "Carla Weiss",
    "Dmitri",
    "Elif",
    "Frank Osei",
    "Greta",
    "Hana Sato",
    "Ivo",
    "Jun Park",
]
TOWNS = [
    "Lisbon",
    "Graz",
    "Bergen",
    "Nairobi",
    "Porto Alegre",
    "Leeds",
    "Osaka",
    "Tampere",
    "Cork",
    "New Delhi",
]
DEEDS = [
    "repaired the clock",
    "sold the tent",
    "opened a bakery",
    "painted the bridge",
    "met the mayor",
    "lost a glove",
]


def reviews(draw: random.Random, rows: int = 600, first: int = 0) -> Iterable[Row]:
    """A word or two of another label in some of them."""
    says = {"bad": BAD, "fine": FINE, "good": GOOD}
    for number in range(first, first + rows):
        stars = draw.choice(list(says))
        parts = [f"{draw.choice(['The', 'This', 'My'])} {draw.choice(THINGS)} {draw.choice(says[stars])}"]
        if draw.random() < 0.3:
            parts.append(
                f"the {draw.choice(THINGS)} from before {draw.choice(says[draw.choice(list(says))])}"
            )
        ending = draw.choice(ENDINGS).format(n=draw.randint(2, 9))
        text = f"{draw.choice(OPENINGS)}{', '.join(parts)}.{ending}"
        customer = f"customer{first + draw.randint(1, 250)}"
        yield {
            "id": number,
            "review": text,
            "stars": stars,
            "customer": customer,
        }


def later(draw: random.Random) -> Iterable[Row]:
    return reviews(draw, rows=200, first=600)


def tickets(draw: random.Random) -> Iterable[Row]:
    for _ in range(300):
        own = [name for name in ABOUT if draw.random() < 0.4]
        said = [draw.choice(ABOUT[name]) for name in own] or ["thank you, all is well"]
        draw.shuffle(said)
        message = f"Order {draw.randint(100, 999)}, the {draw.choice(THINGS)}: {' and '.join(said)}."
        yield {"message": message, "topics": "|".join(own)}


def likeness(draw: random.Random) -> Iterable[Row]:
    """Five for the same person, town and deed; a person counts two, a deed two, a town one."""
    for _ in range(300):
        first = [draw.choice(part) for part in (PEOPLE, TOWNS, DEEDS)]
        second = [
            one if draw.random() < 0.5 else draw.choice(part)
            for one, part in zip(first, (PEOPLE, TOWNS, DEEDS), strict=True)
        ]
        same = [a == b for a, b in zip(first, second, strict=True)]
        score = 2 * same[0] + same[1] + 2 * same[2]
        yield {
            "first": f"{first[0]} {first[2]} in {first[1]}.",
            "second": f"In {second[1]}, {second[0]} {second[2]}.",
            "score": float(score),
        }


def passages(draw: random.Random) -> Iterable[Row]:
    """Three passages to a question, one of which answers it."""
    for number in range(100):
        (who, other), (town, elsewhere), deed = (
            draw.sample(PEOPLE, 2),
            draw.sample(TOWNS, 2),
            draw.choice(DEEDS),
        )
        query = f"Where has {who} {deed}, in year {number}?"
        found = [
            (f"{who} {deed} in {town}, people say.", 1),
            (f"{other} {deed} in {elsewhere}, people say.", 0),
            (f"{other} came from {town} and stayed in {elsewhere}.", 0),
        ]
        draw.shuffle(found)
        yield from ({"query": query, "passage": text, "relevant": relevant} for text, relevant in found)


def visits(draw: random.Random) -> Iterable[Row]:
    for number in range(300):
        who, town, deed = draw.choice(PEOPLE), draw.choice(TOWNS), draw.choice(DEEDS)
        pattern = draw.choice(
            [
                "{who} {deed} in {town} on day {n}.",
                "In {town}, {who} {deed} for {n} coins.",
                "On day {n} {who} came from {town}.",
            ]
        )
        text = pattern.format(who=who, town=town, deed=deed, n=number)
        named = [(text.index(who), who, "PERSON"), (text.index(town), town, "TOWN")]
        spans = [{"start": at, "end": at + len(one), "label": label} for at, one, label in sorted(named)]
        yield {"text": text, "spans": spans}


def questions(draw: random.Random) -> Iterable[Row]:
    for number in range(300):
        (who, other), (town, elsewhere), (deed, another) = (
            draw.sample(PEOPLE, 2),
            draw.sample(TOWNS, 2),
            draw.sample(DEEDS, 2),
        )
        parts = [f"{who} {deed} in {town}.", f"{other} {another} in {elsewhere}."]
        draw.shuffle(parts)
        context = f"Chapter {number}. {' '.join(parts)}"
        yield {"question": f"Where is it that {who} {deed}?", "context": context, "answer": town}


FILES: dict[str, Callable[[random.Random], Iterable[Row]]] = {
    "reviews.csv": reviews,
    "tickets.csv": tickets,
    "likeness.tsv": likeness,
    "passages.tsv": passages,
    "visits.jsonl": visits,
    "questions.jsonl": questions,
    "later.csv": later,
}


def write(folder: Path = FOLDER) -> None:
    """All of them."""
    for number, (name, make) in enumerate(FILES.items()):
        rows = list(make(random.Random(number)))
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            if name.endswith(".jsonl"):
                file.writelines(f"{json.dumps(row)}\n" for row in rows)
                continue
            comma = "," if name.endswith(".csv") else "\t"
            writer = csv.DictWriter(file, list(rows[0]), delimiter=comma, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    write()
