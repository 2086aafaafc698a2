"""What `--json` prints."""

import json
import math


def json_line(value: object, ensure_ascii: bool = True) -> str:
    """A value as one line of JSON, which has no NaN and no infinity: they are null."""
    return json.dumps(finite(value), ensure_ascii=ensure_ascii, allow_nan=False)


def finite(value: object) -> object:
    """The same with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
