"""Tiny language models in Hugging Face's layout, made by the tests: random weights, a word for each token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LLAMA: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
CONFIGS: dict[str, dict[str, Any]] = {  # by the name of the family, as transformers calls it
    "bert": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    },
    "modernbert": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "cls_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
    },
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
    "llama": LLAMA,
    "mistral": LLAMA,
}


def tiny_encoder(folder: Path, texts: Sequence[str]) -> Path:
    """A BERT of two layers, 32 wide, that knows the words of `texts`."""
    return tiny_model(folder, texts, "bert")


def tiny_model(folder: Path, texts: Sequence[str], family: str, **more: Any) -> Path:
    """A body of the `family`, two layers, 32 wide, that knows the words of `texts`; a decoder's texts have no [SEP]."""
    folder.mkdir(parents=True)
    words = sorted({word for text in texts for word in text.lower().split()})
    vocabulary = {word: place for place, word in enumerate((*SPECIALS, *words))}
    encoder = "bert" in family
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]" if encoder else "[CLS] $A",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(family, vocab_size=len(vocabulary), **CONFIGS[family], **more)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder
