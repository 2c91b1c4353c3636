from __future__ import annotations

import json
from pathlib import Path

from backend.gestures.classifier import letters
from backend.gestures.texts import marked_index, plain_speech, samples_of, triggers
from SG_dataset.notation.records import Example
from SG_dataset.records import Gesture


def gesture(label: str = "BELLY RUB", examples: tuple[Example, ...] = ()) -> Gesture:
    return Gesture("0031", label, "A hand rubs the belly.", ("hungry", "tasty food"), examples, {}, ())


def test_everything_that_is_said_of_a_gesture_becomes_a_sample() -> None:
    found = samples_of([gesture(examples=(Example("I am so *very* hungry", "hungry"), Example("No mark", "eat")))])
    texts = {" ".join(s.words): s for s in found}
    assert {"belly rub", "A hand rubs the belly.", "hungry", "tasty food", "starving"} <= set(texts)
    assert texts["I am so *very* hungry"].index == 4 and texts["I am so *very* hungry"].weight == 1.0
    assert texts["No mark"].index == -1 and texts["No mark"].weight < 1.0


def test_plain_speech_has_no_gesture() -> None:
    found = {s.words: s for s in samples_of([gesture()])}
    assert len(plain_speech()) > 50
    assert all(found[words].gesture == -1 and found[words].index == -1 for words in plain_speech())


def test_triggers_join_only_the_gesture_they_were_written_for() -> None:
    assert len(triggers()) == 208
    assert all(i.isdigit() and len(i) == 4 and phrases for (i, _), phrases in triggers().items())
    texts = {" ".join(s.words) for s in samples_of([gesture("ANOTHER GESTURE")])}
    assert "starving" not in texts and "hungry" in texts


def test_triggers_speak_the_librarys_labels() -> None:
    """Ids and labels as the committed gesture files have them."""
    folder = Path(__file__).parents[3] / "SG_dataset" / "gestures"
    for path in sorted(folder.glob("[0-9]*.yaml")):
        head = path.read_text(encoding="utf-8").splitlines()[:6]
        fields = dict(line.split(": ", 1) for line in head if ": " in line)
        identity, label = fields["id"].strip("\"'"), fields["label"].strip()
        label = json.loads(label) if label.startswith('"') else label.strip("'").replace("''", "'")
        assert (identity, label) in triggers(), path.name


def test_marks_of_several_words_and_of_changed_forms() -> None:
    words = ["He", "took", "off", "without", "a", "word"]
    assert marked_index(words, "took off") == 1
    assert marked_index(["They", "Knocked", "on", "it"], "knocked") == 1
    assert marked_index(["They", "knock", "on", "it"], "knocked") == 1
    assert marked_index([], "a") == -1 and marked_index(["a"], "") == -1


def test_letters_tell_related_words() -> None:
    def near(a: str, b: str) -> float:
        return float(letters(a) @ letters(b))

    assert near("Knocked,", "knocked") > 0.99
    assert near("knocked", "knocking") > 0.4 > near("knocked", "table")
    assert not letters("the").any() and not letters("—").any()
