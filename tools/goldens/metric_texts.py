"""Seeded texts for the metrics' goldens: pairs of a prediction and an answer.

All are made here from made-up words; none is from a data set.
"""

WORDS = (
    "the a an The An A of and to in is was lamp harbour keeper ship red blue "
    "seven Anna it's don't co-op U.S. e.g. 3.5 17 1999 theme another apple "
    "naïve straße ΟΔΟΣ İzmir ﬁn 東京 привет न 🙂 x_y (lamp) lamp, lamp. "
    "\u201cred\u201d -- \u2014 % 1,000 ² ½ ٣ ７"
).split(" ")
SPACES = [" "] * 12 + ["  ", "\n", "\t", "\u00a0", "\u2028", "\x1c", "\r\n", "\u3000", ". ", ".", "...", ", "]
MARKS = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["\u2019", "\u200b", "\u0301", "\x00"]
NAMES = ["i", "n", "item", "self.total", "values", "_x", "täg", "MAX", "0", "42", "''", '"a b"']
OPERATORS = [" = ", " == ", " + ", " - ", " % ", ", ", ".get(", "(", ")", "[", "]:", " if ", " else ", " // ", "  # "]
FIXED = [
    ("", ""), ("", "lamp"), ("lamp", ""), (" ", " "), ("\n", ""), (".", "."), ("lamp.", "."), (" . ", ". ."),
    ("the", "a"), ("the", "the"), ("Lamp", "lamp"), ("lamp lamp lamp", "lamp"), ("lamp", "lamp lamp lamp"),
    ("a.b.c", "c.b.a"), ("red blue", "blue red"), ("red. blue", "red blue"), ("\x1fred\x1c", "red"),
    ("the\u0301 lamp", "lamp"), ("un\u00adseen", "unseen"), ("Σ ΟΔΟΣ", "σ οδος"), ("İ", "i\u0307"), ("ẞ", "ß"),
]


def salad(rng, count):
    """`count` words with whatever between them."""
    return "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(count)).strip(" ")


def repeated(rng, count):
    """A sentence several times over, as models that got stuck write."""
    sentence = salad(rng, rng.randint(1, 6))
    return rng.choice([". ", ".", "\n", " "]).join([sentence] * count)


def near_copy(rng, text, changes):
    """`text` with characters dropped, doubled, replaced or moved."""
    characters = list(text)
    for _ in range(changes):
        if not characters:
            break
        at = rng.randrange(len(characters))
        kind = rng.randrange(4)
        if kind == 0:
            del characters[at]
        elif kind == 1:
            characters.insert(at, characters[at])
        elif kind == 2:
            characters[at] = rng.choice(MARKS)
        else:
            characters.insert(rng.randrange(len(characters)), characters.pop(at))
    return "".join(characters)


def shuffled(rng, text):
    """The words of `text` in another order."""
    words = text.split(" ")
    rng.shuffle(words)
    return " ".join(words)


def code_line(rng, count):
    """Something like a line of code."""
    parts = [rng.choice(NAMES) + rng.choice(OPERATORS) for _ in range(count)]
    return "    " * rng.randrange(3) + "".join(parts)


def code_prediction(rng, answer):
    """A near copy of a line among lines that are skipped and lines that follow."""
    before = rng.choices(["", "\n", "\n\n", "# one\n", "```python\n", "// x\n", " \n"], k=rng.randrange(3))
    after = rng.choice(["", "\n", "\n" + code_line(rng, 2), "  # why", "\n```"])
    return "".join(before) + near_copy(rng, answer, rng.randrange(6)) + after


def text_pairs(rng):
    """Pairs of prose: unrelated, stuck, near, in another order, inside one another."""
    pairs = list(FIXED)
    for size in [1, 2, 3, 5, 8, 12, 20, 30]:
        for _ in range(8):
            answer = salad(rng, size)
            pairs += [
                (salad(rng, rng.randint(1, size)), answer),
                (near_copy(rng, answer, rng.randint(1, 5)), answer),
                (shuffled(rng, answer), answer),
                (repeated(rng, rng.randint(2, 6)), answer + ". " + answer),
            ]
    pairs += [("It is " + answer + ".\nNext", answer) for answer in (salad(rng, 3) for _ in range(10))]
    return pairs


def code_pairs(rng):
    """Lines of code, among them ones of 195 characters and more on either side of difflib's threshold."""
    pairs = [("", ""), ("\n\n", ""), ("# x", ""), ("x", "x"), ("`x`\n", "x"), ("\n\nx\ny", "x"), ("x", "   x")]
    for size in [1, 2, 4, 8] * 8:
        answer = code_line(rng, size)
        pairs += [(code_prediction(rng, answer), answer), (code_line(rng, size), answer)]
    for length in [198, 199, 200, 201, 250, 299, 300, 420]:
        for _ in range(2):
            answer = code_line(rng, 120)[:length]
            pairs.append((near_copy(rng, answer, 12).replace("#", "x").replace("//", "y"), answer))
            pairs.append((code_line(rng, 30).replace("#", "x").replace("//", "y"), answer))
    return pairs
