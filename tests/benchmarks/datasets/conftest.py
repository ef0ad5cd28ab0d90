import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


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
