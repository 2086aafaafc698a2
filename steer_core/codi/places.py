"""Names to folders: where a model's weights are, and where its config and tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from steer_core.box import MODELS_DIR
from steer_core.codi import hub
from steer_core.errors import UserError

FIRST = "tiny-llama-causal"
"""The bundled model that lists begin with and the page opens on."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one model.

    `source` is bundled, hub or local; `weights` is the folder of the checkpoint, `base` that of
    config and tokenizer, often the same; `revision` is the commit of a checkpoint from the hub.
    """

    name: str
    source: str
    weights: Path
    base: Path
    revision: str | None = None


def bundled_names() -> tuple[str, ...]:
    """Names of the models that come in the box."""
    names = (path.parent.name for path in MODELS_DIR.glob("*/model.safetensors"))
    return tuple(sorted(names, key=lambda name: (name != FIRST, name)))


def locate(name: str, base: str | None) -> Place:
    """The files of a model: bundled, in a folder, or on the hub (fetched when not in the cache).

    Raises:
        UserError: for an unknown name, a missing base, or files that cannot be had.
    """
    path = expanded(name)
    if name in bundled_names():
        return Place(name, "bundled", MODELS_DIR / name, base_folder(MODELS_DIR / name, base))
    if path.is_dir():
        return Place(name, "local", path, base_folder(path, base))
    if path.is_file():
        raise UserError(f"{name} is a file; give the folder that it is in")
    weights, found = hub.fetch_model(name, base, known=bundled_names())
    return Place(name, "hub", weights, found or base_folder(weights, None), weights.name)


def base_folder(folder: Path, base: str | None) -> Path:
    """Where config and tokenizer are: in `base`, a folder or a repository, or with the weights."""
    if base is not None:
        return hub.first_base((str(expanded(base)),))
    # Some checkpoints are published with a config.json of no bytes.
    config = folder / "config.json"
    names = [file.name for file in folder.iterdir()]
    if hub.base_files(names) and config.stat().st_size > 2:
        return folder
    raise UserError(
        f"{folder} holds no config and tokenizer; pass --base with the folder, or the hub "
        "repository, of the base model it was trained on"
    )


def expanded(name: str) -> Path:
    """A path as a shell would read it.

    Raises:
        UserError: for one that no file can have, or `~` before somebody that is not known here.
    """
    try:
        path = Path(name).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, RuntimeError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{name!r:.80} cannot be a folder ({what}); check the path") from error
    return path
