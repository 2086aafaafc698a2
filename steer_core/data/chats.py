"""Questions and answers in lists of chat messages."""

from __future__ import annotations

from steer_core.errors import UserError

CHATS = ("messages", "conversations", "prompt")
"""Fields that may hold messages: objects of `role` and `content`, or of `from` and `value`."""
_ASKS, _ANSWERS = ("user", "human"), ("assistant", "gpt", "model")


def is_chat(value: object) -> bool:
    """Whether a value is a list of messages."""
    return isinstance(value, list) and bool(value) and all(_said(turn) for turn in value)


def asked(turns: list) -> object:
    """What the one message of the user says.

    Raises:
        UserError: when the user says nothing, or more than once: which is the question?
    """
    texts = [content for role, content in map(_said, turns) if role in _ASKS]
    if len(texts) != 1:
        raise UserError(f"has {len(texts)} messages of the user; give chats with one question")
    return texts[0]


def answered(turns: list) -> object:
    """What the last message of the assistant says; None without one."""
    texts = [content for role, content in map(_said, turns) if role in _ANSWERS]
    return texts[-1] if texts else None


def _said(turn: object) -> tuple[object, object] | tuple[()]:
    """Role and content of a message; () for what is none."""
    if not isinstance(turn, dict):
        return ()
    names = next((n for n in (("role", "content"), ("from", "value")) if set(n) <= set(turn)), None)
    return () if names is None else (turn[names[0]], _text(turn[names[1]]))


def _text(content: object) -> object:
    """The text of a content that is given in parts."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    return content
