"""Whose an experiment is: a key that a browser keeps, of which a folder holds the hash alone."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steer_core.errors import UserError
from steer_core.files import write_whole
from steer_core.ui.limits import OFF, SHARED
from steer_core.ui.visitors import visitor_of

FILE = "owner.txt"
"""In the folder of an experiment; it is never handed out."""
KEY = re.compile(r"[0-9a-f]{32}")
KEY_JS = """(() => {
  const name = 'steer-visitor';
  const make = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
    (byte) => byte.toString(16).padStart(2, '0')).join('');
  try {
    if (!localStorage.getItem(name)) localStorage.setItem(name, make());
    return localStorage.getItem(name);
  } catch { return (window.steerVisitor ??= make()); }
})()"""
"""The key of a browser; one that keeps nothing has another one each time the page is opened."""
WITH_KEY = f"(...values) => [...values.slice(0, -1), {KEY_JS}]"
"""Puts it in the place of the last input of an event."""


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever asks; by default the person who started the page."""

    key: str = ""
    """Empty for one who can own nothing."""
    console: bool = True

    @property
    def mark(self) -> str:
        """What a folder keeps of the key: it says nothing of it."""
        return hashlib.sha256(self.key.encode()).hexdigest() if self.key else ""


def who_asks(key: Any, request: Any) -> Who:
    """The sender of a Gradio request who sent this key along."""
    kept = key if isinstance(key, str) and KEY.fullmatch(key) else ""
    return Who(kept, visitor_of(request).console)


def own(folder: Path, who: Who) -> None:
    """Note in a folder whose it is."""
    write_whole(folder / FILE, f"{who.mark}\n")


def may_change(folder: Path, who: Who, rule: str) -> bool:
    """Whether somebody may cancel, resume and overwrite an experiment; `rule` as in `Limits`."""
    if rule == OFF:
        return False
    return rule == SHARED or who.console or (bool(who.mark) and mark_of(folder) == who.mark)


def check_change(folder: Path, who: Who, rule: str) -> None:
    """Refuse what `may_change` does not allow.

    Raises:
        UserError: naming the experiment and what can be done instead.
    """
    check_allowed(rule)
    if not may_change(folder, who, rule):
        raise UserError(
            f"{folder.name!r} was begun by somebody else, and only they change it; open it, or"
            " begin one of your own under another name"
        )


def check_allowed(rule: str) -> None:
    """Refuse all experiments where they are switched off.

    Raises:
        UserError: saying so.
    """
    if rule == OFF:
        raise UserError(
            "experiments are switched off on this page; look at those stored, or run the app on"
            " your own machine"
        )


def mark_of(folder: Path) -> str:
    """What a folder holds of its owner's key; empty for one that nobody here began."""
    with suppress(OSError, ValueError):
        return (folder / FILE).read_text(encoding="utf-8").strip()
    return ""
