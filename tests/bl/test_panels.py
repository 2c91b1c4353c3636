"""The panels, drawn onto a layout that writes down what it is asked to show."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

bpy = pytest.importorskip("bpy")

from tests.bl.scenes import module  # noqa: E402 - only with bpy

ICONS = set(bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys())


class Recorder:
    """A layout that remembers texts, properties and operators, and refuses icons and names that do not exist."""

    def __init__(self, seen: list[tuple[str, str]] | None = None) -> None:
        self.seen = [] if seen is None else seen

    def _nested(self, *_: object, **__: object) -> Recorder:
        return Recorder(self.seen)

    row = column = box = split = _nested

    def separator(self, **_: object) -> None:
        pass

    def label(self, text: str = "", icon: str = "NONE") -> None:
        self._note("label", text, icon)

    def progress(self, factor: float, text: str = "") -> None:
        self._note("progress", text, "NONE")

    def prop(self, data: object, name: str, text: str | None = None, icon: str = "NONE", **_: object) -> None:
        assert name in data.bl_rna.properties, f"{data} has no {name}"
        self._note("prop", name, icon)

    def operator(self, name: str, text: str | None = None, icon: str = "NONE", **_: object) -> SimpleNamespace:
        space, verb = name.split(".")
        assert verb in dir(getattr(bpy.ops, space)), name
        self._note("operator", name, icon)
        return SimpleNamespace()

    def template_list(self, name: str, list_id: str, data: object, prop: str, *_: object, **__: object) -> None:
        self._note("list", prop, "NONE")
        for index, item in enumerate(getattr(data, prop)):
            getattr(bpy.types, name).draw_item(
                SimpleNamespace(), bpy.context, self, data, item, 0, data, "word_index", index
            )

    def _note(self, kind: str, text: str, icon: str) -> None:
        assert icon in ICONS, f"no icon {icon}"
        self.seen.append((kind, text))


def draw(name: str) -> list[tuple[str, str]]:
    """What a panel of the 3D View shows."""
    recorder = Recorder()
    getattr(bpy.types, f"GESTICULATOR_PT_{name}_view").draw(SimpleNamespace(layout=recorder), bpy.context)
    return recorder.seen


def texts(name: str) -> str:
    return " ".join(text for kind, text in draw(name) if kind in ("label", "progress"))


def test_at_first_it_asks_for_the_backend_and_a_character(addon):
    module(addon, "backend_settings").preferences().python_path = ""
    shown = draw("main")
    assert ("operator", "gesticulator.setup_backend") in shown
    assert ("operator", "gesticulator.add_character") in shown
    assert "Set up the backend once" in texts("main")
    assert "Choose the character's armature first" in texts("main"), "the reason of a grey button stands below it"


def test_it_says_the_download_and_offers_the_small_one_where_cuda_would_come(addon, tmp_path, monkeypatch):
    machine = module(addon, "backend_settings")
    settings = machine.preferences()
    settings.python_path = ""
    locks = sys.modules[f"{addon.__name__}.client.locks"]
    for key, switch in (("linux-x86_64", True), ("windows-x86_64", False)):
        monkeypatch.setattr(locks.platforms, "key", lambda key=key: key)
        assert (("prop", "small_torch") in draw("main")) is switch
        assert ("CUDA" in texts("main")) is switch
        assert locks.size_text(locks.download_bytes(machine.ROOT, False)) in texts("main")
    monkeypatch.setattr(locks.platforms, "key", lambda: "macos-x86_64")
    assert "no PyTorch for this kind of computer" in texts("main")
    settings.wheels_folder = str(tmp_path)
    assert "your folder of wheels" in texts("main")
    settings.wheels_folder = ""


def test_a_grey_set_up_says_why(addon):
    machine = module(addon, "backend_settings")
    machine.preferences().python_path = ""
    bpy.context.preferences.system.use_online_access = False
    assert "online access is off" in texts("main")


def test_it_always_says_that_faces_are_not_animated(shot):
    assert "faces are not animated" in texts("main")


def test_it_shows_what_was_made_of_the_rig(shot):
    assert "Mixamo" in texts("main")


def test_it_says_why_an_armature_cannot_be_used(shot):
    scene = bpy.context.scene
    empty = bpy.data.objects.new("Bare", bpy.data.armatures.new("Bare"))
    scene.collection.objects.link(empty)
    scene.gesticulator.character = empty
    assert "Gestures cannot be put on Bare" in texts("main")


def test_while_a_job_runs_it_shows_stage_estimate_and_cancel(shot):
    job = bpy.context.window_manager.gesticulator_job
    job.running, job.stage, job.fraction, job.eta = True, "Generating motion", 0.4, "about 6 s left"
    try:
        shown = draw("main")
        assert ("progress", "40 %") in shown
        assert ("label", "Generating motion …") in shown
        assert ("label", "about 6 s left") in shown
        assert ("operator", "gesticulator.cancel") in shown
        assert ("operator", "gesticulator.generate") not in shown
    finally:
        job.running = False


def test_an_error_shows_sentence_hint_and_copy_details(shot, small):
    script = bpy.data.texts.new("Script")
    script.write("fail")
    bpy.context.scene.gesticulator.script = script
    with pytest.raises(RuntimeError):
        bpy.ops.gesticulator.generate()
    shown = draw("main")
    assert "The voice is silent." in texts("main")
    assert "Choose another strip." in texts("main")
    assert ("operator", "gesticulator.copy_details") in shown
    bpy.ops.gesticulator.dismiss_error()
    assert "The voice is silent." not in texts("main")


def test_the_list_has_words_times_gestures_and_their_icons(shot):
    assert not bpy.types.GESTICULATOR_PT_words_view.poll(bpy.context)
    bpy.ops.gesticulator.generate()
    assert bpy.types.GESTICULATOR_PT_words_view.poll(bpy.context)
    shown = draw("words")
    assert [text for kind, text in shown if kind == "label"][:4] == ["0.2", "Hello,", "", "0.7"]
    assert ("label", "Thumb up") in shown
    assert ("prop", "mute") not in shown
    bpy.context.scene.gesticulator.word_index = 3
    assert {("prop", "mute"), ("operator", "gesticulator.toggle_lock")} <= set(draw("words"))


def test_a_click_on_a_word_goes_to_its_time(shot):
    bpy.ops.gesticulator.generate()
    scene = bpy.context.scene
    scene.frame_set(1)
    scene.gesticulator.word_index = 3
    assert scene.frame_current == round(11 + 1.2 * 24)


def test_below_the_list_are_the_chosen_words_buttons(shot):
    bpy.ops.gesticulator.generate()
    bpy.context.scene.gesticulator.word_index = 0
    assert ("operator", "gesticulator.add_gesture") in draw("words")
    bpy.context.scene.gesticulator.word_index = 3
    assert {("operator", f"gesticulator.{name}") for name in
            ("swap_gesture", "swap_variant", "snap_to_word", "remove_gesture")} <= set(draw("words"))  # fmt: skip


@pytest.mark.parametrize("name", ["settings", "takes"])
def test_the_other_panels_draw(shot, name):
    assert draw(name)


def test_the_numbers_of_a_manner_show_when_they_are_ones_own(shot):
    numbers = [("prop", f"manner_{name}") for name in ("liveliness", "width", "hand", "formality", "speed")]
    shown = draw("settings")
    assert ("prop", "manner") in shown and not set(numbers) & set(shown)
    bpy.context.scene.gesticulator.manner = "custom"
    assert [item for item in draw("settings") if item in numbers] == numbers


@pytest.mark.parametrize("mode", ["OWN", "URL"])
def test_the_preferences_draw(addon, mode):
    machine = module(addon, "backend_settings")
    settings = machine.preferences()
    settings.backend_mode, settings.python_path = mode, ""
    recorder = Recorder()
    type(settings).draw(Standing(settings, recorder), bpy.context)
    shown = {text for _, text in recorder.seen}
    assert ("token" in shown) is (mode == "URL")
    assert ("gesticulator.setup_backend" in shown) is (mode == "OWN")
    settings.backend_mode = "OWN"


class Standing:
    """The preferences, to be drawn onto another layout."""

    def __init__(self, settings: object, layout: Recorder) -> None:
        self.settings, self.layout = settings, layout

    def __getattr__(self, name: str) -> object:
        return getattr(self.settings, name)

    @property
    def bl_rna(self) -> object:
        return self.settings.bl_rna
