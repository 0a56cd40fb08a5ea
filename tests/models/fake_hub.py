"""A hub on the loopback, for one repository: what huggingface_hub asks for is answered as the hub answers it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """`status` other than 200 is given to every request; `requests` are (method, path, Authorization)."""

    def __init__(self, repo: str, files: dict[str, bytes], status: int = 200):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repo, self.files, self.status = repo, files, status
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.requests.append((self.command, path, self.headers["Authorization"]))
        if hub.status != 200:
            return self.send(hub.status, b"{}", {"X-Error-Code": "RepoNotFound"} if hub.status == 401 else None)
        files = [{"type": "file", "path": n, "size": len(c), "oid": etag(c)} for n, c in hub.files.items()]
        if path.startswith(f"/api/models/{hub.repo}/tree/"):
            return self.send(200, json.dumps(files).encode())
        if path.startswith(f"/api/models/{hub.repo}"):
            siblings = [{"rfilename": name} for name in hub.files]
            return self.send(200, json.dumps({"id": hub.repo, "sha": COMMIT, "siblings": siblings}).encode())
        for revision in ("main", COMMIT):
            name = path.removeprefix(f"/{hub.repo}/resolve/{revision}/")
            if name in hub.files:
                return self.send(200, hub.files[name])
        self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        fixed = {"Content-Length": str(len(body)), "ETag": f'"{etag(body)}"', "X-Repo-Commit": COMMIT}
        for key, value in (fixed | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serve(repo: str, files: dict[str, bytes], status: int = 200) -> Iterator[FakeHub]:
    with FakeHub(repo, files, status) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
