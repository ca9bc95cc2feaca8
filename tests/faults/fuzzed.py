"""Inputs from somebody who means harm, a function for each kind: it makes one from a generator and gives it
to the code that reads it. True: taken, False: refused by an error of ours. What else is raised is a find."""

import io
import json
import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitladder
from bitladder import files
from bitladder.packed import format, tensors
from bitladder.packed.reading import open_weights
from bitladder.rows import reading
from bitladder.rows.row import Bad, Names, Row
from bitladder.serving import asked
from bitladder.serving.limits import Limits, RefusedError
from bitladder.text.given import TextError
from pipeline import params_file, record
from pipeline.data.own import reading as own_reading

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # noqa: S108 - files that are synced by the thousand
Draw = random.Random
Fuzz = Callable[[Draw], bool]
# What parsers have stumbled over.
ODD = [
    *(
        b"",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\x1b]0;owned\x07",
        b"\r",
        b"\n",
        b"\t",
        b'"',
        b"\\",
    ),
    *(
        b"../../etc/passwd",
        b"/etc/passwd",
        b"=cmd|' /C calc'!A0",
        b"<script>alert(1)</script>",
        b"${jndi:x}",
        b"$(id)",
    ),
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"9" * 30,
        b"9" * 5000,
        b"true",
        b"null",
        b"[]",
        b"{}",
        b"0x10",
        b"1_000",
    ),
    *(
        b"[" * 2000,
        b'{"a":' * 2000,
        b"*a",
        b"&a",
        b"!!python/object:os.system",
        b"<<: ",
        b"- " * 500,
        b"? ",
        b"---\n",
    ),
    *(
        b"__class__",
        b"auto_map",
        b"trust_remote_code",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x95",
        b"PK\x03\x04",
    ),
]


def spoilt(content: bytes, draw: Draw) -> bytes:
    """With one to four places changed: a bit, a piece cut, doubled, or something odd put in or over it."""
    made = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at, length = draw.randrange(len(made) + 1), draw.choice([1, 4, 30, 500])
        how = draw.randrange(5)
        if how == 0 and at < len(made):
            made[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            del made[at : at + length]
        elif how == 2:
            made[at:at] = made[at : at + length]
        else:
            made[at : at + (length if how == 3 else 0)] = draw.choice(ODD)
    return bytes(made)


def value(draw: Draw, depth: int = 0) -> Any:
    """Any JSON, with numbers that cannot be and names that mean something somewhere."""
    names = [
        "files",
        "sha256",
        "bytes",
        "text",
        "text_pair",
        "format",
        "shape",
        "data_offsets",
        "auto_map",
        "../x",
        "",
    ]
    leaves: list[Any] = [
        None,
        True,
        -1,
        0,
        2**63,
        10**30,
        1e308,
        float("nan"),
        "",
        "text",
        "\udcff",
        "\x1b[2J",
        *names,
    ]
    if depth > 4 or draw.random() < 0.5:
        return draw.choice(leaves)
    if draw.random() < 0.4:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(names): value(draw, depth + 1) for _ in range(draw.randrange(5))}


def json_text(draw: Draw, good: bytes) -> bytes:
    """A good file spoilt, or made up whole."""
    if draw.random() < 0.7:
        return spoilt(good, draw)
    return json.dumps(value(draw)).encode("utf-8", "surrogatepass")


class Place:
    """A packed folder, and scratch files, in memory where there is such a place."""

    def __init__(self, packed: Path) -> None:
        where = MEMORY if MEMORY.is_dir() else None
        self._kept = tempfile.TemporaryDirectory(dir=where)  # gone with this object
        self.root = Path(self._kept.name)
        self.folder = self.root / "packed"
        self.folder.mkdir()
        self.good = {path.name: path.read_bytes() for path in packed.iterdir() if path.is_file()}
        self.record = b""
        for name, content in self.good.items():
            (self.folder / name).write_bytes(content)

    def packed_folder(self, draw: Draw) -> bool:
        """One file spoilt, the manifest made anew to fit: what remains are the format's own checks."""
        name = draw.choice(
            [format.WEIGHTS, format.WEIGHTS, files.CONFIG, "tokenizer.json", "tokenizer_config.json"]
        )
        content = (
            _header_spoilt(self.good[name], draw)
            if name == format.WEIGHTS
            else json_text(draw, self.good[name])
        )
        try:
            (self.folder / name).write_bytes(content)
            _seal(self.folder)
            model = bitladder.load(self.folder)
            for answer in model(["the dog", ""]):
                assert answer
        except (files.IntegrityError, ValueError):
            return False
        finally:
            (self.folder / name).write_bytes(self.good[name])
        return True

    def weights(self, draw: Draw) -> bool:
        """The file of tensors alone, read against its config."""
        try:
            (self.folder / format.WEIGHTS).write_bytes(_header_spoilt(self.good[format.WEIGHTS], draw))
            open_weights(self.folder, format.read_config(self.folder)).check()
        except tensors.FormatError:
            return False
        finally:
            (self.folder / format.WEIGHTS).write_bytes(self.good[format.WEIGHTS])
        return True

    def config(self, draw: Draw) -> bool:
        try:
            values = tensors.parse_json(json_text(draw, self.good[files.CONFIG]), "config.json")
            format.parse_config(values, source="config.json")
        except tensors.FormatError:
            return False
        return True

    def manifest(self, draw: Draw) -> bool:
        try:
            (self.folder / files.MANIFEST).write_bytes(json_text(draw, self.good[files.MANIFEST]))
            promised = files.verify(self.folder)
        except files.IntegrityError:
            return False
        finally:
            (self.folder / files.MANIFEST).write_bytes(self.good[files.MANIFEST])
        assert all((self.folder / name).resolve().is_relative_to(self.folder) for name in promised)
        return True

    def record_of_a_model(self, draw: Draw) -> bool:
        path = self.root / record.RECORD
        path.write_bytes(json_text(draw, self.record))
        try:
            record.read(self.root)
        except record.OtherFormatError:
            return False
        return True

    def params(self, draw: Draw) -> bool:
        path = self.root / "params.yaml"
        path.write_bytes(spoilt(PARAMS, draw))
        try:
            params_file.load(path)
        except params_file.ParamsError as error:
            said = str(error).split("\n")
        else:
            return True
        assert all(line.isprintable() for line in said)
        return False

    def own_file(self, draw: Draw) -> bool:
        """A person's file of rows, to be learned from."""
        ending, good = draw.choice([*OWN.items()])
        path = self.root / f"rows{ending}"
        path.write_bytes(spoilt(good, draw))
        return not own_reading.read(path, ["text", "label"]).problems

    def parquet(self, draw: Draw) -> bool:
        path = self.root / "rows.parquet"
        path.write_bytes(spoilt(PARQUET, draw))
        return not own_reading.read(path, ["text", "label"]).problems


def rows(draw: Draw) -> bool:
    """A file of rows that a model is asked about: each line is a row, or bad, or the file is refused."""
    form = draw.choice(["jsonl", "csv", "tsv", "text"])
    good = {"jsonl": LINES, "csv": OWN[".csv"], "tsv": OWN[".tsv"], "text": b"one\ntwo\tthree\n"}[form]
    names = draw.choice(
        [Names("text", "text_pair", 1), Names("text", "text_pair", 2), Names("question", "context", 2)]
    )
    try:
        found = [*reading.read(reading.Lines(io.BytesIO(spoilt(good, draw))), form, names)]
    except TextError:
        return False
    assert all(isinstance(one, Row | Bad) for one in found)
    return not any(isinstance(one, Bad) for one in found)


def body(draw: Draw) -> bool:
    """What came over HTTP."""
    try:
        asked.read(json_text(draw, BODY), Names("text", "text_pair", None), LIMITS)
    except RefusedError as error:
        status, said = error.status, str(error)
    else:
        return True
    assert status in (413, 422)
    assert "\n" not in said
    return False


def _header_spoilt(content: bytes, draw: Draw) -> bytes:
    """Half of the time the header alone, with its length put right: else few changes would get past it."""
    if draw.random() < 0.5:
        return spoilt(content, draw)
    (length,) = struct.unpack("<Q", content[:8])
    header = spoilt(content[8 : 8 + length], draw)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def _seal(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.name != files.MANIFEST)
    files.seal(folder, names)


PARAMS = (ROOT / "params.yaml").read_bytes()
LIMITS = Limits(body=10_000, rows=4, tokens=50, wait=0)
BODY = b'[{"text": "the dog", "text_pair": "a cat"}, "the dog sleeps", {"text": "x"}]'
LINES = b'{"text": "the dog", "text_pair": "a"}\n"the dog"\n{"question": "who", "context": "the dog"}\n'
TABLE = b'text,text_pair,question,context,label\n"a, ""b""\nc",d,e,f,yes\ng,h,i,j,no\n'
OWN = {
    ".csv": TABLE,
    ".tsv": TABLE.replace(b",", b"\t"),
    ".jsonl": b'{"text": "the dog", "label": "yes"}\n{"text": "a cat", "label": "no"}\n',
    ".json": b'[{"text": "the dog", "label": "yes"}, {"text": "a cat", "label": "no"}]',
}


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with io.BytesIO() as file:
        pq.write_table(pa.table({"text": ["the dog", "a cat"], "label": ["yes", "no"]}), file)
        return file.getvalue()


PARQUET = _parquet()
