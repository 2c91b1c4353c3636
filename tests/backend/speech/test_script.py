from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.speech.script import named_manner, read_script, split_words
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import PRESETS

SRT = """\ufeff1
00:00:00,500 --> 00:00:02,000
<i>Hello</i> there, {\\an8}my friend.

2
00:00:02,100 --> 00:00:04,000
JOHN: [door slams] How are you?
- I am fine.

3
00:00:04.5 --> 00:00:06.250
♪ la la la ♪ Goodbye &amp; good luck
"""

VTT = """WEBVTT - a title

NOTE this is not spoken

STYLE
::cue { color: red }

intro
00:00.500 --> 00:02.000 align:start position:10%
<v Roger Bingham>We <c.loud>are</c> in <00:00:01.000>New York

00:02.000 --> 00:03.000
City
"""


def test_plain_text() -> None:
    script = read_script("  One two,\r\nthree — four...\nfive-six  ")
    assert script.words == ["One", "two,", "three—", "four...", "five-six"]
    assert not script.timed and script.warnings == ()


def test_subrip() -> None:
    script = read_script(SRT, "srt")
    assert [c.text for c in script.cues] == [
        "Hello there, my friend.",
        "How are you? I am fine.",
        "Goodbye & good luck",
    ]
    assert [(c.start, c.end) for c in script.cues] == [(0.5, 2.0), (2.1, 4.0), (4.5, 6.25)]
    assert script.timed and script.warnings == ()


def test_webvtt() -> None:
    script = read_script(VTT)
    assert [c.text for c in script.cues] == ["We are in New York", "City"]
    assert script.cues[0].start == 0.5 and script.cues[1].end == 3.0


@pytest.mark.parametrize(
    "line",
    [
        "00:00:09,000 --> 00:00:02,000",
        "00:00:02,000 -->",
        "--> 00:00:02,000",
        "soon --> later",
        "00:00:01,000 --> 99:00:02,000",
    ],
)
def test_broken_times_keep_the_words(line: str) -> None:
    script = read_script(f"1\n{line}\nSome words here\n\n2\n00:00:03,000 --> 00:00:04,000\nand more\n", "srt")
    assert script.words == ["Some", "words", "here", "and", "more"]
    assert script.cues[0].start is None and script.cues[1].start == 3.0
    assert not script.timed and script.warnings == (
        "1 of 2 subtitle times are broken; their words were kept and timed by the sound.",
    )


def test_times_that_run_backwards_are_dropped() -> None:
    text = "1\n00:00:10,000 --> 00:00:12,000\none\n\n2\n00:00:01,000 --> 00:00:02,000\ntwo\n"
    script = read_script(text)
    assert [c.start for c in script.cues] == [10.0, None]


def test_cue_without_a_time_line() -> None:
    script = read_script("1\n00:00:01,000 --> 00:00:02,000\none\n\n2\ntwo three\n", "srt")
    assert script.words == ["one", "two", "three"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("Café déjà vu".encode(encoding))
    assert read_script(path).words == ["Café", "déjà", "vu"]


def test_files_by_suffix(tmp_path: Path) -> None:
    path = tmp_path / "A.SRT"
    path.write_text(SRT, encoding="utf-8")
    assert len(read_script(path).cues) == 3


def test_a_string_never_names_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("secret words")
    assert read_script(str(path)).words == [str(path)]


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "script_empty"), (b"... --- !!!", "script_empty"), (b"ab\x00\x01\x02", "script_not_text")]
)
def test_useless_scripts_say_so(data: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_script(path)
    assert caught.value.code == code and caught.value.hint


def test_missing_and_huge_files(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_script(tmp_path / "none.txt")
    assert caught.value.code == "script_not_found"
    (tmp_path / "big.txt").write_bytes(b"word " * 2_000_000)
    with pytest.raises(UserError) as caught:
        read_script(tmp_path / "big.txt")
    assert caught.value.code == "script_too_large"


def test_texts_without_spaces_are_split_into_characters() -> None:
    assert split_words("你好，世界。") == ["你", "好，", "世", "界。"]


@given(st.text(max_size=300), st.sampled_from(["", "txt", "srt", "vtt"]))
def test_any_text_is_read_or_refused(text: str, kind: str) -> None:
    try:
        script = read_script(text, kind)
    except UserError as error:
        assert error.code == "script_empty"
    else:
        assert script.words
        for cue in script.cues:
            assert cue.start is None or (cue.end is not None and 0 <= cue.start < cue.end)


@pytest.mark.parametrize("kind", ["txt", "srt"])
def test_a_script_may_say_how_it_is_spoken(kind):
    text = "[Manner: lively, width=1.2] Hello there." if kind == "txt" else (
        "1\n00:00:00,000 --> 00:00:02,000\n[manner: lively,width=1.2] Hello there.\n"
    )  # fmt: skip
    script = read_script(text, kind)
    assert script.words == ["Hello", "there."]
    assert named_manner(text) == (replace(PRESETS["lively"], width=1.2), ())
    assert not script.warnings


def test_a_manner_that_cannot_be_is_said_and_left_out():
    wrong = "[manner: clam] Hello."
    script = read_script(wrong)
    assert named_manner(wrong)[0] is None and script.words == ["Hello."] and "clam" in script.warnings[0]
    several = "[manner: calm] Hello. [manner: shy] Goodbye."
    assert named_manner(several)[0] == PRESETS["calm"] and "several" in read_script(several).warnings[0]
    assert named_manner("[laughs] Hello.") == (None, ())
