"""What a written English word sounds like: numbers and abbreviations in words, and phones for words no dictionary has.

The phones are ARPAbet as in CMUdict. The fallback serves forced alignment: it must be about as long and about as voiced
as the word, not fit for a synthesizer. Unknown words are split into known ones where that works ("woodcutters"), else
spelled out by letter-to-sound rules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miss", "dr": "doctor", "prof": "professor", "st": "saint", "vs": "versus",
    "etc": "et cetera", "approx": "approximately", "km": "kilometers", "kg": "kilograms", "cm": "centimeters",
    "mph": "miles per hour", "eg": "for example", "ie": "that is",
}  # fmt: skip
SYMBOLS = {"&": "and", "%": "percent", "+": "plus", "=": "equals", "@": "at", "#": "number", "°": "degrees"}
CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds", "¥": "yen"}


def number_words(value: int) -> list[str]:
    """0 -> ["zero"], 2024 -> ["two", "thousand", "twenty", "four"]."""
    if value < 20:
        return [ONES[value]]
    if value < 100:
        return [TENS[value // 10]] + ([ONES[value % 10]] if value % 10 else [])
    for scale, name in SCALES:
        if value >= scale:
            rest = number_words(value % scale) if value % scale else []
            return [*number_words(value // scale), name, *rest]
    raise ValueError(value)


def year_words(value: int) -> list[str]:
    """1984 -> ["nineteen", "eighty", "four"]; 2007 and round thousands as numbers."""
    century, rest = divmod(value, 100)
    if rest == 0:
        return [*number_words(century), "hundred"] if century % 10 else number_words(value)
    if rest < 10:
        return number_words(value) if century % 10 == 0 else [*number_words(century), "oh", ONES[rest]]
    return number_words(century) + number_words(rest)


def ordinal_words(value: int) -> list[str]:
    words = number_words(value)
    last = words[-1]
    words[-1] = ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return words


def _digits(text: str) -> list[str]:
    return [ONES[int(d)] for d in text]


def _number(text: str) -> list[str]:
    """Words of "2024", "3.5", "10,000"; digits one by one where it is too long for a number or begins with a zero."""
    plain = text.replace(",", "")
    whole, _, fraction = plain.partition(".")
    if len(whole) > 15 or (len(whole) > 1 and whole.startswith("0")):
        words = _digits(whole)
    elif len(whole) == 4 and "," not in text and not fraction and 1100 <= int(whole) <= 2099:
        words = year_words(int(whole))
    else:
        words = number_words(int(whole or "0"))
    return words + (["point", *_digits(fraction)] if fraction else [])


_TOKEN = re.compile(
    r"(?P<money>[$€£¥])?(?P<number>\d[\d,]*(?:\.\d+)?)(?P<tail>st|nd|rd|th|s)?(?![a-z])|(?P<digits>\d+)"
    r"|(?P<word>[a-z]+(?:'[a-z]+)*'?)|(?P<symbol>[&%+=@#°])"
)
_INITIALS = re.compile(r"^(?:[A-Za-z]\.){2,}$|^[A-Z]{2,5}$")


def spoken(token: str, known: Callable[[str], bool]) -> list[str]:
    """The lower-case dictionary words that a written token is read as; [] where it is only punctuation.

    `known` says whether the dictionary has a word. "$20" -> twenty dollars, "U.S." -> u s, "well-known" -> well known.
    """
    text = unicodedata.normalize("NFKC", token).replace("’", "'").replace("ʼ", "'")
    bare = text.strip("\"'“”‘’()[]{}<>,;:!?…*_~")
    letters = bare.replace(".", "").lower()
    if _INITIALS.match(bare) and not known(letters):
        return list(letters)
    if letters in ABBREVIATIONS and (bare.endswith(".") or letters in {"mr", "mrs", "dr", "kg", "cm", "mph"}):
        return ABBREVIATIONS[letters].split()
    folded = "".join(c for c in unicodedata.normalize("NFKD", bare.lower()) if not unicodedata.combining(c))
    words: list[str] = []
    for match in _TOKEN.finditer(folded):
        words += _spoken_part(match, known)
    return words


def _spoken_part(match: re.Match[str], known: Callable[[str], bool]) -> list[str]:
    if match["digits"]:
        return _digits(match["digits"][:20])
    if match["number"]:
        words = _number(match["number"][:40])
        if match["tail"] in {"st", "nd", "rd", "th"} and match["number"].isdigit() and len(match["number"]) < 12:
            words = ordinal_words(int(match["number"]))
        elif match["tail"] == "s":
            words[-1] = words[-1][:-1] + "ies" if words[-1].endswith("y") else words[-1] + "s"
        return words + ([CURRENCIES[match["money"]]] if match["money"] else [])
    if match["symbol"]:
        return [SYMBOLS[match["symbol"]]]
    word = match["word"].strip("'") if not known(match["word"]) else match["word"]
    return [word] if word else []


# ---------------------------------------------------------------------------------------------------- letters to phones

# Longest first; "^" and "$" are the word's ends. Written for this project after the usual spelling rules of English.
_RULES: dict[str, str] = {
    "^kn": "N", "^gn": "N", "^wr": "R", "^ps": "S", "^x": "Z", "^wh": "W", "^mc": "M AH K", "^y": "Y", "^rh": "R",
    "tion$": "SH AH N", "tions$": "SH AH N Z", "sion$": "ZH AH N", "sions$": "ZH AH N Z", "tial": "SH AH L",
    "cial": "SH AH L", "cian": "SH AH N", "tious": "SH AH S", "cious": "SH AH S", "ture$": "CH ER",
    "tures$": "CH ER Z", "ous$": "AH S", "ously$": "AH S L IY", "able$": "AH B AH L", "ible$": "AH B AH L",
    "ably$": "AH B L IY", "ment$": "M AH N T", "ments$": "M AH N T S", "ness$": "N AH S", "less$": "L AH S",
    "ful$": "F AH L", "ing$": "IH NG", "ings$": "IH NG Z", "ted$": "T IH D", "ded$": "D IH D", "ed$": "D",
    "es$": "Z", "ies$": "IY Z", "ers$": "ER Z", "er$": "ER", "ar$": "ER", "or$": "ER", "le$": "AH L",
    "les$": "AH L Z", "age$": "IH JH", "ism$": "IH Z AH M", "ly$": "L IY", "y$": "IY", "ey$": "IY", "ys$": "IY Z",
    "a$": "AH", "i$": "IY", "o$": "OW", "os$": "OW Z", "e$": "", "ce$": "S", "ge$": "JH", "se$": "Z", "ve$": "V",
    "que$": "K", "gue$": "G", "mb$": "M", "igh": "AY", "eigh": "EY", "ough": "AO", "augh": "AO", "tch": "CH",
    "dge": "JH", "sch": "SH", "chr": "K R", "ch": "CH", "ck": "K", "sh": "SH", "th": "TH", "ph": "F", "gh": "G",
    "ng": "NG", "nk": "NG K", "qu": "K W", "wh": "W", "sc": "S K", "sce": "S EH", "sci": "S IH", "ce": "S EH",
    "ci": "S IH", "cy": "S IY", "ge": "JH EH", "gi": "JH IH", "gy": "JH IY", "bb": "B", "cc": "K", "dd": "D",
    "ff": "F", "gg": "G", "ll": "L", "mm": "M", "nn": "N", "pp": "P", "rr": "R", "ss": "S", "tt": "T", "zz": "Z",
    "vv": "V", "ai": "EY", "ay": "EY", "au": "AO", "aw": "AO", "ea": "IY", "ear": "IH R", "ee": "IY", "eer": "IH R",
    "ei": "EY", "eu": "Y UW", "ew": "UW", "ey": "EY", "ia": "IY AH", "ie": "IY", "io": "IY OW", "oa": "OW",
    "oi": "OY", "oo": "UW", "ook": "UH K", "oor": "AO R", "ou": "AW", "our": "AO R", "ow": "OW", "oy": "OY",
    "ua": "UW AH", "ue": "UW", "ui": "UW IH", "ar": "AA R", "are$": "EH R", "er": "ER", "ir": "ER", "ur": "ER",
    "or": "AO R", "ore$": "AO R", "ere$": "IH R", "ire$": "AY R", "ure$": "Y UH R", "al": "AE L", "all$": "AO L",
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH",
    "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH",
    "v": "V", "w": "W", "x": "K S", "y": "IH", "z": "Z",
}  # fmt: skip
_LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}
_MAGIC_E = re.compile(r"[aeiou][bcdfgklmnpstvz]e(?:s|d)?$")
_LONGEST = max(map(len, _RULES))


def letters_to_phones(word: str) -> str:
    """ARPAbet phones of a lower-case word by spelling rules; "" if it has no letters a-z."""
    text = "^" + re.sub(r"[^a-z]", "", word) + "$"
    magic = _MAGIC_E.search(text[:-1])
    phones: list[str] = []
    at = 1
    while at < len(text) - 1:
        if magic is not None and at == magic.start():
            phones.append(_LONG[text[at]])
            at += 1
            continue
        for size in range(_LONGEST, 0, -1):
            begin = at - 1 if at == 1 and "^" + text[1 : at + size - 1] in _RULES else at
            piece = text[begin : begin + size]
            if piece in _RULES and len(piece) == size:
                phones.append(_RULES[piece])
                at = begin + size
                break
        else:
            at += 1
    return " ".join(p for p in phones if p)


def guess_phones(word: str, lookup: Callable[[str], str | None]) -> str:
    """Phones for a word the dictionary lacks: from its stem, as a compound of known words, or by spelling rules."""
    base, ending = _stem(word)
    if ending and (known := lookup(base)):
        return f"{known} {ending}"
    parts = _compound(word.replace("'", ""), lookup)
    return parts if parts else letters_to_phones(word)


def _stem(word: str) -> tuple[str, str]:
    for suffix, phones in (("'s", "Z"), ("s'", "Z"), ("ing", "IH NG"), ("ed", "D"), ("s", "Z")):
        if word.endswith(suffix) and len(word) - len(suffix) >= 2:
            return word.removesuffix(suffix), phones
    return word, ""


def _compound(word: str, lookup: Callable[[str], str | None]) -> str:
    """Phones of the split into the fewest known words of three letters or more; "" if there is none."""

    @cache
    def best(rest: str) -> tuple[str, ...] | None:
        if not rest:
            return ()
        found: tuple[str, ...] | None = None
        for size in range(len(rest), 2, -1):
            phones = lookup(rest[:size])
            tail = best(rest[size:]) if phones else None
            if phones and tail is not None and (found is None or len(tail) + 1 < len(found)):
                found = (phones, *tail)
        return found

    return " ".join(best(word) or ()) if len(word) <= 40 else ""
