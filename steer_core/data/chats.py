"""Questions and answers in lists of chat messages."""

from __future__ import annotations

from typing import TypeGuard

from steer_core.errors import UserError

CHATS = ("messages", "conversations", "prompt")
"""Fields that may hold messages: objects of `role` and `content`, or of `from` and `value`."""
_ASKS, _ANSWERS = ("user", "human"), ("assistant", "gpt", "model")


def is_chat(value: object) -> TypeGuard[list]:
    """Whether a value is a list of messages."""
    return isinstance(value, list) and bool(value) and None not in map(_said, value)


def asked(turns: list) -> object:
    """What the one message of the user says.

    Raises:
        UserError: when the user says nothing, or more than once: which is the question?
    """
    texts = _texts(turns, _ASKS)
    if len(texts) != 1:
        raise UserError(f"has {len(texts)} messages of the user; give chats with one question")
    return texts[0]


def answered(turns: list) -> object:
    """What the last message of the assistant says; None without one."""
    texts = _texts(turns, _ANSWERS)
    return texts[-1] if texts else None


def _texts(turns: list, roles: tuple[str, ...]) -> list[object]:
    """What the messages of a role say."""
    return [said[1] for said in map(_said, turns) if said and said[0] in roles]


def _said(turn: object) -> tuple[object, object] | None:
    """Role and content of a message; None for what is none."""
    if not isinstance(turn, dict):
        return None
    names = next((n for n in (("role", "content"), ("from", "value")) if set(n) <= set(turn)), None)
    return None if names is None else (turn[names[0]], _text(turn[names[1]]))


def _text(content: object) -> object:
    """The text of a content that is given in parts."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    return content
