"""One file per family of models, each a `Recipe`. Next: `image_classification`."""
