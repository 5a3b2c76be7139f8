"""Mistral 7B with a low-rank adapter (LoRA, Hu et al. 2022)."""

from luthier.catalog import cost, generation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HF_Mistral_7b_lora",
    model_type="text-to-text",
    description="Mistral 7B with a low-rank adapter that writes texts; wants a GPU",
    recipe="text_generation",
    backbone="transformers/mistral",
    weights=text_vocabulary.base_model,
    plan=generation.documented_plan,
    strategies=True,
    without=(*text_vocabulary.SAID_IN_OBJECTS, *text_vocabulary.BESIDE_A_STILL_BASE, *generation.WITHOUT),
    gflops=cost.of_language_model(7241.7),
    parameters_m=7241.7,
    hyperparameters=(
        text_vocabulary.model_config("mistralai/Mistral-7B-v0.1", classifies=False),
        text_vocabulary.peft_config(classifies=False),
        text_vocabulary.tokenizer_config(),
        text_vocabulary.trainer_config(num_train_epochs=1, learning_rate=0.0002, fp16=True),
        *generation.beside_the_objects(),
    ),
)
