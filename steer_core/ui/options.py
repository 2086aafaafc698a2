"""Settings of the app, read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from steer_core.box import RUNS_DIR
from steer_core.errors import UserError
from steer_core.ui.limits import Limits, limits_from

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("auto", "float32", "bfloat16", "float16")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Options:
    """What the person who starts the app decides."""

    model: str | None = None
    """Model shown first: a bundled or hub name, or a folder. None: the first available."""
    device: str = "auto"
    dtype: str = "auto"
    host: str | None = None
    """None leaves the choice to Gradio (GRADIO_SERVER_NAME, else 127.0.0.1)."""
    port: int | None = None
    """None leaves the choice to Gradio (GRADIO_SERVER_PORT, else the first free from 7860)."""
    runs: Path = RUNS_DIR
    """Folder of the experiments that the page runs and shows."""
    limits: Limits = field(default_factory=Limits)
    """What visitors may ask for."""
    forwarded: bool = False
    """Whether a proxy stands in front that writes who asked into X-Forwarded-For."""
    alone: bool = True
    """Whether only this machine reaches the page: whoever opens it here may do everything."""
    log: bool = False
    """Whether each request is written to stderr, one JSON line, see `steer_core.ui.logs`."""
    mcp: bool = False
    """Whether the named endpoints are tools of an MCP server too."""


def options_from(environment: Mapping[str, str]) -> Options:
    """Read STEER_MODEL, _DEVICE, _DTYPE, _HOST, _PORT, _RUNS, _LOG and _MCP.

    Those of `limits_from` and STEER_FORWARDED too, whose defaults differ where SPACE_ID says that
    this is a Space.

    Raises:
        UserError: if a variable holds a value that is not one of its choices.
    """
    return Options(
        model=environment.get("STEER_MODEL") or None,
        device=_device(environment),
        dtype=_choice(environment, "STEER_DTYPE", DTYPES),
        host=environment.get("STEER_HOST") or None,
        port=_port(environment.get("STEER_PORT")),
        runs=Path(environment.get("STEER_RUNS") or RUNS_DIR),
        limits=limits_from(environment),
        forwarded=_choice(environment, "STEER_FORWARDED", _yes_first(environment)) == "yes",
        alone=_alone(environment),
        log=_choice(environment, "STEER_LOG", _logs(environment)) == "json",
        mcp=_choice(environment, "STEER_MCP", ("no", "yes")) == "yes",
    )


def _yes_first(environment: Mapping[str, str]) -> tuple[str, ...]:
    return ("yes", "no") if environment.get("SPACE_ID") else ("no", "yes")


def _logs(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Requests of one's own are nothing to keep a log of."""
    return ("off", "json") if _alone(environment) else ("json", "off")


def _alone(environment: Mapping[str, str]) -> bool:
    host = environment.get("STEER_HOST") or environment.get("GRADIO_SERVER_NAME") or LOOPBACK[0]
    shared = environment.get("GRADIO_SHARE", "").lower() == "true"
    return host in LOOPBACK and not shared and not environment.get("SPACE_ID")


def _choice(environment: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = environment.get(name) or choices[0]
    if value not in choices:
        raise UserError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
    return value


def _device(environment: Mapping[str, str]) -> str:
    value = environment.get("STEER_DEVICE") or DEVICES[0]
    kind, colon, number = value.partition(":")
    if value not in DEVICES and not (kind == "cuda" and colon and number.isdecimal()):
        raise UserError(f"STEER_DEVICE is {value!r}; choose one of {', '.join(DEVICES)}, cuda:N")
    return value


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise UserError(f"STEER_PORT is {text!r}; give a number from 1 to 65535")
    return int(text)
