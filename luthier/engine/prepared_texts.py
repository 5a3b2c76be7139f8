"""Texts as their dataset version wants them prepared, in training and in prediction alike. Next: `text_embedder`.

Words are runs of letters, digits and apostrophes; what stands between them stays. Negations are no stop words.
"""

import re
import threading
import unicodedata
from collections.abc import Callable
from typing import Any, Literal, cast

from luthier.catalog.text_preparation import TextPreparation, checked
from luthier.errors import TrainingFailed

Change = Callable[[str], str]
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
ENGLISH_STOP_WORDS = frozenset(
    """
    a about above after again against all also am an and any are as at be because been before being below between both
    but by can could did do does doing down during each either else ever every few for from further get had has
    have having he her here hers herself him himself his how however i if in into is it its itself just let may me might
    more most must my myself now of off often on once only or other our ours ourselves out over own
    per rather same shall she should since so some still such than that the their theirs them themselves then there
    these they this those though through thus to together too toward under until up upon us very via was we well were
    what when where whether which while who whom whose why will with within without would yet you your yours yourself
    """.split()  # noqa: SIM905, as a list it would fill a page
)


def prepare(raw: dict[str, Any]) -> Change:
    """What run.json says, as one function. Raises TrainingFailed where the stemmer is not installed."""
    return _composed(checked(raw, "text_preparation"))


def _composed(wanted: TextPreparation) -> Change:
    changes: list[Change] = []
    if wanted.unicode != "none":
        form = cast(Literal["NFC", "NFKC"], wanted.unicode)
        changes.append(lambda text: unicodedata.normalize(form, text))
    if wanted.whitespace:
        changes.append(lambda text: " ".join(text.split()))
    if wanted.lower_case:
        changes.append(str.lower)
    if wanted.stop_words == "english":
        changes.append(_without_stop_words)
    if wanted.stemming != "none":
        changes.append(_stemmed(wanted.stemming))
    return lambda text: _in_turn(changes, text)


def _in_turn(changes: list[Change], text: str) -> str:
    for change in changes:
        text = change(text)
    return text


def _without_stop_words(text: str) -> str:
    """A text of nothing else stays as it is."""
    kept = WORD.sub(lambda word: "" if word[0].lower() in ENGLISH_STOP_WORDS else word[0], text)
    return re.sub(r" {2,}", " ", kept).strip() if WORD.search(kept) else text


def _stemmed(language: str) -> Change:
    try:
        import snowballstemmer
    except ImportError:
        raise TrainingFailed(
            f"text_preparation.stemming is {language}, and snowballstemmer is not installed: "
            "pip install 'luthier[texts]', or take stemming out"
        ) from None
    stemmer, alone = snowballstemmer.stemmer(language), threading.Lock()

    def stemmed(text: str) -> str:
        with alone:  # a stemmer works on one word at a time, and texts are read by several threads
            return WORD.sub(lambda word: str(stemmer.stemWord(word[0].lower())), text)

    return stemmed
