"""Qwen3 0.6B (Yang et al. 2025) with a low-rank adapter (LoRA, Hu et al. 2022)."""

from luthier.catalog import cost, generation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_qwen_lora",
    model_type="text-to-text",
    description="Small chat model of many languages with a low-rank adapter; Apache-2.0",
    recipe="text_generation",
    backbone="transformers/qwen3",
    weights=text_vocabulary.from_hub("Qwen/Qwen3-0.6B"),
    plan=generation.own_plan,
    gflops=cost.of_language_model(596.0, tokens=1024),
    parameters_m=596.0,
    strategies=True,
    without=generation.WITHOUT,
    hyperparameters=generation.own_hyperparameters(
        max_tokens=2048,
        batch_size=16,
        epochs=1,
        rate=2e-4,
        warmup=20,
        weight_decay=0.01,
        task="CAUSAL_LM",
        adapter=True,
    ),
)
