"""The motion tokenizer and the generators (arXiv 2405.09814), their weights folder and how codes are generated."""
