"""English words that say little: the one list for search, choosing, splitting sentences and stress."""

from __future__ import annotations

EMPTY_WORDS = frozenset(
    "a an and are as at be but by for from in is of on or than that the then this to was with".split()  # noqa: SIM905
)
"""Words that no gesture is made on."""

STOP_WORDS = EMPTY_WORDS | frozenset(
    "do had has have he her him his i if it its me my not our she so their them they we were what when will you "  # noqa: SIM905
    "your".split()
)
"""Words that tell no text from another. A gesture may well be made on "you" or "not", so they are not empty."""

FUNCTION_WORDS = STOP_WORDS | frozenset(
    "am been can could did does into may might must no onto over shall should there these those under upon which who "  # noqa: SIM905
    "whom would".split()
)
"""Words of grammar: said without stress unless the speaker means it."""
