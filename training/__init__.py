"""Training of the motion tokenizer and the generators: `python -m training --help`."""
