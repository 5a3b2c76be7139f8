"""Tiny language models that write, in Hugging Face's layout, made by the tests: random weights, tokens of bytes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

END, TURN = "<|end|>", "<|turn|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|turn|>{{ message.role }}\n{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
_SHAPE = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_LLAMA = {**_SHAPE, "intermediate_size": 96, "num_key_value_heads": 2, "max_position_embeddings": 256}
DECODERS: dict[str, Any] = {
    "llama": lambda known: LlamaForCausalLM(LlamaConfig(**_LLAMA, **known)),
    "mistral": lambda known: MistralForCausalLM(MistralConfig(**_LLAMA, sliding_window=128, **known)),
    "qwen3": lambda known: Qwen3ForCausalLM(Qwen3Config(**_LLAMA, head_dim=12, tie_word_embeddings=True, **known)),
    "gpt_neo": lambda known: GPTNeoForCausalLM(
        GPTNeoConfig(
            hidden_size=48,
            num_layers=2,
            num_heads=4,
            attention_types=[[["global", "local"], 1]],
            window_size=64,
            max_position_embeddings=256,
            initializer_range=0.3,  # as words of a trained one: small ones, frozen, make every next word as likely
            **known,
        )
    ),
    "gpt2": lambda known: GPT2LMHeadModel(GPT2Config(n_embd=48, n_layer=2, n_head=4, n_positions=96, **known)),
    "opt": lambda known: OPTForCausalLM(
        OPTConfig(**_SHAPE, ffn_dim=96, word_embed_proj_dim=48, max_position_embeddings=256, **known)
    ),
}


def tiny_decoder(folder: Path, texts: Sequence[str], kind: str = "llama", *, chats: bool = False) -> Path:
    """A decoder of two layers, 48 wide; `chats`: with a chat template of its own."""
    known = _tokenizer(folder, texts, chats=chats)
    torch.manual_seed(5)
    DECODERS[kind](known).save_pretrained(folder)
    return folder


def tiny_encoder_decoder(folder: Path, texts: Sequence[str]) -> Path:
    """A T5 of one layer on either side, 48 wide."""
    known = _tokenizer(folder, texts, chats=False)
    torch.manual_seed(5)
    config = T5Config(
        d_model=48,
        d_ff=96,
        d_kv=12,
        num_layers=1,
        num_heads=4,
        decoder_start_token_id=known["pad_token_id"],
        tie_word_embeddings=False,
        **known,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path, texts: Sequence[str], *, chats: bool) -> dict[str, int]:
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|pad|>", END, TURN], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": END, "pad_token": "<|pad|>"} | ({"chat_template": CHAT_TEMPLATE} if chats else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return {"vocab_size": tokenizer.get_vocab_size(), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
