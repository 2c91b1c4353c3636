"""The yardstick: how alive a motion is, how well it keeps to its speech and to the ground.

One table, by the same code for a motion and for the people beside it (`anchors.json`). `body` brings any known skeleton
to the same parts, rate and size; `liveliness`, `ground`, `speech` and `joins` are rows about it; `timing` compares
speeds around stressed syllables (`syllables`) with chance; `column` is all of it for some motions, `table` puts columns
beside each other, and `cli` is `python -m backend measure`.
"""
