"""
Router speed beside transformers and torch: `python -m tests.bench.router [--bundle FOLDER] [--data FILE]`.

Same texts, same encoder, one thread each, one after the other in one run: read the ratios, the absolutes are this
machine's. Without --bundle a router is trained first (a minute); without --data the texts are made up.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np

from services.core.models.bundle import RouterModel, load_bundle
from services.core.text.hide import build_hide
from services.trainer.config import FitConfig
from services.trainer.export import wheel_model
from services.trainer.files import read_file
from services.trainer.fit import fit
from services.trainer.prepare import Example
from tests.conftest import free_port
from tests.services.trainer.bundles import made_up_tickets

BATCHES = (1, 32)
CONNECTIONS = (1, 32)
WARM_UP = 64  # texts


@dataclass(frozen=True)
class Measured:
    name: str
    batch: int
    tickets_per_s: float
    cpu_ms: float  # processor time per ticket: holds still when the machine is shared
    p50_ms: float
    p99_ms: float


def main() -> None:
    arguments = _parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        examples = read_file(arguments.data, {}, build_hide()) if arguments.data else made_up_tickets(1_200)
        folder = arguments.bundle or _train(examples, Path(scratch, "bundle"))
        texts = [row.text for row in examples][:1_000]
        rows = measure_in_process(folder, texts, arguments.seconds)
        rows += measure_served(folder, texts, arguments.seconds)
        show(rows, load_bundle(folder))


def measure_in_process(folder: Path, texts: Sequence[str], seconds: float) -> list[Measured]:
    """The pipeline, plain torch and our bundle, without any network."""
    import torch

    torch.set_num_threads(1)
    model = load_bundle(folder)
    pipeline, forward = _transformers(len(model.manifest.labels), model.manifest.max_tokens)
    found = []
    for batch in BATCHES:
        found += [
            measure(f"transformers pipeline, batch {batch}", lambda some, n=batch: pipeline(some, batch_size=n), texts,
                    batch=batch, seconds=seconds),
            measure(f"torch, batch {batch}", forward, texts, batch=batch, seconds=seconds),
            measure(f"bundle in process, batch {batch}", model.infer, texts, batch=batch, seconds=seconds),
        ]  # fmt: skip
    return found


def measure(
    name: str, call: Callable[[list[str]], object], texts: Sequence[str], *, batch: int, seconds: float
) -> Measured:
    for start in range(0, WARM_UP, batch):
        call(list(texts[start : start + batch]))
    took, begun, cpu, at = [], time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        some = [texts[(at + i) % len(texts)] for i in range(batch)]
        before = time.perf_counter()
        call(some)
        took.append(time.perf_counter() - before)
        at += batch
    return _measured(name, batch, took, sum(took), cpu_s=time.process_time() - cpu)


def measure_served(folder: Path, texts: Sequence[str], seconds: float) -> list[Measured]:
    """The router as it runs: one process, protocol v2 over HTTP, one text per request."""
    port = free_port()
    command = [sys.executable, "-m", "services.router", "--http-port", str(port), "--grpc-port", str(free_port()),
               "--model-dir", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        found = []
        for connections in CONNECTIONS:
            before = _cpu_s(process.pid)
            took, wall = asyncio.run(_load(url, texts, connections, seconds))
            cpu_s = _cpu_s(process.pid) - before
            found.append(
                _measured(f"router over HTTP, {connections} connections", connections, took, wall, cpu_s=cpu_s)
            )
        resident = Path(f"/proc/{process.pid}/status").read_text().split("VmRSS:")[1].split()[0]
        print(f"router resident memory: {int(resident) / 1024:.0f} MiB")
        return found
    finally:
        process.terminate()
        process.wait(30)


def show(rows: Sequence[Measured], model: RouterModel) -> None:
    """The table and the targets of design.md."""
    base = {1: rows[0], 32: next(r for r in rows if r.batch == 32)}
    print(f"{'what':<36}{'tickets/s':>10}{'cpu ms':>8}{'p50 ms':>9}{'p99 ms':>9}{'x pipeline':>11}{'x by cpu':>9}")
    for row in rows:
        speed, work = row.tickets_per_s / base[row.batch].tickets_per_s, base[row.batch].cpu_ms / row.cpu_ms
        print(f"{row.name:<36}{row.tickets_per_s:>10.0f}{row.cpu_ms:>8.2f}{row.p50_ms:>9.2f}{row.p99_ms:>9.2f}", end="")
        print(f"{speed:>11.1f}{work:>9.1f}")
    one = next(r for r in rows if r.name.startswith("router over HTTP, 1 "))
    many = next(r for r in rows if r.name.startswith("router over HTTP, 32"))
    lost = model.manifest.metrics.get("int8_accuracy_lost", 0.0) * 100
    _verdict(
        "router >= 5x the pipeline, one text per call",
        many.tickets_per_s / base[1].tickets_per_s,
        "x",
        many.tickets_per_s >= 5 * base[1].tickets_per_s,
    )
    _verdict("accuracy lost by int8 <= 0.5 points", lost, " points", lost <= 0.5)
    _verdict("p99 < 25 ms at batch 1", one.p99_ms, " ms", one.p99_ms < 25)


def _verdict(claim: str, value: float, unit: str, held: bool) -> None:
    print(f"{'held  ' if held else 'MISSED'} {claim}: {value:.2f}{unit}")


def _transformers(groups: int, max_tokens: int) -> tuple[Callable, Callable]:
    """The same encoder with a head of the same size, as most people run it."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    tokenizer: Any = AutoTokenizer.from_pretrained(wheel_model(), model_max_length=max_tokens)
    model = AutoModelForSequenceClassification.from_pretrained(wheel_model(), num_labels=groups).eval()
    ready = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu", truncation=True)

    def forward(texts: list[str]) -> object:
        with torch.inference_mode():
            return model(**tokenizer(texts, truncation=True, padding=True, return_tensors="pt")).logits.numpy()

    return ready, forward


def _train(examples: Sequence[Example], folder: Path) -> Path:
    fit(examples, folder, FitConfig(limit_s=30), lambda stage, fraction, detail: None)
    return folder


async def _load(url: str, texts: Sequence[str], connections: int, seconds: float) -> tuple[list[float], float]:
    """Closed loop over raw sockets (a cheap client): each connection sends its next ticket when it has its answer."""
    address = urlsplit(url)
    requests = [_http_request(text) for text in texts]
    took: list[float] = []
    end = time.perf_counter() + seconds + 0.5
    begun = end - seconds  # the first half second warms up

    async def talk(first: int) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        at = first
        while (before := time.perf_counter()) < end:
            writer.write(requests[at % len(requests)])
            await _read_answer(reader)
            if before >= begun:
                took.append(time.perf_counter() - before)
            at += connections
        writer.close()

    await asyncio.gather(*(talk(n) for n in range(connections)))
    return took, time.perf_counter() - begun


def _http_request(text: str) -> bytes:
    body = json.dumps({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}).encode()
    head = ["POST /v2/models/router/infer HTTP/1.1", "Host: router", "Content-Type: application/json"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"The router answered {head[:40]!r}")
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))


def _measured(name: str, batch: int, took: Sequence[float], wall_s: float, *, cpu_s: float) -> Measured:
    p50, p99 = np.percentile(np.array(took) * 1000, [50, 99])
    per_call = 1 if "HTTP" in name else batch
    tickets = len(took) * per_call
    return Measured(name, batch, tickets / wall_s, cpu_s / tickets * 1000, float(p50), float(p99))


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError("The router did not become ready within a minute.")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="measure this bundle instead of training one")
    parser.add_argument("--data", type=Path, help="CSV or JSONL with the texts (and groups) to use")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    return parser.parse_args()


if __name__ == "__main__":
    main()
