"""Goldens of the evaluation metrics: pairs of texts and what the official scorers give them.

    pip install -r tools/requirements.txt
    python tools/goldens/metrics.py

Writes crates/eval/tests/goldens/metrics.json. Who computes what:

- ROUGE-L: PyPI `rouge` 1.0.1;
- code similarity: PyPI `fuzzywuzzy` 0.18.0 over Python's difflib (python-Levenshtein must not be
  installed: fuzzywuzzy would take its matching from there);
- all else has no package, and is written here in own words from the descriptions of LongBench's
  `metrics.py`, RULER's `evaluate.py`, OpenCompass's NeedleBench, SQuAD v1.1's script; by other means
  than the Rust code where there are any (regular expressions, Counter, Python's own `round`);
- divergence of distributions: 60-digit decimals.

SST-2 has no official rule for generated text; its rows check the one that the Rust code states.
"""

import decimal
import difflib
import random
import re
import string
import struct
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import golden_file
from metric_texts import code_pairs, near_copy, salad, text_pairs

warnings.filterwarnings("ignore", message="Using slow pure-python SequenceMatcher")
from fuzzywuzzy import fuzz  # noqa: E402
from rouge import Rouge  # noqa: E402

PATH = "crates/eval/tests/goldens/metrics.json"
SEED = 20240611

# Frames on Python's stack when LongBench's eval.py has called its rouge_score: module, scorer, rouge_score.
LONGBENCH_FRAMES = 3
RECURSION_LIMIT = 1000


# ---- LongBench and SQuAD


def normalized(text):
    """SQuAD v1.1's comparable form."""
    text = text.lower().translate({ord(mark): None for mark in string.punctuation})
    return " ".join(re.sub(r"\b(?:the|an|a)\b", " ", text).split())


def qa_f1(prediction, answer):
    """F1 of the words of both, as multisets."""
    said, right = Counter(normalized(prediction).split()), Counter(normalized(answer).split())
    shared = (said & right).total()
    if not shared:
        return 0.0
    precision, recall = shared / said.total(), shared / right.total()
    return 2 * precision * recall / (precision + recall)


def stack_depth():
    """Frames on the stack, the caller's being the last."""
    frame, depth = sys._getframe(1), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    return depth


def rouge_l(prediction, answer):
    """F of ROUGE-L, 0 on any error, with as many frames left as under LongBench's script."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT + stack_depth() - LONGBENCH_FRAMES)
    try:
        return Rouge().get_scores([prediction], [answer], avg=True)["rouge-l"]["f"]
    except (ValueError, RecursionError):
        return 0.0
    finally:
        sys.setrecursionlimit(limit)


def code_sim(prediction, answer):
    """fuzz.ratio of the first line without a comment or fence."""
    lines = re.sub(r"\A\n+", "", prediction).split("\n")
    code = next((line for line in lines if not re.search("`|#|//", line)), "")
    return fuzz.ratio(code, answer) / 100


def classification(prediction, answer, classes):
    """One over the classes said, less parts of the right one; struck while walking, as officially."""
    said = [name for name in classes if name in prediction]
    for name in said:
        if name != answer and name in answer:
            said.remove(name)
    return 1 / len(said) if answer in said else 0.0


def share_of_integers(prediction, number):
    """Of the integers in the text, the share that reads `number`."""
    integers = re.findall(r"\d+", prediction)
    return integers.count(number) / len(integers) if integers else 0.0


def retrieval(prediction, answer):
    return share_of_integers(prediction, re.search(r"Paragraph (\d+)", answer)[1])


# ---- RULER, NeedleBench, SST-2


def ruler_clean(prediction):
    return re.sub(r"[\x00-\x1f]", "\n", prediction.strip()).strip()


def ruler_hits(prediction, answers):
    text = ruler_clean(prediction).lower()
    return [float(answer.lower() in text) for answer in answers]


def edit_distance(one, other):
    """Levenshtein's, over the whole table."""
    table = [[i + j for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i, x in enumerate(one, 1):
        for j, y in enumerate(other, 1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (x != y))
    return table[-1][-1]


def needlebench_v1(prediction, needle, keyword):
    """0 to 100."""
    if keyword in prediction:
        return 100.0
    said, right = re.sub(r"\s+", "", prediction), re.sub(r"\s+", "", needle)
    longer = max(len(said), len(right))
    return 0.2 * (100 * (1 - edit_distance(said, right) / longer) if longer else 100)


def sst2(prediction, answer, classes):
    names = "|".join(re.escape(name) for name in sorted(classes, key=len, reverse=True))
    found = re.search(rf"(?<!\w)(?:{names})(?!\w)", prediction.lower())
    return float(bool(found) and found[0] == answer)


# ---- distributions


def log_softmax(logits):
    """Decimals; a logit of None cannot come."""
    exact = [None if x is None else decimal.Decimal(x) for x in logits]
    log_sum = sum(x.exp() for x in exact if x is not None).ln()
    return [None if x is None else x - log_sum for x in exact]


def divergence(exact, other):
    """KL in nats, by the definition."""
    pairs = zip(log_softmax(exact), log_softmax(other))
    return float(sum(p.exp() * (p - q) for p, q in pairs if p is not None))


def float32(x):
    """The 32-bit float nearest to `x`, as Python's float."""
    return struct.unpack("f", struct.pack("f", x))[0]


# ---- rows


def texts(rng):
    return [
        {
            "prediction": prediction, "answer": answer, "qa_f1": qa_f1(prediction, answer),
            "rouge_l": rouge_l(prediction, answer), "code_sim": code_sim(prediction, answer),
            "exact_match": float(normalized(prediction) == normalized(answer)),
            "string_match": ruler_hits(prediction, [answer])[0],
        }
        for prediction, answer in text_pairs(rng)
    ]


def code(rng):
    return [
        {"prediction": prediction, "answer": answer, "code_sim": code_sim(prediction, answer)}
        for prediction, answer in code_pairs(rng)
    ]


def classifications(rng):
    """Class names that are parts of one another, some of them twice."""
    parts = ["Kind", "of", "Lamp", "Other", "a", "City"]
    rows = []
    for _ in range(60):
        classes = [" ".join(rng.sample(parts, rng.randint(1, 3))) for _ in range(rng.randint(1, 8))]
        answer = rng.choice(classes)
        said = rng.sample(classes, min(len(classes), rng.randint(0, 2))) + [answer] * rng.randint(0, 1)
        prediction = rng.choice([", ", "\n", " "]).join(said)
        score = classification(prediction, answer, classes)
        rows.append({"prediction": prediction, "answer": answer, "classes": classes, "score": score})
    return rows


def numbers(rng):
    """Predictions with numbers for the paragraph and the count."""
    rows = []
    for _ in range(60):
        number = str(rng.choice([1, 7, 17, 30]))
        others = ["7", "17", "30", "007", "1.5", "-17", "17th", "٣", "１７", "½", "1²", "x17y", "seven"]
        said = rng.choices(others + [number] * 6, k=rng.randint(0, 4))
        prediction = rng.choice(["", "Paragraph ", "Paragraph: "]) + rng.choice([" ", ", ", "\n", ""]).join(said)
        rows.append({
            "prediction": prediction, "number": number, "count": share_of_integers(prediction, number),
            "retrieval": retrieval(prediction, f"Paragraph {number}"),
        })
    return rows


def ruler(rng):
    rows = []
    for _ in range(40):
        answers = [salad(rng, rng.randint(1, 2)) for _ in range(rng.randint(1, 5))]
        said = [rng.choice([str.upper, str.lower, str])(answer) for answer in answers if rng.random() < 0.5]
        prediction = rng.choice(["", " ", "\x00", "\x1f\n"]) + rng.choice([", ", "\x01", "\n"]).join(said)
        prediction += rng.choice(["", "\x02", " \u2028", "\x7f"])
        hits = ruler_hits(prediction, answers)
        rows.append({
            "prediction": prediction, "answers": answers, "clean": ruler_clean(prediction),
            "all": sum(hits) / len(hits), "part": max(hits),
        })
    return rows


def needles(rng):
    rows = []
    for _ in range(40):
        needle = salad(rng, rng.randint(0, 12))
        keyword = rng.choice([needle[-9:] or "lamp", "Blue Lamp", needle[3:8] or "Lamp"])
        prediction = rng.choice([near_copy(rng, needle, rng.randint(0, 9)), salad(rng, 5), needle[:5], ""])
        rows.append({
            "prediction": prediction, "needle": needle, "keyword": keyword,
            "v1": needlebench_v1(prediction, needle, keyword), "v2": 100.0 * (keyword in prediction),
        })
    return rows


def labels(rng):
    classes = ["negative", "positive"]
    words = ["Positive", "negative", "positively", "nonpositive", "_negative", "neutral", "very", "NEGATIVE", "positive"]
    rows = []
    for _ in range(40):
        prediction = "".join(rng.choice(words) + rng.choice([" ", ".", "\n", ", ", "-", ""]) for _ in range(rng.randrange(4)))
        answer = rng.choice(classes)
        rows.append({"prediction": prediction, "answer": answer, "score": sst2(prediction, answer, classes)})
    return rows


def first_lines(rng):
    predictions = ["", "\n", "\n\nx\ny", " \nx", "\r\nx", "x\r\ny", "x\u2028y\nz", "\x0bx\n\n"]
    predictions += ["\n" * rng.randrange(3) + salad(rng, 6) for _ in range(12)]
    return [{"prediction": text, "line": text.lstrip("\n").split("\n")[0]} for text in predictions]


def percents():
    """Means of `ones` ones among `count` scores: ties and near ties of the second place.

    Of 160 scores, some have means that LongBench and RULER round apart.
    """
    cases = [(ones, count) for count in [3, 7, 8, 150, 200, 500, 800, 1600] for ones in [0, 1, 3, 5, count]]
    cases = sorted({(min(ones, count), count) for ones, count in cases} | {(n, 800) for n in range(7, 60, 4)})
    cases += [(ones, 160) for ones in [23, 49, 51, 87, 93]]
    return [
        {
            "ones": ones, "count": count, "longbench": round(100 * float(ones) / count, 2),
            "ruler": round(float(ones) / count * 100, 2),
        }
        for ones, count in cases
    ]


def distributions(rng):
    rows = []
    for spread, noise in [(0, 0), (0.1, 0.01), (1, 1), (3, 0.001), (3, 0.3), (10, 1), (10, 30), (60, 5), (300, 0.1)]:
        for shift in [0, 1000]:
            exact = [float32(rng.gauss(shift, spread)) for _ in range(rng.randint(1, 40))]
            other = [float32(x - shift + rng.gauss(0, noise)) for x in exact]
            if len(exact) > 3:
                exact[rng.randrange(len(exact))] = None
            token = rng.choice([i for i, x in enumerate(exact) if x is not None])
            present = [x for x in exact if x is not None]
            rows.append({
                "exact": exact, "other": other, "token": token, "kl": divergence(exact, other),
                "nll": float(-log_softmax(exact)[token]), "top1": exact.index(max(present)),
                "agrees": exact.index(max(present)) == other.index(max(other)),
            })
    return rows


def longest_walk():
    """The most words of one sentence for which `rouge` still walks back: one step a word here."""
    words = 1
    while rouge_l("x" + " y" * words, "x") > 0.0:
        words += 1
    return words


def golden():
    if fuzz.SequenceMatcher is not difflib.SequenceMatcher:
        raise SystemExit("fuzzywuzzy found python-Levenshtein; uninstall it first")
    decimal.getcontext().prec = 60
    makers = [texts, code, classifications, numbers, ruler, needles, labels, first_lines, distributions]
    # A seed for each, so that a change to one leaves the others as they are.
    content = {maker.__name__: maker(random.Random(f"{SEED} {maker.__name__}")) for maker in makers}
    # On a stack of its own: whatever calls this may have frames on its stack that only the interpreter sees.
    walk = ThreadPoolExecutor(1).submit(longest_walk).result()
    return content | {"percents": percents(), "longest_walk": walk}


if __name__ == "__main__":
    golden_file.write(PATH, golden())
