"""A small gesture inventory with sentences of its own, and sentences that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sg_blender_addon.core.timeline import Word
from SG_dataset.library import Library
from SG_dataset.notation.records import Example
from SG_dataset.records import Gesture


def library_of(gestures: Mapping[str, Gesture]) -> Library:
    """A library of texts alone: retrieval looks at no motion."""
    return Library(Path("texts alone"), dict(gestures), {})


# id, label, meanings; then sentences with the gestured word in *stars*.
_ROWS = (
    ("0031", "BELLY RUB", "hungry; tasty food", (
        "I am so *hungry* right now", "That dinner was *delicious*", "I could *eat* a whole cake",
        "My mother cooks the *tastiest* soup", "We were *starving* after the hike")),
    ("0111", "SALUTE", "respect; yes sir; military obedience", (
        "*Yes* sir, right away", "We *honour* the soldiers who served", "The general gave the *order*",
        "Reporting for *duty*, captain", "I *salute* your courage")),
    ("1211", "FOREFINGER POINT", "pointing at you; that one there", (
        "I am talking to *you*", "Look over *there* by the door", "It was *him*, I saw it",
        "*That* one is mine", "Put the box right *here*")),
    ("2300", "PALM HALT", "stop; wait; not any further", (
        "*Stop* right where you are", "*Wait* a second, please", "That is *enough*, no more",
        "*Hold* on, I was not finished", "You may not *pass* this line")),
    ("2310", "HAND ON HEART", "sincerity; love; gratitude", (
        "I *love* you with all my heart", "*Thank* you so much for your help", "I *promise* it is the truth",
        "I am truly *grateful* to all of you", "I *swear* I did not do it")),
    ("3123", "HAND WAVE", "hello; goodbye", (
        "*Hello* everybody, come in", "*Goodbye* and see you tomorrow", "*Hi* there, nice to meet you",
        "*Farewell*, my old friend", "*Welcome* to our show tonight")),
    ("3201", "HEAD SHAKE", "no; refusal; disagreement", (
        "*No*, I will not do that", "I *refuse* to believe this", "She would *never* agree to it",
        "That is simply *wrong*", "I really *disagree* with him")),
    ("3300", "THUMB UP", "approval; well done; all right", (
        "*Great* job, everyone", "That sounds *perfect* to me", "*Well* done, my friend",
        "I fully *approve* of your plan", "Everything is *fine* again")),
    ("3301", "SHOULDERS SHRUG", "ignorance; who knows; indifference", (
        "I have no *idea* where he is", "Who *knows* what will happen", "I do not really *care* either way",
        "*Maybe* it will rain, maybe not", "I am not *sure* what that means")),
    ("3310", "PALMS APART", "large size; huge amount", (
        "The fish was *huge*", "It is an *enormous* building", "They built a really *big* house",
        "There was a *giant* crowd outside", "What a *massive* problem")),
)  # fmt: skip

# Sentences that are in none of the above: text with the word in stars, and the id that fits.
UNSEEN = (
    ("After work I am always *starved* and could eat anything", "0031"),
    ("This pizza tastes *wonderful*", "0031"),
    ("At ease, the colonel gave a *command*", "0111"),
    ("*Halt*, nobody gets any further", "2300"),
    ("Please *stop* shouting at the children", "2300"),
    ("I *thank* every one of you from my heart", "2310"),
    ("*Hello* and good evening, dear guests", "3123"),
    ("*Bye* now, see you next week", "3123"),
    ("*No*, that cannot be right", "3201"),
    ("Your work is *excellent*, keep going", "3300"),
    ("I *wonder* who could possibly know that", "3301"),
    ("An *enormous* whale swam under the boat", "3310"),
)


def unstar(text: str) -> tuple[str, str]:
    """The text without stars, and the word that stood between them."""
    word = text.split("*")[1]
    return text.replace("*", ""), word


def small_inventory() -> Library:
    gestures = {
        i: Gesture(i, label, "", tuple(meanings.split("; ")), tuple(Example(*unstar(t)) for t in texts), {}, ())
        for i, label, meanings, texts in _ROWS
    }
    return library_of(gestures)


def spoken(text: str, pace: float = 0.4, start: float = 0.2) -> list[Word]:
    """Words at an even pace."""
    return [Word(w, round(start + i * pace, 3), round(start + (i + 0.9) * pace, 3)) for i, w in enumerate(text.split())]
