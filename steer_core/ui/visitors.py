"""Who asks, as far as a page without accounts can tell, and whether they are still there."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PLACE = "steer.visitor"
"""Where the door leaves a `Visitor` in the ASGI scope of a request."""
ARRIVES_SECONDS = 5.0
"""Whoever asked for something has so long to open the stream that brings the answer."""
RETURNS_SECONDS = 1.0
"""A page closes its stream when it waits for nothing and opens it anew; this is between the two."""
REMEMBERED = 1024
PROXIED = ("x-forwarded-for", "forwarded", "x-real-ip")


class Presence:
    """Which sessions listen for answers: the door tells, long work asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._left: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """While a stream of a session is open."""
        with self._lock:
            self._open[session] += 1
        try:
            yield
        finally:
            with self._lock:
                self._close(session)

    def there(self, session: str, since: float) -> bool:
        """Whether a session listens that asked for something at the monotonic time `since`."""
        now = time.monotonic()
        with self._lock:
            if self._open[session] > 0:
                return True
            left = self._left.get(session, 0.0)
        return now - left < RETURNS_SECONDS if left > since else now - since < ARRIVES_SECONDS

    def hears(self, session: str) -> bool:
        """Whether a stream of a session is open now."""
        with self._lock:
            return self._open[session] > 0

    def _close(self, session: str) -> None:
        self._open[session] -= 1
        if self._open[session] > 0:
            return
        del self._open[session]
        self._left[session] = time.monotonic()
        self._left.move_to_end(session)
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever sent a request; outside a server that is whoever calls."""

    address: str = ""
    console: bool = True
    """Whether it is the person who started the page, at the same machine."""
    presence: Presence | None = None
    since: float = 0.0
    """When the request came, monotonic: it may have waited in a queue."""


def visitor_of(request: Any) -> Visitor:
    """The sender of a Gradio request, as the door saw it."""
    scope = getattr(getattr(request, "request", None), "scope", None) or {}
    return scope.get(PLACE) or Visitor(console=not scope)


def still_there(request: Any) -> Callable[[], bool]:
    """Return a function that says whether the sender of a Gradio request still waits for it."""
    presence = visitor_of(request).presence
    if presence is None:
        return lambda: True
    session, since = str(request.session_hash), visitor_of(request).since
    return lambda: presence.there(session, since)


def address_of(scope: Mapping[str, Any], headers: Mapping[str, str], forwarded: bool) -> str:
    """Return the address of a client: the last public one of X-Forwarded-For, if that is trusted.

    What stands left of it a client may have made up. Of an IPv6 address the network counts, for a
    household has a whole one.
    """
    client = scope.get("client") or ("", 0)
    names = reversed(headers.get("x-forwarded-for", "").split(",")) if forwarded else ()
    public = next((name for name in map(_network, names) if name), None)
    return public or str(client[0])


def is_console(scope: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this machine, straight from a page opened at a local address.

    Other pages that a browser shows, and other machines through a proxy, are not the person here.
    """
    client = (scope.get("client") or ("", 0))[0]
    host = headers.get("host", "").rsplit(":", 1)[0].strip("[]")
    local = _is_loopback(str(client)) and (host == "localhost" or _is_loopback(host))
    return local and not any(name in headers for name in PROXIED)


def _network(name: str) -> str | None:
    try:
        address = ipaddress.ip_address(name.strip())
    except ValueError:
        return None
    if not address.is_global:
        return None
    long = address.version == 6
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if long else str(address)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
