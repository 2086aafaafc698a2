"""The shipped sets are written from a small recipe, so anyone can make them again."""

import json
from collections.abc import Mapping
from pathlib import Path

from steer_core.data.generate import generate_pairs
from steer_core.data.pairs import PAIRS_DIR, dump_pairs
from steer_core.data.problems import Pair, question_key
from steer_core.errors import UserError
from steer_core.files import write_whole

RECIPE_FILE = PAIRS_DIR / "recipe.json"


def load_recipe(path: Path = RECIPE_FILE) -> dict:
    """Read a recipe: "step_weights" and "sets", each set with n, seed, held_out_share, first_id.

    Raises:
        UserError: when the file is missing or is no such recipe.
    """
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
        recipe["step_weights"] = {int(n): float(w) for n, w in recipe["step_weights"].items()}
        for name, arguments in recipe["sets"].items():
            if set(arguments) != {"n", "seed", "held_out_share", "first_id"}:
                raise KeyError(name)
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no recipe ({error!r}); see assets/pairs/recipe.json") from error
    return recipe


def build_sets(recipe: Mapping) -> dict[str, list[Pair]]:
    """Generate the sets of a recipe in order; no problem of one occurs in another."""
    sets: dict[str, list[Pair]] = {}
    seen: set[str] = set()
    for name, arguments in recipe["sets"].items():
        sets[name] = generate_pairs(**arguments, exclude=seen, step_weights=recipe["step_weights"])
        for pair in sets[name]:
            seen |= {question_key(pair.clean.question), question_key(pair.corrupted.question)}
    return sets


def write_sets(recipe: Mapping, folder: Path) -> dict[str, Path]:
    """Write each set of a recipe to folder/NAME.json and return the paths."""
    paths = {}
    for name, pairs in build_sets(recipe).items():
        paths[name] = folder / f"{name}.json"
        write_whole(paths[name], dump_pairs(pairs))
    return paths
