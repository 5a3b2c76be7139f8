"""Why a training failed, in the words that a version's details use: code, the wire's name for it, cause and remedy."""

from collections.abc import Sequence

from luthier.errors import LuthierError

NAMES = {
    10030: "TRY_AGAIN",
    21110: "MODEL_TRAINING_NO_DATA",
    21111: "MODEL_TRAINING_NO_POSITIVES",
    21112: "MODEL_TRAINING_ONE_VS_N_SINGLE_CLASS",
    21117: "MODEL_TRAINING_INSUFFICIENT_DATA",
    21118: "MODEL_TRAINING_INVALID_PARAMS",
    21119: "MODEL_TRAINING_INVALID_DATA_TOLERANCE_EXCEEDED",
    64020: "DATASET_VERSION_FAILURE",
    64030: "DATASET_VERSION_CONFLICT",
}


def coded(code: int, reason: str, details: str) -> str:
    """`details` after the specific code and its name where there is one, else after the reason in words."""
    before = f"{code} {NAMES[code]}" if code in NAMES else reason
    return f"{before}: {details}" if details else before


def of_error(error: LuthierError) -> str:
    return coded(error.code, error.description, error.details)


def of_exit(returncode: int | None, log_tail: str) -> str:
    """For an engine that ended without a word."""
    last = log_tail.strip().splitlines()[-1:] or ["nothing"]
    how = f"was killed by signal {-returncode}" if returncode and returncode < 0 else f"ended with code {returncode}"
    hint = "; on a machine short of memory the system does that: try a smaller batch_size, image_size or max_tokens"
    return f"the training process {how}{hint if returncode == -9 else ''}. The last line of its log: {last[0][:300]}"


def of_all(reasons: Sequence[str]) -> str:
    """One text for every attempt; the last reason stands first, as it may begin with a code."""
    *earlier, last = reasons or ["no reason was recorded"]
    if not earlier:
        return last
    told = "; ".join(f"attempt {number}: {reason}" for number, reason in enumerate(earlier, 1))
    return f"{last} ({len(reasons)} attempts without progress; {told})"
