"""A small Hugging Face Hub on the loopback, which can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

COMMIT = "0123456789abcdef0123456789abcdef01234567"


_PIECE = 4000


def network(size: int = 400, seed: int = 0) -> bytes:
    """A safetensors file with one tensor of `size` bytes."""
    header = {"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    data = np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes()
    return struct.pack("<Q", len(text)) + text + data


class Hub:
    """Serves repositories, with range requests.

    Attributes
    ----------
    repositories : dict
        Files by name, by repository.
    asked : list of (str, str or None)
        Paths that were asked for, with the ranges.
    cut_after : int or None
        The next file that is longer breaks off after so many bytes, and then the hub is down.
    is_down : bool
        Answer 503 to everything.
    instead : dict
        Contents to send for a file instead of the listed ones.
    seconds_a_piece : float
        Time to wait after every 4,000 bytes.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cut_after: int | None = None
        self.is_down = False
        self.instead: dict[str, bytes] = {}
        self.seconds_a_piece = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def ranges_of(self, file: str) -> list[str | None]:
        return [asked for path, asked in self.asked if path.endswith(f"/{file}")]

    def listing(self, repository: str) -> dict[str, Any]:
        siblings = []
        for name, data in self.repositories[repository].items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
            if name.endswith(".safetensors"):
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
            siblings.append(entry)
        return {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings}

    def _handler(hub) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                hub.asked.append((path, self.headers.get("Range")))
                if hub.is_down:
                    self._answer(503, b"")
                elif path.startswith("/api/models/"):
                    self._list(path.removeprefix("/api/models/"))
                else:
                    self._send_file(path)

            def _list(self, repository: str) -> None:
                if repository in hub.repositories:
                    self._answer(200, json.dumps(hub.listing(repository)).encode())
                else:
                    self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})

            def _send_file(self, path: str) -> None:
                found = re.fullmatch(rf"/(.+)/resolve/{COMMIT}/(.+)", path)
                if found is None:  # the library asks for more than files
                    self._answer(404, b"")
                    return
                data = hub.instead.get(found[2], hub.repositories[found[1]][found[2]])
                asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
                begin = int(asked[1]) if asked else 0
                told = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
                self._answer(206 if asked else 200, data[begin:], told if asked else {})

            def _answer(self, status: int, body: bytes, headers: dict[str, str] = {}) -> None:  # noqa: B006
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if hub.cut_after is not None and len(body) > hub.cut_after:
                    body, hub.cut_after, hub.is_down = body[: hub.cut_after], None, True
                    self.close_connection = True
                with suppress(ConnectionError):  # who cancels goes away
                    for begin in range(0, len(body), _PIECE):
                        self.wfile.write(body[begin : begin + _PIECE])
                        time.sleep(hub.seconds_a_piece)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
