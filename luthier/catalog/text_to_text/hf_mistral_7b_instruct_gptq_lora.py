"""Mistral 7B instruct with a low-rank adapter (LoRA, Hu et al. 2022). Declared; it does not train yet."""

from luthier.catalog import cost, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HF_Mistral_7b_instruct_GPTQ_lora",
    model_type="text-to-text",
    description="Mistral 7B instruct, quantised to 4 bits, with a low-rank adapter that writes texts",
    cannot_train=text_vocabulary.CANNOT_TRAIN,
    gflops=cost.of_language_model(7241.7),
    parameters_m=7241.7,
    hyperparameters=(
        text_vocabulary.model_config("TheBloke/Mistral-7B-Instruct-v0.1-GPTQ", classifies=False),
        text_vocabulary.quantization_config(),
        text_vocabulary.peft_config(classifies=False),
        text_vocabulary.tokenizer_config(),
        text_vocabulary.trainer_config(num_train_epochs=1, learning_rate=0.0002, fp16=True),
    ),
)
