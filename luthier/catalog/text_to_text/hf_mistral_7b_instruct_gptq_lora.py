"""Mistral 7B instruct with a low-rank adapter (LoRA, Hu et al. 2022); not of its GPTQ build, for use alone."""

from luthier.catalog import cost, generation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HF_Mistral_7b_instruct_GPTQ_lora",
    model_type="text-to-text",
    description="Mistral 7B instruct with a low-rank adapter that writes texts; LoRA beside "
    "mistralai/Mistral-7B-Instruct-v0.1, the "
    "model of the GPTQ build, which itself cannot learn; wants a GPU",
    recipe="text_generation",
    backbone="transformers/mistral",
    weights=text_vocabulary.base_model,
    plan=generation.documented_plan,
    strategies=True,
    without=(*text_vocabulary.SAID_IN_OBJECTS, *text_vocabulary.BESIDE_A_STILL_BASE, *generation.WITHOUT),
    gflops=cost.of_language_model(7241.7),
    parameters_m=7241.7,
    hyperparameters=(
        text_vocabulary.model_config("TheBloke/Mistral-7B-Instruct-v0.1-GPTQ", classifies=False),
        text_vocabulary.quantization_config(),
        text_vocabulary.peft_config(classifies=False),
        text_vocabulary.tokenizer_config(),
        text_vocabulary.trainer_config(num_train_epochs=1, learning_rate=0.0002, fp16=True),
        *generation.beside_the_objects(),
    ),
)
