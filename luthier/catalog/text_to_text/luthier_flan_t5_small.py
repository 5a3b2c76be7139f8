"""FLAN-T5 small (Chung et al. 2022), an encoder-decoder, fine-tuned as a whole."""

from luthier.catalog import cost, generation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_flan_t5_small",
    model_type="text-to-text",
    description="Encoder-decoder small enough for a processor, fine-tuned as a whole: reads a text and answers it",
    recipe="text_generation",
    backbone="transformers/t5",
    weights=text_vocabulary.from_hub("google/flan-t5-small"),
    plan=generation.own_plan,
    gflops=cost.of_language_model(77.0),
    parameters_m=77.0,
    strategies=True,
    without=generation.WITHOUT,
    hyperparameters=generation.own_hyperparameters(
        max_tokens=512,
        batch_size=16,
        epochs=3,
        rate=5e-4,
        warmup=50,
        weight_decay=0.01,
        task="SEQ_2_SEQ_LM",
        adapter=False,
    ),
)
