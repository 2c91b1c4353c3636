from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from sg_blender_addon.core import wire
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.manner import PRESETS, Manner
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.protocol import GenerateSettings
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.timeline import Alternative, Segment, Word

SEGMENT = Segment("0001", "TEETH BRUSH", 2, "teeth.", 3, 1.0, 1.25, 2.5, 0.75, (Alternative("0112", "X", 0.5),), True)


def test_error_says_what_and_what_next() -> None:
    error = UserError("It broke.", "Mend it.", "broken")
    assert str(error) == "It broke. Mend it."
    assert error.to_json() == {"code": "broken", "message": "It broke.", "hint": "Mend it."}
    assert not issubclass(Cancelled, UserError)


def test_wire_round_trip() -> None:
    motion = Motion.rest(canonical(), 4, 60.0)
    meta = {"fps": 60.0, "skeleton": canonical().to_json(), "text": "déjà · vu"}
    again_meta, arrays = wire.unpack(wire.pack(meta, wire.motion_arrays("rhythm", motion)))
    assert again_meta == json.loads(json.dumps(meta))
    again = wire.motion_from("rhythm", again_meta, arrays)
    np.testing.assert_allclose(again.root_positions, motion.root_positions, rtol=1e-6)
    with pytest.raises(UserError, match="merged"):
        wire.motion_from("merged", again_meta, arrays)


def test_wire_takes_arrays_of_any_shape_from_memory_or_a_file() -> None:
    given = {
        "columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "none": np.zeros((0, 3)),
        "flags": np.array([True, False]),
        "part": np.arange(20)[::2],
    }
    packed = wire.pack({}, given)
    other = io.BytesIO()  # as numpy writes it: compressed, columns first
    np.savez_compressed(other, meta=np.frombuffer(b"{}", np.uint8), **given)
    for source in (packed, io.BytesIO(packed), other):
        _, arrays = wire.unpack(source)
        for name, array in given.items():
            assert arrays[name].dtype == array.dtype and np.array_equal(arrays[name], array)


def test_wire_refuses_damage_pickles_and_bombs() -> None:
    good = wire.pack({"a": 1}, {"x": np.zeros(1000)})
    pickled = io.BytesIO()
    np.savez(pickled, meta=np.array([{"a": 1}], dtype=object))
    for data in (b"", b"nonsense", good[: len(good) // 2], pickled.getvalue()):
        with pytest.raises(UserError):
            wire.unpack(data)
    bomb = io.BytesIO()
    np.savez_compressed(bomb, x=np.zeros(10_000_000))
    with pytest.raises(UserError, match="larger"):
        wire.unpack(bomb.getvalue(), max_bytes=1_000_000)
    liar = good.replace(b"(1000,)", b"(9999,)")
    with pytest.raises(UserError, match="damaged") as caught:
        wire.unpack(liar)
    assert "not an array" in str(caught.value.__cause__)  # it was not given the room that it asked for


@pytest.mark.parametrize("lie", [b"(0,9**99)", b"(True,  )", b"(1000,", b"('1000',)", b"(-1000, )"])
def test_wire_refuses_headers_that_are_no_shape(lie: bytes) -> None:
    good = wire.pack({"a": 1}, {"x": np.zeros(1000)})
    with pytest.raises(UserError, match="damaged"):
        wire.unpack(good.replace(b"(1000,), } ", (lie + b", }").ljust(11)))


def test_wire_refuses_packings_that_we_do_not_use() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in zipfile.ZipFile(io.BytesIO(wire.pack({}, {}))).NameToInfo.items():
            archive.writestr(name, zipfile.ZipFile(io.BytesIO(wire.pack({}, {}))).read(data))
    with pytest.raises(UserError, match="damaged"):
        wire.unpack(file.getvalue())


def test_not_finite_motion_is_refused() -> None:
    motion = Motion.rest(canonical(), 2, 60.0)
    arrays = wire.motion_arrays("rhythm", motion)
    arrays["rhythm_root"][0, 0] = np.nan
    with pytest.raises(UserError, match="rhythm"):
        wire.motion_from("rhythm", {"fps": 60, "skeleton": canonical().to_json()}, arrays)


def test_timeline_records_survive_json() -> None:
    assert Segment.from_json(json.loads(json.dumps(SEGMENT.to_json()))) == SEGMENT
    word = Word("Hello,", 0.5, 0.75)
    assert Word.from_json(word.to_json()) == word


def test_settings_survive_json_and_send_only_changes() -> None:
    settings = GenerateSettings(seed=4, retriever="off", locked=(SEGMENT,), top_k=5)
    assert set(settings.to_json()) == {"seed", "retriever", "locked", "top_k"}
    assert GenerateSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert GenerateSettings.from_json({}) == GenerateSettings()
    assert GenerateSettings.from_json({"top_p": None, "fps": 24}).fps == 24.0


def test_a_manner_travels_inside_the_settings() -> None:
    settings = GenerateSettings(manner=PRESETS["big stage"])
    assert GenerateSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert GenerateSettings(manner=Manner()).to_json() == {}
    assert GenerateSettings.from_json({"manner": {"width": 1.2}}).manner == Manner(width=1.2)
    with pytest.raises(UserError, match=r"'manner\.width' must lie between 0\.5 and 1\.6"):
        GenerateSettings.from_json({"manner": {"width": 9}})


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"sed": 1},
        {"seed": "1"},
        {"seed": 1.5},
        {"seed": -1},
        {"seed": True},
        {"fps": 0},
        {"fps": float("nan")},
        {"density": 2},
        {"density": None},
        {"manner": "calm"},
        {"manner": None},
        {"manner": [1]},
        {"manner": {"size": 1}},
        {"manner": {"width": 9}},
        {"manner": {"width": True}},
        {"manner": {"hand": float("nan")}},
        {"exact": 1},
        {"script": 3},
        {"retriever": "magic"},
        {"script": "x" * 2_000_001},
        {"audio_start": 3, "audio_end": 2},
        {"locked": [{"gesture_id": "1"}]},
        {"locked": 3},
    ],
)
def test_settings_refuse_nonsense_with_a_sentence(data: object) -> None:
    with pytest.raises(UserError) as caught:
        GenerateSettings.from_json(data)
    assert caught.value.code == "bad_settings"
    assert caught.value.hint
