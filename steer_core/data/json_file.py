"""JSON files of anybody: their value, or one line that says why there is none."""

from __future__ import annotations

import json
from pathlib import Path

from steer_core.errors import UserError


def read_json(path: Path) -> object:
    """The value of a JSON file.

    Raises:
        UserError: for a file that cannot be read, or holds no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name another file") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply; correct it or fetch it again") from error
    except ValueError as error:
        what = str(error).split("\n")[0][:120]
        raise UserError(f"{path} is no JSON ({what}); correct it or fetch it again") from error
