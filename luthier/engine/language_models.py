"""Language models of Hugging Face's layout: a tokenizer and a body, from local files alone. Next: `texts`.

The base model's small files (ASSETS) are copied into the run folder when a run is prepared, so that a trained model
needs nothing but its run folder. No file that is read here can run code: safetensors and JSON, no `auto_map`.
"""

import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from luthier.catalog.safetensors_header import read_header
from luthier.catalog.weights import RECORD_FILE
from luthier.engine import checkpoint
from luthier.errors import CorruptFile, InvalidTrainingParams, MissingWeights

TOKENIZER_FILE, CONFIG_FILE = "tokenizer.json", "config.json"
POSITIONS_AFTER_PADDING = (  # families whose first token stands at the position behind that of padding, as model_type
    *("camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta"),
    *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
)
FEWEST_TOKENS = 8  # of a text, as model_max_length has it
Tensors = dict[str, torch.Tensor]


class Tokenizer:
    """Texts as token ids; raises MissingWeights where the folder has no tokenizer, CorruptFile for a damaged one."""

    def __init__(self, folder: Path, max_tokens: int, cut_at: str = "end") -> None:
        from tokenizers import Tokenizer as FastTokenizer

        file = _asset(folder, TOKENIZER_FILE)
        try:
            self._fast = FastTokenizer.from_file(str(file))
        except Exception as error:  # the library raises a bare Exception
            raise CorruptFile(f"{file} is not a readable tokenizer: {error}") from error
        self._fast.no_padding()
        self._fast.enable_truncation(max_tokens, direction="right" if cut_at == "end" else "left")
        self._specials = self._fast.num_special_tokens_to_add(is_pair=False)
        self.vocabulary = self._fast.get_vocab_size()

    def encode(self, text: str) -> tuple[np.ndarray[Any, Any], int]:
        """Token ids, int32 (T,), at least one, and how many tokens were cut off."""
        encoding = self._fast.encode(text)
        lost = sum(len(rest.ids) - self._specials for rest in encoding.overflowing)
        return np.array(encoding.ids or [0], dtype=np.int32), lost


def most_tokens(folder: Path, adapter: Mapping[str, Any] | None = None) -> int:
    """The longest text that the model has positions for, in tokens; 0 where its configuration names no limit.

    What an `adapter` puts before every text is left out. Raises InvalidTrainingParams where that leaves no room.
    """
    config = config_of(folder).get_text_config()
    positions = max(0, int(getattr(config, "max_position_embeddings", 0) or 0))  # -1 is one family's word for no limit
    if config.model_type in POSITIONS_AFTER_PADDING:
        positions -= int(config.pad_token_id) + 1
    soft = (adapter or {}).get("num_virtual_tokens", 0)
    if positions and positions - soft < FEWEST_TOKENS:
        raise InvalidTrainingParams(
            f"peft_config.num_virtual_tokens is {soft}, but the base model has {positions} positions in all; give at "
            f"most {positions - FEWEST_TOKENS}"
        )
    return positions - soft if positions else 0


def config_of(folder: Path) -> Any:
    """The model's configuration; raises MissingWeights where it is not there, CorruptFile for an unknown kind."""
    file = _asset(folder, CONFIG_FILE)
    try:
        return quiet_transformers().AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (ValueError, OSError, KeyError) as error:
        raise CorruptFile(f"{file} names no model that this version can build: {error}") from error


def is_decoder(config: Any) -> bool:
    """Whether the model reads from left to right only, so that the last token alone has seen the whole text."""
    models = quiet_transformers().models.auto.modeling_auto
    kind = type(config)
    return kind in models.MODEL_FOR_CAUSAL_LM_MAPPING and kind not in models.MODEL_FOR_MASKED_LM_MAPPING


def quantised(words: Mapping[str, Any], precision: str, device: str) -> dict[str, Any]:
    """What `loaded` needs to hold a base model in as few bits as `words` of quantization_config say (QLoRA, Dettmers et
    al. 2023), computing in `precision`. {} where there are no words, and where it cannot be: no GPU, no bitsandbytes.
    """
    place = place_to_quantise(device) if words else ""
    if not place:
        return {}
    compute = getattr(torch, precision)
    four = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": words["bnb_4bit_quant_type"],
        "bnb_4bit_use_double_quant": words["bnb_4bit_use_double_quant"],
        "bnb_4bit_compute_dtype": compute,
    }
    config = quiet_transformers().BitsAndBytesConfig(**(four if words["bits"] == 4 else {"load_in_8bit": True}))
    return {"quantization_config": config, "device_map": {"": place}}


def place_to_quantise(device: str) -> str:
    """The GPU that `device` of a spec means where bitsandbytes is installed too, else ""."""
    gpu = device in ("auto", "cuda") or device.startswith("cuda:")
    if not (gpu and torch.cuda.is_available() and importlib.util.find_spec("bitsandbytes")):
        return ""
    return "cuda:0" if device in ("auto", "cuda") else device


def body_of(
    config: Any, tensors: Tensors | None, precision: str = "float32", more: Mapping[str, Any] | None = None
) -> nn.Module:
    """The network without a head: random, or with `tensors`. `precision`: how its numbers are held; `more`: of
    `quantised`, without which it is on the CPU.

    Raises CorruptFile where a tensor is missing or has another shape; tensors too many, as another task's head, are
    left aside.
    """
    transformers = quiet_transformers()
    if hasattr(config, "reference_compile"):  # ModernBERT's, which costs a minute at the start
        config.reference_compile = False
    dtype = getattr(torch, precision)
    if tensors is None:
        body: nn.Module = transformers.AutoModel.from_config(config, dtype=dtype)
    else:
        body = loaded(transformers.AutoModel, config, tensors, dtype, more)
    if hasattr(body, "pooler"):  # BERT's, trained for another task
        setattr(body, "pooler", None)  # noqa: B010, as nn.Module types it otherwise
    return body


def quiet_transformers() -> Any:
    """The library, which takes seconds to import, without its bars and tables in the training log."""
    import transformers as library

    transformers: Any = library  # typed in parts only
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def loaded(
    auto: Any,
    config: Any,
    tensors: Tensors,
    dtype: torch.dtype = torch.float32,
    more: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The model that `auto`, a class of transformers, has for `config`; raises CorruptFile where tensors do not fit."""
    kinds = auto._model_mapping[type(config)]
    kind = kinds[0] if isinstance(kinds, tuple | list) else kinds
    try:
        body, said = kind.from_pretrained(
            None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True, **(more or {})
        )
    except RuntimeError as error:  # of other shapes
        raise CorruptFile(f"the weights do not fit the network of {CONFIG_FILE}: {error}") from error
    missing = sorted(name for name in said["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise CorruptFile(
            f"the weights do not fit the network of {CONFIG_FILE}: {len(missing)} missing, as {', '.join(missing[:3])}"
        )
    network: nn.Module = body
    return network


def _asset(folder: Path, name: str) -> Path:
    file = folder / name
    if not file.is_file():
        raise MissingWeights(
            f"{file} is not there; add the model as the folder that holds {name} beside its safetensors file: "
            "luthier weights add NAME FOLDER"
        )
    return file


def check_room(weights: Path, precision: str) -> None:
    """Raises InvalidTrainingParams where the base model is larger than what is free of this machine's memory."""
    tensors = read_header(weights)
    numbers = sum(math.prod(tensor.shape) for tensor in tensors)
    needed, free = numbers * getattr(torch, precision).itemsize, free_memory()
    if needed > free:
        raise InvalidTrainingParams(
            f"the base model in {weights.parent} has {numbers / 1e6:.0f} million parameters: {needed / 2**30:.1f} GiB "
            f"in {precision}, and {free / 2**30:.1f} GiB of memory are free here. Train it where there is more, or "
            "take a smaller one, as the templates luthier_minilm and HF_GPTNeo_125m_lora have"
        )


def free_memory() -> float:
    """Bytes that a process can have without swapping; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return math.inf
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return math.inf if found is None else int(found) * 1024


def verify_base(folder: Path, weights: Path) -> None:
    """Raises CorruptFile where the weights file is not that of the model whose assets lie in `folder`.

    An adapter means nothing beside another base model. Weights that were put in their folder by hand have no record,
    and pass.
    """
    records = [place / RECORD_FILE for place in (folder, weights.parent)]
    if not all(record.is_file() for record in records):
        return
    kept, here = (json.loads(record.read_text(encoding="utf-8")) for record in records)
    if kept["sha256"] != here["sha256"]:
        raise CorruptFile(
            f"{weights} is not the base model that this adapter learns beside, which was {kept['name']} with SHA-256 "
            f"{kept['sha256'][:16]}…; put that one back: luthier weights add {kept['name']} FOLDER"
        )


def verify(folder: Path, hashes: dict[str, str]) -> None:
    """Raises CorruptFile where a file of `folder` is not the one that the run was prepared with."""
    for name, wanted in hashes.items():
        file = folder / name
        if not file.is_file() or checkpoint.sha256(file) != wanted:
            raise CorruptFile(f"{file} is missing or damaged: it is not the file that this run was prepared with")
