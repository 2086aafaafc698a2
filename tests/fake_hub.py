"""A model hub on this machine: enough of its web interface for huggingface_hub to download from.

`Hub` serves repositories from a dictionary and notes every request. A repository can be gated, a
file can be cut off once in the middle of its transfer, and its published hash can be a lie.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BIG = (".bin", ".safetensors", ".parquet")  # what the hub keeps as LFS files, with a sha256


@dataclass
class Repository:
    files: dict[str, bytes]
    gated: bool = False
    lies: frozenset[str] = frozenset()  # files whose published hash is that of something else
    cut: set[str] = field(default_factory=set)  # files whose next transfer breaks off half way

    def sha256(self, name: str) -> str:
        data = b"something else" if name in self.lies else self.files[name]
        return hashlib.sha256(data).hexdigest()

    def lfs(self, name: str) -> dict | None:
        size = len(self.files[name])
        return {"size": size, "pointerSize": 134} if name.endswith(BIG) else None


@dataclass
class Hub:
    repositories: dict[str, Repository] = field(default_factory=dict)  # "datasets/..." for data
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range

    def add(self, name: str, *folders: Path, **options) -> Repository:
        """A repository with the files of some folders."""
        paths = [path for folder in folders for path in folder.iterdir()]
        files = {path.name: path.read_bytes() for path in paths}
        self.repositories[name] = Repository(files, **options)
        return self.repositories[name]

    def transfers(self) -> list[str]:
        """Names of the files that were sent, whole or in part."""
        return [path.split("/")[-1] for method, path, _ in self.requests if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if match := re.fullmatch(r"api/(models|datasets)/(.+?)/tree/[^?]+", path):
            return self.listing(self.named(*match.groups()))
        if match := re.fullmatch(r"api/(models|datasets)/(.+?)(/revision/.+)?", path):
            return self.about(match[2], self.named(match[1], match[2]))
        if match := re.fullmatch(rf"(.+?)/resolve/(?:main|refs/.+?parquet|{COMMIT})/(.+)", path):
            return self.file(self.hub.repositories.get(match[1]), match[2])
        return self.refuse(404, "EntryNotFound")

    def named(self, kind: str, name: str) -> Repository | None:
        return self.hub.repositories.get(name if kind == "models" else f"datasets/{name}")

    def about(self, name: str, repository: Repository | None) -> None:
        if repository is None:
            return self.refuse(404, "RepoNotFound")
        siblings = [
            {
                "rfilename": file,
                "size": len(data),
                "lfs": self.published(repository, file, "sha256"),
            }
            for file, data in repository.files.items()
        ]
        self.answer(json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())

    def listing(self, repository: Repository | None) -> None:
        if repository is None:
            return self.refuse(404, "RepoNotFound")
        rows = [
            {
                "type": "file",
                "path": file,
                "size": len(data),
                "oid": hashlib.sha1(data).hexdigest(),
                "lfs": self.published(repository, file, "oid"),
            }
            for file, data in repository.files.items()
        ]
        self.answer(json.dumps(rows).encode())

    def published(self, repository: Repository, file: str, name: str) -> dict | None:
        lfs = repository.lfs(file)
        return lfs and {**lfs, name: repository.sha256(file)}

    def file(self, repository: Repository | None, name: str) -> None:
        if repository is None:
            return self.refuse(404, "RepoNotFound")
        if repository.gated:
            return self.refuse(403, "GatedRepo")
        if name not in repository.files:
            return self.refuse(404, "EntryNotFound")
        data = repository.files[name]
        etag = repository.sha256(name) if repository.lfs(name) else hashlib.sha1(data).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(data))}
        begin = re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range") or "")
        if begin and int(begin[1]):
            part = data[int(begin[1]) :]
            headers["Content-Range"] = f"bytes {begin[1]}-{len(data) - 1}/{len(data)}"
            return self.answer(part, headers, status=206)
        cut = self.command == "GET" and name in repository.cut
        repository.cut.discard(name if cut else "")
        return self.answer(data, headers, sent=len(data) // 2 if cut else None)

    def refuse(self, status: int, code: str) -> None:
        self.answer(b"{}", {"X-Error-Code": code, "X-Error-Message": code}, status)

    def answer(
        self, data: bytes, headers: dict | None = None, status: int = 200, sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:sent])
            self.close_connection = sent is not None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[tuple[Hub, str]]:
    """A running hub and its address."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def point_at(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub use this address and an own cache. It reads them at every call."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
