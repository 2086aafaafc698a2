"""The door of the page: what is too much for one visitor, or is nobody's business, ends here.

Gradio's queue knows one bound, which all visitors and all work share: whoever fills it locks the
others out. Here every kind of work has its own, by session, by address and in all, and what is over
it is refused with one line before it is read, decoded or queued.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from gradio.server_messages import ProcessCompletedMessage
from starlette.responses import JSONResponse

from steer_core.errors import UserError
from steer_core.ui.assets import ABSENT
from steer_core.ui.limits import Limits
from steer_core.ui.logs import write_refusal
from steer_core.ui.requests import Asked, asked_of, read_json
from steer_core.ui.visitors import PLACE, Presence, Visitor, address_of, is_console

API = "/gradio_api/"
CLOSED = (
    *("file=", "file/", "proxy=", "stream/", "component_server", "custom_component", "deep_link"),
    *("process_recording", "run-history", "runs", "vibe-", "undo-vibe", "dev/", "profiling"),
)
"""What Gradio serves below `API` and this page has no use for: uploads above all."""
ASKS = ("queue/join", "call/", "run/", "api/")
MOST_BODY, MOST_UPLOAD = 64 * 1024, 4 * 2**20
UPLOAD_EXTRA = 16 * 1024  # headers of the parts
BODY_SECONDS = 30.0
"""In which a request must have arrived."""
# At once from one address, and in all: requests, uploads, open streams.
SENDING = (256, 512)
UPLOADING = (4, 8)
STREAMS = (256, 2048)
KEPT_UPLOADS = 16
"""Files that wait to be read."""
KEPT_SESSIONS, SILENT_SECONDS = 256, 30.0
"""Of more sessions than this, answers that nobody has fetched for so long are thrown away."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How many requests of one kind may wait or run: of a session, from an address, in all."""

    words: str
    session: int
    address: int
    total: int


VIEW, DECODE, SWEEP, SWEEPS, OPEN, EXPERIMENT, LOOK, ATLAS = (
    *("view", "decode", "sweep", "sweeps", "open", "experiment", "look", "atlas"),
)
"""Kinds of work, Gradio's `concurrency_id`; `decode` and `sweeps` are those of scripts."""
BOUNDS: Mapping[str, Bound] = {
    VIEW: Bound("questions", 8, 64, 128),
    LOOK: Bound("looks inside", 16, 64, 128),
    ATLAS: Bound("looks at all pairs", 4, 16, 32),
    DECODE: Bound("questions of scripts", 8, 32, 64),
    SWEEP: Bound("sweeps", 8, 128, 256),
    SWEEPS: Bound("sweeps of scripts", 2, 8, 16),
    EXPERIMENT: Bound("requests about experiments", 4, 16, 32),
    OPEN: Bound("requests for the page", 16, 128, 256),
}
MOST_QUEUED = sum(bound.total for bound in BOUNDS.values())
"""More than all bounds let in: Gradio's own bound is never reached."""


class Refused(Exception):
    """Ends a request with a status and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Pace:
    """Counts the requests of each address in the minute that runs."""

    def __init__(self, per_minute: int) -> None:
        self._most = per_minute
        self._minute, self._counts = 0, Counter[str]()

    def check(self, address: str) -> None:
        """Count one more.

        Raises:
            Refused: when it is too much for this minute.
        """
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, Counter()
        self._counts[address] += 1
        if self._counts[address] > self._most:
            raise Refused(
                429, f"more than {self._most:,} requests from your address in a minute; wait for it"
            )


class Door:
    """ASGI middleware in front of the page."""

    def __init__(
        self,
        app: Any,
        forwarded: bool = False,
        alone: bool = True,
        per_minute: int = Limits().requests,
    ) -> None:
        self._app = app
        self._forwarded, self._alone = forwarded, alone
        self._pace = Pace(per_minute)
        self._presence = Presence()
        self._busy: Counter[tuple[str, str]] = Counter()
        self._asked: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on with a `Visitor` in its scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        visitor = scope[PLACE] = Visitor(
            address_of(scope, headers, self._forwarded),
            self._alone and is_console(scope, headers),
            self._presence,
            time.monotonic(),
        )
        below = scope["path"].partition(API)[2]
        try:
            monitors = scope["path"].startswith("/monitoring") and scope["path"] not in ABSENT
            if below.startswith(CLOSED) or monitors:
                raise Refused(404, "the page has no such address")
            pass_on = self._receive if scope["method"] == "POST" else self._serve
            await pass_on(scope, receive, send, visitor, headers, below)
        except Refused as refused:
            write_refusal(refused.status, "request" if scope["method"] == "POST" else "address")
            answer = JSONResponse({"detail": str(refused), "error": str(refused)}, refused.status)
            await answer(scope, receive, send)

    # Requests that send something

    async def _receive(self, scope, receive, send, visitor, headers, below) -> None:
        upload = below.rstrip("/") == "upload"
        most = MOST_UPLOAD + UPLOAD_EXTRA if upload else MOST_BODY
        kind, bounds = ("uploads", UPLOADING) if upload else ("requests", SENDING)
        if below.startswith("mcp"):  # what it asks for comes through this door again, from here
            self._pace.check(visitor.address)
        async with self._at_once(kind, visitor, bounds):
            body = await whole_body(receive, headers, most)
            if below.startswith(ASKS):
                if not headers.get("content-type", "").startswith("application/json"):
                    raise Refused(415, "the request is not marked as application/json; mark it")
                await self._admit(scope["app"].get_blocks(), below, body, visitor)
            await self._app(scope, replayed(body, receive), send)
            if upload:
                tidy_uploads(scope["app"].get_blocks())

    async def _admit(self, page: Any, below: str, body: bytes, visitor: Visitor) -> None:
        name = below.removeprefix("call/v2/").rpartition("/")[2] if "join" not in below else ""
        try:
            asked = asked_of(page, name, read_json(body), named="call/v2/" in below)
        except UserError as error:
            raise Refused(400, str(error)) from None
        if asked.function.queue:
            self._pace.check(visitor.address)
            await self._clear(page._queue, asked)
            check_bounds(page, asked, visitor)
            self._tidy(page, asked.session)

    async def _clear(self, queue: Any, asked: Asked) -> None:
        """Take out of the queue what nobody waits for: of who has left, or has asked anew."""
        kind = asked.function.concurrency_id
        found = queue.event_queue_per_concurrency_id.get(kind)
        for event in list(found.queue) if found else ():
            visitor = event.request.scope.get(PLACE)
            if kind == SWEEP and event.session_hash == asked.session:
                await queue.remove_from_queue(event._id)
                queue.send_message(event, unchanged(event.fn))
            elif visitor and not self._presence.there(event.session_hash, visitor.since):
                await queue.remove_from_queue(event._id)

    def _tidy(self, page: Any, session: str) -> None:
        """Throw away answers of sessions that do not come for them."""
        now, queue = time.monotonic(), page._queue
        self._asked[session] = now
        self._asked.move_to_end(session)
        busy = {event.session_hash for event in list(queue.event_ids_to_events.values())}
        while len(self._asked) > KEPT_SESSIONS:
            oldest, at = next(iter(self._asked.items()))
            if now - at < SILENT_SECONDS:
                return
            del self._asked[oldest]
            if oldest not in busy and not self._presence.hears(oldest):
                queue.pending_messages_per_session.pop(oldest, None)
                queue.pending_event_ids_session.pop(oldest, None)

    # Requests that fetch something

    async def _serve(self, scope, receive, send, visitor, headers, below) -> None:
        session = session_of(scope, below)
        if session is None and not below.startswith("heartbeat/"):
            await self._app(scope, receive, send)
            return
        heard = nullcontext() if session is None else self._presence.listening(session)
        async with self._at_once("streams", visitor, STREAMS):
            with heard:
                await self._app(scope, receive, send)

    @asynccontextmanager
    async def _at_once(
        self, kind: str, visitor: Visitor, bounds: tuple[int, int]
    ) -> AsyncIterator[None]:
        keys = [(kind, visitor.address), (kind, "*")]
        if any(self._busy[key] >= most for key, most in zip(keys, bounds, strict=True)):
            raise Refused(
                429, f"more than {bounds[0]} {kind} from one address at once; wait for one to end"
            )
        self._busy.update(keys)
        try:
            yield
        finally:
            self._busy.subtract(keys)
            for key in keys:
                if self._busy[key] <= 0:
                    del self._busy[key]


def check_bounds(page: Any, asked: Asked, visitor: Visitor) -> None:
    """Count what waits or runs of the same kind.

    Raises:
        Refused: when one more is too much.
    """
    bound = BOUNDS.get(asked.function.concurrency_id, BOUNDS[OPEN])
    events = [
        event
        for event in list(page._queue.event_ids_to_events.values())
        if event.concurrency_id == asked.function.concurrency_id
    ]
    mine = sum(event.session_hash == asked.session for event in events)
    near = sum(visitor_address(event) == visitor.address for event in events)
    counts = (
        (mine, bound.session, "of this page"),
        (near, bound.address, "from your address"),
        (len(events), bound.total, "of all visitors"),
    )
    for count, most, whose in counts:
        if count >= most:
            raise Refused(
                429, f"{count} {bound.words} {whose} are waiting, the limit is {most}; try later"
            )


def unchanged(function: Any) -> ProcessCompletedMessage:
    """The end of an event that changes nothing on the page."""
    return ProcessCompletedMessage(
        output={"data": [gr.skip()] * len(function.outputs)}, success=True
    )


def tidy_uploads(page: Any) -> None:
    """Forget uploads that were read, and delete the oldest of those that nobody comes to read."""
    known = page.upload_file_set
    waiting = sorted(
        (path for path in map(Path, known) if path.is_file()), key=lambda path: path.stat().st_mtime
    )
    for old in waiting[:-KEPT_UPLOADS]:
        old.unlink(missing_ok=True)
    known.clear()
    known.update(map(str, waiting[-KEPT_UPLOADS:]))


def visitor_address(event: Any) -> str:
    """Where a queued event came from."""
    visitor = event.request.scope.get(PLACE)
    return visitor.address if visitor else ""


def session_of(scope: Any, below: str) -> str | None:
    """The session that a stream of answers belongs to; None for other requests."""
    if below.rstrip("/") == "queue/data":
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
    if below.startswith("call/"):
        name = below.rpartition("/")[2]
        event = scope["app"].get_blocks()._queue.event_ids_to_events.get(name)
        return event.session_hash if event else name
    return None


async def whole_body(receive: Any, headers: Mapping[str, str], most: int) -> bytes:
    """Read a request up to a limit.

    Raises:
        Refused: for one that is longer, or takes too long to arrive.
    """
    length = headers.get("content-length", "0")
    too_long = f"the request has more than the limit of {most:,} bytes; send less at once"
    if not length.isdigit() or len(length) > 12 or int(length) > most:
        raise Refused(413, too_long)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the request ended early; send it again")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise Refused(413, too_long)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        line = f"the request did not arrive within {BODY_SECONDS:g} seconds; send it again"
        raise Refused(408, line) from None


def replayed(body: bytes, receive: Any) -> Any:
    """A `receive` that gives the body that was read, then whatever comes."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return parts.pop() if parts else await receive()

    return again
