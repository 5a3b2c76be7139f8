"""Luthier fine-tunes pre-trained models on your own data, and speaks Clarifai's v2 API. Start reading in `__main__`."""

__version__ = "0.1.0"
