"""Files <-> examples. `decode` turns a file into pixels, `readers` turn folders into examples, `check` judges them."""
