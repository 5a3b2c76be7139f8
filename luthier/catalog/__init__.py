"""What Luthier offers: model types, templates, hyperparameters. Look-ups go from id to module.

`template.py` says what a template is; `visual_classifier/luthier_tiny_resnet.py` is one to read first.
"""
