"""Llama 2 7B chat with a low-rank adapter (LoRA, Hu et al. 2022); not of its GPTQ build, which is for use alone."""

from luthier.catalog import cost, generation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HF_Llama_2_7b_chat_GPTQ_lora",
    model_type="text-to-text",
    description="Llama 2 7B chat with a low-rank adapter that writes texts; LoRA beside "
    "meta-llama/Llama-2-7b-chat-hf, the "
    "model of the GPTQ build, which itself cannot learn; wants a GPU. Weights under Meta's Llama 2 Community License",
    recipe="text_generation",
    backbone="transformers/llama",
    weights=text_vocabulary.base_model,
    plan=generation.documented_plan,
    strategies=True,
    without=(*text_vocabulary.SAID_IN_OBJECTS, *text_vocabulary.BESIDE_A_STILL_BASE, *generation.WITHOUT),
    gflops=cost.of_language_model(6738.4),
    parameters_m=6738.4,
    hyperparameters=(
        text_vocabulary.model_config("TheBloke/Llama-2-7b-Chat-GPTQ", classifies=False),
        text_vocabulary.quantization_config(),
        text_vocabulary.peft_config(classifies=False),
        text_vocabulary.tokenizer_config(),
        text_vocabulary.trainer_config(num_train_epochs=1, learning_rate=0.0002, fp16=True),
        *generation.beside_the_objects(),
    ),
)
