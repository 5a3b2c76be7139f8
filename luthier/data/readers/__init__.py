"""One module per layout of labelled files. `imagefolder`: a folder per class."""
