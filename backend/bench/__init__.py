"""How fast it is, beside plain implementations measured in the same run."""
