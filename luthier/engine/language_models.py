"""Language models of Hugging Face's layout: a tokenizer and a body, from local files alone. Next: `texts`.

The base model's small files (ASSETS) are copied into the run folder when a run is prepared, so that a trained model
needs nothing but its run folder. No file that is read here can run code: safetensors and JSON, no `auto_map`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from luthier.engine import checkpoint
from luthier.errors import CorruptFile, MissingWeights

TOKENIZER_FILE, CONFIG_FILE = "tokenizer.json", "config.json"
Tensors = dict[str, torch.Tensor]


class Tokenizer:
    """Texts as token ids; raises MissingWeights where the folder has no tokenizer, CorruptFile for a damaged one."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        from tokenizers import Tokenizer as FastTokenizer

        file = _asset(folder, TOKENIZER_FILE)
        try:
            self._fast = FastTokenizer.from_file(str(file))
        except Exception as error:  # the library raises a bare Exception
            raise CorruptFile(f"{file} is not a readable tokenizer: {error}") from error
        self._fast.no_padding()
        self._fast.enable_truncation(max_tokens)
        self._specials = self._fast.num_special_tokens_to_add(is_pair=False)
        self.vocabulary = self._fast.get_vocab_size()

    def encode(self, text: str) -> tuple[np.ndarray[Any, Any], int]:
        """Token ids, int32 (T,), at least one, and how many tokens were cut off at the end."""
        encoding = self._fast.encode(text)
        lost = sum(len(rest.ids) - self._specials for rest in encoding.overflowing)
        return np.array(encoding.ids or [0], dtype=np.int32), lost


def most_tokens(folder: Path) -> int:
    """The longest text that the model has positions for, in tokens; 0 where its configuration names no limit."""
    config = json.loads(_asset(folder, CONFIG_FILE).read_text(encoding="utf-8"))
    positions = int(config.get("max_position_embeddings") or 0)
    if "roberta" in str(config.get("model_type")):  # whose positions begin after that of padding
        positions -= int(config.get("pad_token_id", 1)) + 1
    return positions


def config_of(folder: Path) -> Any:
    """The model's configuration; raises MissingWeights where it is not there, CorruptFile for an unknown kind."""
    file = _asset(folder, CONFIG_FILE)
    try:
        return _quiet_transformers().AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (ValueError, OSError, KeyError) as error:
        raise CorruptFile(f"{file} names no model that this version can build: {error}") from error


def body_of(config: Any, tensors: Tensors | None) -> nn.Module:
    """The network without a head, float32, on the CPU: random, or with `tensors`.

    Raises CorruptFile where a tensor is missing or has another shape; tensors too many, as another task's head, are
    left aside.
    """
    transformers = _quiet_transformers()
    if tensors is None:
        body: nn.Module = transformers.AutoModel.from_config(config, dtype=torch.float32)
    else:
        body = _loaded(transformers.AutoModel, config, tensors)
    if hasattr(body, "pooler"):  # BERT's, trained for another task
        setattr(body, "pooler", None)  # noqa: B010, as nn.Module types it otherwise
    return body


def _quiet_transformers() -> Any:
    """The library, which takes seconds to import, without its bars and tables in the training log."""
    import transformers as library

    transformers: Any = library  # typed in parts only
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _loaded(auto: Any, config: Any, tensors: Tensors) -> nn.Module:
    kinds = auto._model_mapping[type(config)]
    kind = kinds[0] if isinstance(kinds, tuple | list) else kinds
    try:
        body, said = kind.from_pretrained(
            None, config=config, state_dict=tensors, dtype=torch.float32, output_loading_info=True
        )
    except RuntimeError as error:  # of other shapes
        raise CorruptFile(f"the weights do not fit the network of {CONFIG_FILE}: {error}") from error
    missing = sorted(name for name in said["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise CorruptFile(
            f"the weights do not fit the network of {CONFIG_FILE}: {len(missing)} missing, as {', '.join(missing[:3])}"
        )
    loaded: nn.Module = body
    return loaded


def _asset(folder: Path, name: str) -> Path:
    file = folder / name
    if not file.is_file():
        raise MissingWeights(
            f"{file} is not there; add the model as the folder that holds {name} beside its safetensors file: "
            "luthier weights add NAME FOLDER"
        )
    return file


def verify(folder: Path, hashes: dict[str, str]) -> None:
    """Raises CorruptFile where a file of `folder` is not the one that the run was prepared with."""
    for name, wanted in hashes.items():
        file = folder / name
        if not file.is_file() or checkpoint.sha256(file) != wanted:
            raise CorruptFile(f"{file} is missing or damaged: it is not the file that this run was prepared with")
