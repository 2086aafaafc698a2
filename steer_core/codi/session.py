"""What a model remembers between requests: results that are costly and always the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

BUDGET = 512 * 1024**2
"""Bytes that one model may remember."""


class Session:
    """Results by key, the least recently used dropped first; shared by threads.

    What is kept never depends on who asked: keys and values of a question's tokens, its plain
    answer. So it changes no result, only what has to be computed again.

    Args:
        budget: Bytes to keep.
    """

    def __init__(self, budget: int = BUDGET):
        self.budget = budget
        self.used = 0
        self.lock = threading.Lock()
        self.kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any | None:
        """What is kept under a key, None if nothing."""
        with self.lock:
            if key not in self.kept:
                return None
            self.kept.move_to_end(key)
            return self.kept[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of `size` bytes, unless it alone is beyond the budget."""
        if size > self.budget:
            return
        with self.lock:
            self.used -= self.kept.pop(key, (None, 0))[1]
            self.kept[key] = value, size
            self.used += size
            while self.used > self.budget:
                self.used -= self.kept.popitem(last=False)[1][1]

    def forget(self) -> None:
        """Drop everything."""
        with self.lock:
            self.kept.clear()
            self.used = 0
