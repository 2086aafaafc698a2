"""Files on the Hugging Face hub: from the cache, else downloaded and verified, else a clear line.

Nothing here asks the hub for what the cache holds. The first request has a short time limit and no
retries, so a machine without a network is told so at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # pyright: ignore  the base of its http client's errors, whichever client that is
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from steer_core.codi.digests import digest
from steer_core.codi.files import INDEXES, ONE_SHARD, SINGLE, weight_names, weight_paths
from steer_core.codi.known import KNOWN, KnownModel
from steer_core.errors import UserError

TIMEOUT = 5.0
"""Seconds after which a hub that does not answer is taken as out of reach."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
TEXTS = frozenset(
    {
        *TOKENIZERS,
        "adapter_config.json",
        "added_tokens.json",
        "codi.json",
        "config.json",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer_config.json",
    }
)
"""Files beside the weights that a model may need; nothing else is fetched."""
Choose = Callable[[Collection[str]], list[str]]
"""Picks, from the names in a repository, those that are wanted; [] when something is lacking."""
_log = logging.getLogger(__name__)


class Gated(UserError):
    """A repository whose terms must be accepted with an account first."""


class Unreachable(UserError):
    """There is no network, or no hub on it."""


def fetch_model(name: str, base: str | None, known: Sequence[str] = ()) -> tuple[Path, Path | None]:
    """The folders of a model's weights and of its base.

    Args:
        name: A known name, or a repository owner/name, with @revision behind it or without.
        base: Repository or folder of the base, instead of the model's own.
        known: Names to offer beside the known ones when this is none.

    Returns:
        The snapshot with the weights, its folder named after the commit, and that of the base;
        None for the base of a repository that is not known.

    Raises:
        UserError: for a name that is none, or files that cannot be had.
    """
    entry = KNOWN.get(name) or unlisted(name, known)
    # Config and tokenizer first: what is missing should show before gigabytes are fetched.
    bases = entry.bases if base is None else (base,)
    folder = first_base(bases) if bases else None
    weights = fetch_weights(entry, weights_and_texts if bases else weights_with_base)
    return weights, folder


def unlisted(name: str, known: Sequence[str]) -> KnownModel:
    """A repository that is given as owner/name or owner/name@revision."""
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/"):
        raise UserError(
            f"unknown model '{name}'; choose one of {', '.join((*known, *KNOWN))}, "
            "a hub repository owner/name, or the folder of a checkpoint"
        )
    return KnownModel(repository, (), 0, 0, 0, revision or None)


def fetch_weights(entry: KnownModel, choose: Choose) -> Path:
    """The snapshot of a checkpoint, complete and verified."""
    folder = cached_weights(entry)
    if folder is None:
        instead = "or download it elsewhere and give its folder with --model"
        folder = fetch(entry.repository, entry.revision, choose, instead)
    if entry.sha256 is not None:
        verify(weight_paths(folder)[0], entry.size, entry.sha256)
    return folder


def weights_and_texts(names: Collection[str]) -> list[str]:
    """Weights as `weight_paths` picks them, and the small files beside them."""
    weights = weight_names(names)
    return [*weights, *sorted(TEXTS.intersection(names))] if weights else []


def weights_with_base(names: Collection[str]) -> list[str]:
    """The same of a checkpoint that must bring config and tokenizer itself."""
    if weight_names(names) and not base_files(names):
        raise UserError(
            "the repository holds weights but no config and tokenizer; pass --base with the folder,"
            " or the hub repository, of the base model it was trained on"
        )
    return weights_and_texts(names)


def cached_weights(entry: KnownModel) -> Path | None:
    """The snapshot of a checkpoint in the cache, with all its shards."""
    for name in (*SINGLE, *INDEXES, ONE_SHARD):
        path = cached(entry.repository, entry.revision, name)
        try:
            if path is not None and weight_paths(path.parent):
                return path.parent
        except UserError:
            continue  # an index whose shards are not all there yet
    return None


def first_base(bases: Sequence[str]) -> Path:
    """The first base model whose config and tokenizer can be had: folder, cache, then the hub."""
    for base in bases:
        found = Path(base) if Path(base).is_dir() else cached_base(base)
        if found is not None:
            return found
    failures: list[str] = []
    instead = "or give local folders: --base with config and tokenizer, --model with the checkpoint"
    for base in bases:
        try:
            return fetch(base, None, base_files, instead)
        except Unreachable:
            raise
        except UserError as error:
            _log.warning("%s", error)
            failures.append(str(error))
    raise UserError(f"no config and tokenizer of the base model: {'; '.join(failures)}")


def base_files(names: Collection[str]) -> list[str]:
    """Config and tokenizer files; [] unless there are both."""
    complete = "config.json" in names and any(name in names for name in TOKENIZERS)
    return sorted(TEXTS.intersection(names)) if complete else []


def cached_base(repository: str) -> Path | None:
    """The snapshot of a base model in the cache."""
    path = cached(repository, None, "config.json")
    if path is None or not base_files([file.name for file in path.parent.iterdir()]):
        return None
    return path.parent


def is_cached(entry: KnownModel) -> bool:
    """Whether a known checkpoint and its base are on this machine."""
    return cached_weights(entry) is not None and any(map(cached_base, entry.bases))


def cached(repository: str, revision: str | None, name: str, kind: str = "model") -> Path | None:
    """One file of a repository in the cache."""
    with explained(repository, "check the name"):
        found = try_to_load_from_cache(repository, name, revision=revision, repo_type=kind)
    return Path(found) if isinstance(found, str) else None


def cached_snapshot(repository: str, revision: str | None, kind: str = "model") -> Path | None:
    """What the cache holds of a repository, complete or not."""
    try:
        # No patterns: the caller knows what is needed, and looks.
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                repo_type=kind,
                allow_patterns=[],
                local_files_only=True,
            )
        )
    except LocalEntryNotFoundError:
        return None


def files_below(folder: Path) -> list[str]:
    """Names of all files of a snapshot, with their folders."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def fetch(
    repository: str, revision: str | None, choose: Choose, instead: str, kind: str = "model"
) -> Path:
    """Download files of a repository: resumable, with progress, held to the hub's hashes.

    Args:
        repository: owner/name.
        revision: Commit, branch or tag; None for the main branch.
        choose: Which of its files.
        instead: The next move of somebody who cannot download, for the message.
        kind: model or dataset.

    Returns:
        The snapshot in the cache.

    Raises:
        UserError: `Gated`, `Unreachable`, or one that says what the repository lacks.
    """
    with explained(repository, instead):
        about = HfApi().repo_info(
            repository, revision=revision, repo_type=kind, timeout=TIMEOUT, files_metadata=True
        )
        files = {file.rfilename: file for file in getattr(about, "siblings", None) or ()}
        names = choose(list(files))
        if not names:
            raise UserError(
                f"{repository} on the hub holds no files of the kind that is needed; "
                f"check the name, {instead}"
            )
        size = sum(files[name].size or 0 for name in names) / 1e6
        _log.info("fetching %s: %d files, %.0f MB", repository, len(names), size)
        folder = Path(
            snapshot_download(repository, revision=revision, repo_type=kind, allow_patterns=names)
        )
    for name in names:
        if lfs := files[name].lfs:
            verify(folder / name, lfs.size, lfs.sha256)
    return folder


@contextmanager
def explained(repository: str, instead: str) -> Iterator[None]:
    """Turn the hub's many errors into one line that says what to do."""
    accept = "accept its terms on the hub and set HF_TOKEN to a token of that account"
    try:
        yield
    except UserError:
        raise
    except GatedRepoError as error:
        raise Gated(f"{repository} is gated; {accept}, {instead}") from error
    except RevisionNotFoundError as error:
        raise UserError(f"{repository} has no such revision on the hub; {instead}") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"the hub knows no repository '{repository}', or it is private; check the name, "
            f"set HF_TOKEN to a token with access, {instead}"
        ) from error
    except HFValidationError as error:
        raise UserError(
            f"'{repository}' is neither a folder nor a hub repository owner/name; {instead}"
        ) from error
    except HfHubHTTPError as error:
        raise UserError(
            f"{constants.ENDPOINT} refused {repository} with status "
            f"{error.response.status_code}; try again later, {instead}"
        ) from error
    except (HTTPError, OSError) as error:
        raise Unreachable(
            f"{repository} is not in the cache ({constants.HF_HUB_CACHE}) and could not be fetched "
            f"from {constants.ENDPOINT} ({reason(error)}); connect to the network, {instead}"
        ) from error


def reason(error: Exception) -> str:
    """Why a request failed, in a few words."""
    if isinstance(error, OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids it"
    return str(error).strip().split("\n")[0][:120] or type(error).__name__


def verify(path: Path, size: int | None, sha256: str) -> None:
    """Hold a file to its published size and hash; the hash is worked out once."""
    file = path.resolve()  # the cache's own file, behind the link in the snapshot
    found = file.stat().st_size
    if size is not None and found != size:
        raise UserError(f"{file} has {found} bytes, published are {size}; delete it and try again")
    if digest(file) != sha256:
        raise UserError(
            f"{file} has sha256 {digest(file)[:12]}..., published is {sha256[:12]}...; "
            "delete it and try again"
        )
