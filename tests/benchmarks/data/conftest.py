import dataclasses
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.data.datasets.archive import ArchiveFacts


class Mirror(ThreadingHTTPServer):
    """A server on 127.0.0.1 whose answer to /<behaviour>/<file> depends on the behaviour."""

    daemon_threads = True
    files: dict[str, bytes]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {}
        self.log: list[tuple[str, str | None]] = []
        self.closing = threading.Event()

    def url(self, behaviour: str, file: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/{file}"


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        _, behaviour, file = self.path.split("/")
        span = self.headers.get("Range")
        self.server.log.append((behaviour, span))
        body = self.server.files.get(file)
        if behaviour == "missing" or body is None:
            self.send_error(404)
            return
        if behaviour == "page":
            body = b"<html>moved</html>"
        if behaviour == "wrong":
            body = bytes(len(body))
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span else 0
        if behaviour in ("plain", "page", "endless"):
            start = 0
        self.send_response(206 if start else 200)
        if start:
            claimed = start + 1 if behaviour == "shifted" else start
            self.send_header("Content-Range", f"bytes {claimed}-{len(body) - 1}/{len(body)}")
        if behaviour != "endless":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:] * (2 if behaviour == "endless" else 1)
        self.wfile.write(rest[: len(rest) // 2])
        if behaviour == "stalled":
            self.server.closing.wait(20)
        if behaviour not in ("truncated", "stalled"):
            self.wfile.write(rest[len(rest) // 2 :])


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def offer(mirror) -> Callable[..., ArchiveFacts]:
    """What has the mirror serve a folder: offer(facts, folder, *behaviours) returns its facts."""

    def pack(facts: ArchiveFacts, folder: Path, *behaviours: str) -> ArchiveFacts:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            tar.add(folder, folder.name)
        body = mirror.files["archive"] = content.getvalue()
        return dataclasses.replace(
            facts,
            archive_md5=hashlib.md5(body).hexdigest(),
            archive_size=len(body),
            mirrors=tuple(mirror.url(behaviour, "archive") for behaviour in behaviours),
        )

    return pack


REAL_DATA = "INSTBENCH_REAL_DATA"
"""Environment variable: a folder with official files, such as cifar-10-batches-py and CUB_200_2011.

Tests that need some are skipped without; nothing outside the repository is read by itself.
"""
PART = "PARTIAL.txt"
"""A file by which a folder says that its lists are not the official ones, but a part."""


@pytest.fixture
def real_data() -> Callable[..., Path]:
    """What finds official files: real_data(folder, *names) returns the folder, or skips."""

    def find(folder: str, *names: str) -> Path:
        given = os.environ.get(REAL_DATA)
        if not given:
            pytest.skip(f"needs official files: set {REAL_DATA} to a folder that holds {folder}")
        missing = [name for name in names if not (Path(given) / folder / name).is_file()]
        if missing:
            pytest.skip(f"{REAL_DATA}={given}: no {', '.join(missing)} in {folder}")
        if (Path(given) / folder / PART).exists():
            pytest.skip(f"{REAL_DATA}={given}: {folder} is a part of the official files ({PART})")
        return Path(given) / folder

    return find


def write_photos(folder: Path, paths: list[str]) -> None:
    """Write small JPEG files of several shapes, each with pixels of its own."""
    random = np.random.default_rng(0)
    for number, path in enumerate(paths):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (3, 2, 3), np.uint8)
        size = 20 + number % 3, 30 - number % 5
        Image.fromarray(pixels).resize(size).save(file, "JPEG", quality=95)


@pytest.fixture
def photos():
    """What writes photographs: photos(folder, paths)."""
    return write_photos
