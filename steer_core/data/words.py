"""The words that fill a sentence: people with their pronouns, nouns in their three forms."""

from collections.abc import Mapping

_SHE = """Emma Olivia Mia Lily Anna Sara Nina Rosa Grace Maya Ella Zoe Amy Beth Carla Clara Daisy
Diana Elena Emily Eva Fiona Gina Hannah Helen Ida Iris Jane Jill Julia Kate Kim Laura Lena Lisa Lucy
Maria Mary Megan Molly Nadia Nora Paula Rachel Ruth Sally Sandra Sofia Tina Vera Wendy Alice Amber
Bella Chloe Donna Erin Hazel Jenny Joan Karen Kelly Leah Lola Mandy Nancy Pam Penny Robin Sonia
Susan Tara Tracy Yara Priya Aisha Fatima Mei Yuki Ines Abby Betty Carol Cindy Dora Ellen Gloria
Heidi Ivy Jasmine June Layla Linda Marta Monica Naomi Olga Ruby Stella Sue""".split()
_HE = """Liam Noah Ben Tom Omar Leo Max Jack Sam David Carlos Ivan Adam Alan Alex Andy Bill Bob
Brian Carl Chris Colin Dan Dean Eric Ethan Felix Frank Fred Gary George Greg Harry Henry Hugo Ian
Jacob James Jason Jeff Jim Joe John Jose Juan Karl Keith Ken Kevin Kyle Lewis Louis Luke Marco Mark
Martin Matt Mike Nick Oscar Paul Pedro Peter Phil Ray Rick Rob Ron Ryan Scott Sean Simon Steve Ted
Tim Tony Victor Wes Will Zack Raj Ahmed Ali Hiro Wei Diego Aaron Albert Austin Blake Cody Derek
Dylan Edward Gavin Isaac Jerry Josh Larry Logan Mason Owen Pablo Roger Toby Walter""".split()
_PERSON_FORMS = ("person", "he", "He", "his", "His", "him")


def _nouns(name: str, words: str) -> list[dict[str, str]]:
    """Entries of one list: "apple" or, where -s is not the plural, "peach/peaches"; _ is a blank.

    A word is "apple", "peach/peaches", "toy_car", with an underscore for a blank.
    """
    entries = []
    for word in words.replace("\n", " ").split():
        one, _, many = word.replace("_", " ").partition("/")
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
    "relative": _nouns(
        "relative",
        """sister brother cousin friend neighbor mother father aunt uncle grandmother grandfather
        teacher classmate daughter son""",
    ),
    "toy": _nouns(
        "toy",
        """marble sticker stamp shell bead card button coin balloon crayon pencil marker stone
        rock block puzzle doll ribbon badge magnet poster postcard photo ball robot whistle feather
        toy_car baseball_card seashell pin key ring comic dice/dice""",
    ),
    "fruit": _nouns(
        "fruit",
        """apple orange pear peach/peaches plum lemon mango/mangoes banana cherry/cherries grape
        strawberry/strawberries melon fig lime kiwi coconut tomato/tomatoes potato/potatoes carrot
        onion pumpkin pepper walnut nut berry/berries apricot date cucumber""",
    ),
    "good": _nouns(
        "good",
        """notebook book shirt hat mug candle game pen folder cup plate bowl towel pillow blanket
        sock belt tie scarf/scarves glove plant ladder mop brush/brushes toy
        magazine bulb chair ruler eraser pan spoon fork frame battery/batteries""",
    ),
    "gift": _nouns(
        "gift",
        """umbrella lamp jacket clock backpack coat sweater watch/watches dress/dresses radio fan
        skateboard helmet necklace vase mirror kettle toaster rug drum suitcase skirt table desk""",
    ),
    "treat": _nouns(
        "treat",
        """cookie muffin cupcake roll pie bun donut brownie pancake waffle pretzel cake bagel tart
        sandwich/sandwiches candy/candies chocolate biscuit cracker loaf/loaves pastry/pastries""",
    ),
    "drink": _nouns("drink", "drink juice smoothie coffee tea soda milkshake lemonade"),
    "animal": _nouns(
        "animal",
        """cow goat sheep/sheep pig horse donkey rabbit chicken duck turkey llama pony/ponies hen
        lamb goose/geese calf/calves""",
    ),
    "flower": _nouns(
        "flower",
        """rose tulip daisy/daisies lily/lilies sunflower orchid violet poppy/poppies seed herb
        bulb flower plant""",
    ),
    "bag": _nouns(
        "bag",
        """bag box/boxes basket crate pack case bucket jar packet carton sack tray bin package""",
    ),
    "craft": _nouns(
        "craft",
        """bracelet kite mask card painting picture bird_house vase mug scarf/scarves sweater quilt
        necklace wallet bow bookmark basket drawing toy_boat paper_plane hat earring""",
    ),
    "wish": _nouns(
        "wish",
        """bike camera guitar tablet tent phone computer television piano scooter violin
        telescope keyboard sofa ticket printer game helmet""",
    ),
    "guest": _nouns(
        "guest",
        """student visitor guest passenger child/children player worker member tourist fan
        customer adult camper dancer""",
    ),
    "place": _nouns(
        "place",
        """park museum zoo theater cinema castle hall library/libraries cafe pool beach/beaches
        school gym market fair station stadium camp church/churches hotel garden""",
    ),
    "shop": _nouns("shop", "shop store market bakery/bakeries stand warehouse supermarket"),
    "liquid": _nouns("liquid", "water milk juice oil paint gas lemonade soup"),
    "tank": _nouns("tank", "tank barrel bucket pool bottle can pot jug"),
    "food": _nouns("food", "rice flour sugar sand salt soil corn wheat beans cheese coffee meat"),
    "rope": _nouns("rope", "rope ribbon string wire cable chain pipe hose board"),
    "chore": _nouns(
        "chore",
        """washing_cars walking_dogs mowing_lawns babysitting cleaning_rooms selling_lemonade
        raking_leaves painting_fences delivering_papers watering_plants tutoring shoveling_snow""",
    ),
    "task": _nouns(
        "task",
        """homework reading cooking drawing cleaning swimming music math gardening chess dancing
        painting writing football running shopping""",
    ),
    "subject": _nouns("subject", "book novel story/stories comic diary/diaries report magazine"),
    "game": _nouns("game", "game match/matches quiz/quizzes contest round test"),
}
"""List name -> entries; an entry maps each form ("toy", "toys", "a_toy") to its text."""

FORMS: Mapping[str, str] = {
    form: name for name, entries in WORD_LISTS.items() for form in entries[0]
}
"""Form used as a slot in a sentence -> the list it belongs to."""
