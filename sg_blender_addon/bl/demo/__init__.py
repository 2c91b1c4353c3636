"""The demo character: a body made by code, for demos, tests and a first try without a rig."""
