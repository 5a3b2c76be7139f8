"""Any language model in the weights folder, by its name: decoders and encoder-decoders."""

from luthier.catalog import cost, generation, text_keys, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HuggingFace_AdvancedConfig",
    model_type="text-to-text",
    description="Any language model of the Hugging Face hub, by its name. Meta's licence of OPT, the default, allows "
    "no commercial use",
    recipe="text_generation",
    backbone="transformers/any",
    weights=text_vocabulary.base_model,
    plan=generation.documented_plan,
    strategies=True,
    without=(*text_vocabulary.SAID_IN_OBJECTS, *generation.WITHOUT),
    gflops=cost.of_language_model(125.2),
    parameters_m=125.2,
    aliases=("HuggingFace",),
    hyperparameters=(
        text_vocabulary.model_config(
            "facebook/opt-125m", classifies=False, key="pretrained_model_name_or_path", torch_dtype="torch.float32"
        ),
        text_vocabulary.tokenizer_config(model_max_length=512),
        text_vocabulary.trainer_config(
            text_keys.output_dir(), num_train_epochs=1, auto_find_batch_size=True, output_dir="checkpoint"
        ),
        text_vocabulary.peft_config(classifies=False, optional=True),
        *generation.beside_the_objects(),
    ),
)
