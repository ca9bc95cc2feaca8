"""Load a real `bitladder serve` from another process: requests a second, p50 and p99, memory over many.

    python benchmarks/serving.py packed/w1a8 --requests 100000

Each client keeps one connection and sends the next request when it has the answer, so no more than `clients`
requests are under way. The levels take turns, round after round. Client and server share the machine's cores.
Texts are made up; their answers do not matter. Where the machine is busy with other things, processor time of
the server for a request says more than requests a second.
"""

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from interleaved import HERE, as_markdown, middle

WORDS = """the a that dog cat house train river old new small large quick slow red good bad book city sees
likes follows hears makes takes finds keeps gives with near under before after and but never often""".split()  # noqa: SIM905
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """A server's port and process id; SIGTERM ends it, and has to with exit code 0."""
    command = [sys.executable, "-m", "bitladder.cli", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, cwd=HERE.parent, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = ADDRESS.search(said)
            if found is None:
                raise RuntimeError(f"the server did not start: {said}{process.stderr.read()}")
            yield int(found[1]), process.pid
        finally:
            process.terminate()
        if process.wait() != 0:
            raise RuntimeError(f"the server ended with exit code {process.returncode}")


def bodies(number: int, words: int, seed: int = 0) -> list[bytes]:
    """Whole requests of made-up texts."""
    drawn = random.Random(seed)  # noqa: S311 - texts
    texts = [" ".join(drawn.choices(WORDS, k=words)) for _ in range(number)]
    return [_request(json.dumps({"text": text}).encode()) for text in texts]


def _request(body: bytes) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _client(port: int, requests: list[bytes], until: float, taken: list[float], most: int) -> None:
    """Ask until it is `until` or `taken` has `most`; seconds of each request go to `taken`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = random.randrange(len(requests))  # noqa: S311 - where to begin
    while (begun := time.perf_counter()) < until and len(taken) < most:
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length is None or not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {head!r}")
        await reader.readexactly(int(length[1]))
        taken.append(time.perf_counter() - begun)
        number += 1
    writer.close()


async def load(
    port: int, requests: list[bytes], clients: int, seconds: float, most: int = 2**62
) -> list[float]:
    """Seconds that each request took."""
    taken: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(_client(port, requests, until, taken, most) for _ in range(clients)))
    return taken


def resident(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def processor(pid: int) -> float:
    """Seconds that all threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def levels(
    port: int, pid: int, requests: list[bytes], clients: list[int], rounds: int, seconds: float
) -> str:
    rates: dict[int, list[float]] = {one: [] for one in clients}
    taken: dict[int, list[float]] = {one: [] for one in clients}
    used = dict.fromkeys(clients, 0.0)
    for _ in range(rounds):
        for one in clients:
            used[one] -= processor(pid)
            begun = time.perf_counter()
            found = asyncio.run(load(port, requests, one, seconds))
            rates[one].append(len(found) / (time.perf_counter() - begun))
            used[one] += processor(pid)
            taken[one] += found
    rows: list[list[object]] = [["clients", "requests/s", "p50 ms", "p99 ms", "CPU ms a request", "requests"]]
    for one in clients:
        cuts = [1000 * cut for cut in quantiles(taken[one], n=100)]
        rate, count = middle(rates[one]).text(0), len(taken[one])
        cost = f"{1000 * used[one] / count:.2f}"
        rows.append([one, rate, f"{cuts[49]:.2f}", f"{cuts[98]:.2f}", cost, count])
    return as_markdown(rows, words=0)


def memory(port: int, pid: int, requests: list[bytes], clients: int, most: int, minutes: float) -> str:
    """Resident memory after each tenth of `most` requests, or of what fits into `minutes`."""
    until, done = time.perf_counter() + 60 * minutes, 0
    rows: list[list[object]] = [["requests", "resident MiB"], [0, f"{resident(pid):.1f}"]]
    for tenth in range(1, 11):
        left = until - time.perf_counter()
        if left <= 0:
            break
        done += len(asyncio.run(load(port, requests, clients, left, most * tenth // 10 - done)))
        rows.append([done, f"{resident(pid):.1f}"])
    return as_markdown(rows, words=0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Load figures of `bitladder serve`.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a packed model")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=3, metavar="X", help="of a level in a round")
    parser.add_argument("--words", type=int, default=12, metavar="N", help="of a text")
    parser.add_argument("--requests", type=int, default=100_000, metavar="N", help="of the memory run, or 0")
    parser.add_argument("--minutes", type=float, default=5, metavar="X", help="at most, of the memory run")
    asked = parser.parse_args()
    requests = bodies(1000, asked.words)
    with served(asked.folder.resolve()) as (port, pid):
        asyncio.run(load(port, requests, 8, 1))  # warm
        print(levels(port, pid, requests, asked.clients, asked.rounds, asked.seconds), "\n", flush=True)
        if asked.requests:
            print(memory(port, pid, requests, 8, asked.requests, asked.minutes))


if __name__ == "__main__":
    main()
