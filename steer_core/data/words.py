"""The words that fill a template: people with their pronouns, nouns in their three forms."""

from collections.abc import Mapping

_SHE = "Emma Olivia Mia Lily Anna Sara Nina Rosa Grace Maya Ella Zoe".split()
_HE = "Liam Noah Ben Tom Omar Leo Max Jack Sam David Carlos Ivan".split()
_PERSON_FORMS = ("person", "he", "He", "his", "His", "him")


def _nouns(name: str, *words: str) -> list[dict[str, str]]:
    """Entries of one list; a word is "apple", or "peach peaches" where -s is not the plural."""
    entries = []
    for word in words:
        one, _, many = word.partition(" ")
        article = "an" if one[0] in "aeiou" else "a"
        forms = {name: one, f"{name}s": many or f"{one}s", f"a_{name}": f"{article} {one}"}
        entries.append({**forms, f"A_{name}": f"{article.title()} {one}"})
    return entries


def _people() -> list[dict[str, str]]:
    """Entries of the people; the forms are named after the masculine pronouns."""
    she, he = "she She her Her her".split(), "he He his His him".split()
    people = [(name, *she) for name in _SHE] + [(name, *he) for name in _HE]
    return [dict(zip(_PERSON_FORMS, person, strict=True)) for person in people]


WORD_LISTS: Mapping[str, list[dict[str, str]]] = {
    "person": _people(),
    "relative": _nouns("relative", "sister", "brother", "cousin", "friend", "neighbor"),
    "toy": _nouns("toy", "marble", "sticker", "stamp", "shell", "bead", "card", "button"),
    "fruit": _nouns(
        "fruit", "apple", "orange", "pear", "peach peaches", "plum", "lemon", "mango mangoes"
    ),
    "good": _nouns("good", "notebook", "book", "shirt", "hat", "mug", "candle", "puzzle", "game"),
    "gift": _nouns("gift", "umbrella", "lamp", "ball", "jacket", "clock", "backpack"),
    "treat": _nouns("treat", "cookie", "muffin", "cupcake", "roll", "pie", "bun"),
    "animal": _nouns("animal", "cow", "goat", "sheep sheep", "pig", "horse", "donkey"),
    "bird": _nouns("bird", "hen", "duck", "goose geese"),
    "flower": _nouns("flower", "rose", "tulip", "daisy daisies", "lily lilies"),
    "bag": _nouns("bag", "bag", "box boxes", "basket", "crate"),
    "craft": _nouns("craft", "bracelet", "necklace", "scarf scarves", "kite"),
    "wish": _nouns("wish", "bike", "camera", "guitar", "tablet", "tent", "phone"),
}
"""List name -> entries; an entry maps each form ("toy", "toys", "a_toy") to its text."""

FORMS: Mapping[str, str] = {
    form: name for name, entries in WORD_LISTS.items() for form in entries[0]
}
"""Form used as a slot in a phrasing -> the list it belongs to."""
