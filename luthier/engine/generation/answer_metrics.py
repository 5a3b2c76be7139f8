"""How near a written answer is to the one that was wanted: exact match, ROUGE-L, chrF; each from 0 to 1. Our own code.

Exact match leaves white space at the ends aside. Next: `recipes/text_generation`, whose judge takes their means.
"""

import re
from collections import Counter
from collections.abc import Sequence

CHRF_ORDER, CHRF_BETA = 6, 2.0  # of the paper
_WORD = re.compile(r"\w+")
Measured = dict[str, float]


def measure(answer: str, wanted: str) -> Measured:
    """All of them, for one answer."""
    exact = float(answer.strip() == wanted.strip())
    return {"exact_match": exact, "rouge_l": rouge_l(answer, wanted), "chrf": chrf(answer, wanted)}


def rouge_l(answer: str, wanted: str) -> float:
    """F1 of the longest common subsequence of words, in lower case (Lin 2004). Without any word: whether both are."""
    found, reference = (_WORD.findall(text.lower()) for text in (answer, wanted))
    if not found or not reference:
        return float(found == reference)
    common = _longest_common(found, reference)
    return 2 * common / (len(found) + len(reference))


def chrf(answer: str, wanted: str) -> float:
    """F-score of character n-grams of 1 to 6, recall twice as heavy as precision, white space left out (Popović 2015).

    As sacrebleu computes it for one sentence: orders that the wanted text or the answer is too short for do not count.
    """
    texts = ["".join(text.split()) for text in (answer, wanted)]
    scores = []
    for order in range(1, CHRF_ORDER + 1):
        found, reference = (Counter(text[i : i + order] for i in range(len(text) - order + 1)) for text in texts)
        if found and reference:
            common = (found & reference).total()
            scores.append((common / found.total(), common / reference.total()))
    if not scores:
        return float(texts[0] == texts[1])
    precision, recall = (sum(column) / len(scores) for column in zip(*scores, strict=True))
    weighted = CHRF_BETA**2 * precision + recall
    return (1 + CHRF_BETA**2) * precision * recall / weighted if weighted else 0.0


def _longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for item in left:
        diagonal = 0
        for place, other in enumerate(right, start=1):
            above = row[place]
            row[place] = diagonal + 1 if item == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]
