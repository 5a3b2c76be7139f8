"""GPT-Neo 2.7B with a low-rank adapter (LoRA, Hu et al. 2022)."""

from luthier.catalog import cost, generation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HF_GPTNeo_2p7b_lora",
    model_type="text-to-text",
    description="GPT-Neo 2.7B with a low-rank adapter that writes texts; wants a GPU",
    recipe="text_generation",
    backbone="transformers/gpt_neo",
    weights=text_vocabulary.base_model,
    plan=generation.documented_plan,
    strategies=True,
    without=(*text_vocabulary.SAID_IN_OBJECTS, *text_vocabulary.BESIDE_A_STILL_BASE, *generation.WITHOUT),
    gflops=cost.of_language_model(2651.3),
    parameters_m=2651.3,
    hyperparameters=(
        text_vocabulary.model_config("EleutherAI/gpt-neo-2.7B", classifies=False, torch_dtype="torch.float32"),
        text_vocabulary.peft_config(classifies=False),
        text_vocabulary.tokenizer_config(),
        text_vocabulary.trainer_config(auto_find_batch_size=True, num_train_epochs=1),
        *generation.beside_the_objects(),
    ),
)
