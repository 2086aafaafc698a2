"""What every owner of things may start with, do and be asked."""

from steer_core.data.templates import Piece, piece


def owned(many: str) -> tuple[Piece, ...]:
    """Starts that count what someone has."""
    return (
        piece(
            "has",
            "",
            f"{{person}} <has|had> {{n}} {many}+",
            f"There <are|were> {{n}} {many} in {{person}}'s [room|house|bag|kitchen|car].",
            f"[Today|On Monday|One day|This week], {{person}} <has|had> {{n}} {many}+",
        ),
        piece(
            "two",
            "n+m",
            f"{{person}} <has|had> {{n}} [old|red|big] {many} and {{m}} [new|blue|small|green] "
            "ones.",
            f"{{person}} <gets|got> {{n}} {many} on [Monday|Friday|Saturday] and {{m}} [more|] on "
            "[Tuesday|Sunday|Wednesday].",
            f"In the morning, {{person}} <finds|found> {{n}} {many}. In the [afternoon|evening], "
            "{he} <finds|found> {m} more.",
        ),
        piece(
            "boxes",
            "k*w",
            f"{{person}} <has|had> {{k}} {{bags}} with {{w}} {many} in each [{{bag}}|].",
            f"{{person}} <has|had> {{k}} {{bags}} of {many}. Each {{bag}} <holds|held> {{w}} "
            f"[{many}|].",
            f"Each of {{person}}'s {{k}} {{bags}} <has|had> {{w}} {many} in it.",
            f"There <are|were> {{w}} {many} in [one|a|each] {{bag}}, and {{person}} <has|had> "
            "{k} {bags}.",
        ),
    )


def compared(many: str) -> tuple[Piece, ...]:
    """Starts that compare it with what another has."""
    return (
        piece(
            "times",
            "n*k",
            f"{{person2}} <has|had> {{n}} {many}. {{person}} <has|had> {{k}} times as many+",
            f"{{person}} <has|had> {{k}} times as many {many} as {{person2}}, who <has|had> {{n}}.",
        ),
        piece(
            "twice",
            "n*2",
            f"{{person2}} <has|had> {{n}} {many}. {{person}} <has|had> [twice|double] that number+",
            f"{{person}} <has|had> twice as many {many} as {{person2}}, who <has|had> {{n}}.",
        ),
        piece(
            "more",
            "n+m",
            f"{{person2}} <has|had> {{n}} {many}. {{person}} <has|had> {{m}} more than {{person2}}"
            "+",
            f"{{person}} <has|had> {{m}} more {many} than {{person2}}, who <has|had> {{n}}.",
        ),
        piece(
            "fewer",
            "n-m",
            f"{{person2}} <has|had> {{n}} {many}. {{person}} <has|had> {{m}} [fewer|less]+",
            f"{{person}} <has|had> {{m}} fewer {many} than {{person2}}, who <has|had> {{n}}.",
        ),
        piece(
            "halfof",
            "n/2",
            f"{{person2}} <has|had> {{n}} {many}. {{person}} <has|had> half as many+",
            f"{{person}} <has|had> half as many {many} as {{person2}}, who <has|had> {{n}}.",
        ),
        piece(
            "daily",
            "w*h",
            f"{{person}} <collects|collected> {{w}} {many} [each|every|a] day for {{h}} days.",
            f"For {{h}} [days|weeks], {{person}} <gets|got> {{w}} {many} [each|every] [time|day].",
        ),
    )


def gained_or_lost(many: str) -> tuple[Piece, ...]:
    """Events of a number of things."""
    some = f"[of them|of the {many}|{many}|of {{his}} {many}]"
    return (
        piece(
            "give",
            "x-m",
            f"~<gives|gave> {{m}} {some} to {{his}} {{relative}}",
            f"~<gives|gave> {{his}} {{relative}} {{m}} {some}",
            f"{{His}} {{relative}} <takes|took> {{m}} {some}.",
        ),
        piece(
            "lose",
            "x-m",
            f"~<loses|lost> {{m}} {some}",
            f"~<throws|threw> away {{m}} {some}",
            f"But {{m}} {some} <are|were> [lost|broken|stolen].",
        ),
        piece(
            "buy",
            "x+m",
            f"~<buys|bought> {{m}} [more|new] [{many}|ones]",
            "~<buys|bought> {m} more",
            f"~<goes|went> to the {{shop}} and <buys|bought> {{m}} more {many}",
        ),
        piece(
            "get",
            "x+m",
            f"~<gets|got> {{m}} more [{many}|] from {{his}} {{relative}}",
            f"{{His}} {{relative}} <gives|gave> {{him}} {{m}} more [{many}|].",
            f"~<finds|found> {{m}} more [{many}|]",
        ),
    )


def shared_out(many: str) -> tuple[Piece, ...]:
    """Events of a share of the things, or of several equal numbers."""
    half = f"[them|the {many}|{{his}} {many}|these {many}]"
    return (
        piece(
            "half",
            "x/2",
            f"~<gives|gave> [away|] half of {half}",
            f"~<gives|gave> half of {half} to {{his}} {{relative}}",
            f"{{His}} {{relative}} <takes|took> half of {half}.",
        ),
        piece(
            "third",
            "x/3,x-y",
            f"~<gives|gave> [a|one] third of {half} to {{his}} {{relative}}",
            f"{{His}} {{relative}} <takes|took> [a|one] third of {half}.",
        ),
        piece(
            "quarter",
            "x/4,x-y",
            f"~<gives|gave> [a|one] [quarter|fourth] of {half} to {{his}} {{relative}}",
            f"~<loses|lost> [a|one] [quarter|fourth] of {half}",
        ),
        piece(
            "percent",
            "x*r/100,x-y",
            f"~<gives|gave> {{r}}[%| percent] of {half} to {{his}} {{relative}}",
            f"~<gives|gave> away {{r}}[%| percent] of {half}",
        ),
        piece(
            "packs",
            "k*w,x+y",
            f"~<buys|bought> {{k}} [more|] {{bags}} of {{w}} {many} ",
            f"~<gets|got> {{k}} {{bags}} with {{w}} {many} in each",
        ),
        piece(
            "friends",
            "k*h,x-y",
            f"~<gives|gave> {{k}} {many} to each of {{his}} {{h}} [friends|cousins|neighbors]",
            f"~<gives|gave> {{h}} [friends|children|classmates] {{k}} {many} each",
        ),
        piece(
            "double",
            "x*2",
            f"[In a week|Soon|By Friday], {{he}} <has|had> [twice|double] as many {many}.",
            f"~<doubles|doubled> the number of {{his}} {many}",
        ),
    )


def asked(many: str, one: str) -> tuple[Piece, ...]:
    """Questions about the things themselves."""
    they = f"[them|the {many}|{{his}} {many}]"
    return (
        piece(
            "now",
            "",
            f"How many {many} does {{he}} have [now|then|at the end|in the end]?",
            f"How many {many} does {{person}} have [now|then|at the end]?",
            f"What is the number of {many} that {{he}} has now?",
        ),
        piece(
            "left",
            "",
            f"How many {many} does {{he}} have left?",
            f"How many {many} are left?",
            f"How many {many} does {{person}} [still have|keep]?",
        ),
        piece(
            "share",
            "x/d",
            f"{{He}} shares {they} equally [among|between] {{d}} friends. How many {many} "
            "does each friend get?",
            f"If {{d}} [children|friends|people] share {they} equally, how many {many} does each "
            "[one|of them] get?",
        ),
        piece(
            "pack",
            "x/d",
            f"{{He}} puts {{d}} {many} in each box. How many boxes does {{he}} need?",
            f"{{He}} packs {they} in bags of {{d}}. How many bags does {{he}} [need|fill]?",
            f"One basket holds {{d}} {many}. How many baskets can {{he}} fill?",
        ),
        piece(
            "into",
            "x/d",
            f"{{He}} puts {they} into {{d}} equal [groups|piles|rows]. How many {many} are in each "
            "[one|of them]?",
            f"{{He}} divides {they} equally into {{d}} boxes. How many {many} are in [each|one] "
            "box?",
        ),
        piece(
            "sell",
            "x*p",
            f"{{He}} sells {they} for ${{p}} each. How [much money|many dollars] does {{he}} "
            "[make|get|earn]?",
            f"Each {one} [costs|sells for|is worth] ${{p}}. How much are {they} worth "
            "[in all|together]?",
        ),
    )


def asked_with_another_number(many: str, one: str) -> tuple[Piece, ...]:
    """Questions that bring in another number."""
    they = f"[them|the {many}|{{his}} {many}]"
    return (
        piece(
            "goal",
            "g-x",
            f"{{He}} [wants|needs] {{g}} {many}. How many more {many} does {{he}} need?",
            f"How many more {many} does {{he}} need to have {{g}}?",
        ),
        piece(
            "than",
            "x-m",
            f"{{person3}} has {{m}} {many}. How many more {many} does {{person}} have than "
            "{person3}?",
            f"How many more {many} does {{person}} have than {{person3}}, who has {{m}}?",
        ),
        piece(
            "together",
            "x+n",
            f"{{person3}} has {{n}} {many}. How many {many} do they have [together|in all|in "
            "total]?",
            f"If {{person3}} has {{n}} {many}, how many {many} do {{person}} and {{person3}} have "
            "[together|altogether|in total]?",
        ),
        piece(
            "pairs",
            "x*h,x+y",
            f"{{person3}} has {{h}} times as many {many} as {{person}}. How many {many} do they "
            "have [together|in all|in total]?",
            f"{{person3}} has {{h}} times as many. How many {many} do {{person}} and {{person3}} "
            "have [together|altogether]?",
        ),
        piece(
            "profit",
            "x*p,y-m",
            f"{{He}} sells {they} for ${{p}} each but spends ${{m}} on [bags|food|gas|a table]. "
            "How much [money|profit] does {he} make?",
            f"{{He}} gets ${{p}} for each {one} and pays ${{m}} for [a stand|the bus|lunch]. How "
            "many dollars does {he} keep?",
        ),
    )
