"""The dialog with the library's previews: what it offers, what is chosen, where previews come from."""

from __future__ import annotations

import shutil
import time
from types import SimpleNamespace

import pytest

bpy = pytest.importorskip("bpy")

from tests.bl.scenes import module  # noqa: E402 - only with bpy


class Layout:
    """A layout that remembers what it is asked to show."""

    def __init__(self, shown: list[tuple[str, str]]) -> None:
        self.shown = shown

    def nested(self, **_: object) -> Layout:
        return Layout(self.shown)

    row = column = split = grid_flow = nested

    def label(self, text: str = "", icon: str = "NONE") -> None:
        self.shown.append(("label", text))

    def template_icon(self, icon_value: int, scale: float) -> None:
        self.shown.append(("preview", str(icon_value)))

    def prop(self, data: object, name: str, **_: object) -> None:
        assert name in data.bl_rna.properties
        self.shown.append(("prop", name))

    def prop_enum(self, data: object, name: str, value: str, text: str | None = None, icon: str = "NONE") -> None:
        assert value in {item[0] for item in data.items_of(name)}
        if text is None:
            self.shown.append((icon, value))


@pytest.fixture
def performance(shot, small):
    """A fresh memory of gestures, and one THUMB UP on the fourth word."""
    previews = module(small, "previews")
    previews.unregister()
    assert previews._icons is None
    previews.register()
    for name in ("gestures", "previews"):
        shutil.rmtree(module(small, "backend_settings").user_folder(name))
    bpy.ops.gesticulator.generate()
    bpy.context.scene.gesticulator.word_index = 3
    return shot


@pytest.fixture
def dialog(performance, small):
    """The dialog's properties on real RNA (an operator cannot be made without a window); gives its opener."""
    picker = module(small, "operators.picker")

    class Dialog(picker.Picker, bpy.types.PropertyGroup):
        strip: bpy.props.StringProperty()
        word: bpy.props.IntProperty(default=-1)

        def items_of(self, name: str) -> list:
            return {"choice": picker._choices, "variant_item": picker._variants}[name](self, None)

    module(small, "rna").declare_properties(Dialog)
    bpy.utils.register_class(Dialog)
    bpy.types.WindowManager.picker = bpy.props.PointerProperty(type=Dialog)
    window_manager = bpy.context.window_manager
    window_manager.property_unset("picker")

    def open_for(operator: str) -> Dialog:
        kind = getattr(module(small, "operators.swap"), f"GESTICULATOR_OT_{operator}")
        Dialog.aim, Dialog.bl_label, Dialog._free_word = kind.aim, kind.bl_label, getattr(kind, "_free_word", None)
        opened = []
        manager = SimpleNamespace(invoke_props_dialog=lambda *_, **options: opened.append(options) or {"RUNNING_MODAL"})
        props = window_manager.picker
        assert props.invoke(SimpleNamespace(scene=bpy.context.scene, window_manager=manager), None) == {"RUNNING_MODAL"}
        Dialog.title = opened[0]["title"]
        return props

    yield open_for
    await_previews(module(small, "previews"))
    del bpy.types.WindowManager.picker
    bpy.utils.unregister_class(Dialog)


def await_previews(previews) -> None:
    while previews.tick():
        time.sleep(0.01)


def drawn(props) -> list[tuple[str, str]]:
    layout = Layout([])
    type(props).layout = layout
    props.draw(bpy.context)
    return layout.shown


def cells(props) -> list[str]:
    return [value for kind, value in drawn(props) if kind in ("NONE", "SOLO_ON")]


def test_swap_suggests_what_the_retriever_thought_of_and_then_everything_else(dialog):
    props = dialog("swap_gesture")
    assert props.title == "Swap gesture on “good.”"
    assert (props.strip, props.ideas, props.gesture_id) == ("THUMB UP · good", "0002", "0002")
    assert [cell for cell in drawn(props) if cell[0] in ("NONE", "SOLO_ON")] == [("SOLO_ON", "0002"), ("NONE", "0001")]


def test_add_suggests_what_is_made_for_the_word(dialog, performance):
    bpy.ops.gesticulator.remove_gesture()
    props = dialog("add_gesture")
    assert props.title == "Add gesture on “good.”"
    assert props.word == 3
    assert (props.ideas.splitlines(), props.gesture_id) == (["0001", "0002"], "0001")


def test_what_is_typed_is_found_by_label_meaning_and_example_and_chosen(dialog):
    props = dialog("swap_gesture")
    for typed, expected in (("thumb", "0001"), ("perfect", "0002"), ("day", "0001"), ("enough", "0002")):
        props.search = typed
        assert (cells(props), props.gesture_id) == ([expected], expected)
    props.search = "nobody"
    assert cells(props) == []
    assert ("label", "Nothing found") in drawn(props)


def test_a_gesture_and_its_variant_are_chosen_by_their_buttons(dialog):
    props = dialog("swap_gesture")
    props.choice = "0001"
    props.variant_item = "2"
    assert (props.gesture_id, props.variant, props.choice, props.variant_item) == ("0001", 2, "0001", "2")
    props.choice = "0002"
    assert (props.gesture_id, props.variant) == ("0002", 1)
    assert {("label", "Hand ring"), ("label", "A ring."), ("label", "Means: perfect, okay")} <= set(drawn(props))


def test_pages_end_where_the_gestures_end(dialog, small, monkeypatch):
    picker = module(small, "operators.picker")
    monkeypatch.setattr(picker, "COLUMNS", 1)
    monkeypatch.setattr(picker, "ROWS", 1)
    props = dialog("swap_gesture")
    props.page = 2
    assert cells(props) == ["0001"]
    props.page = 99
    assert props.page == 2
    props.search = "thumb"
    assert (props.page, cells(props)) == (1, ["0001"])


def test_previews_arrive_in_the_background_and_appear_where_they_were_awaited(dialog, small):
    previews, catalogue = module(small, "previews"), module(small, "catalogue")
    ring, thumb = catalogue.find("0002"), catalogue.find("0001")
    previews.icon(ring)
    name = previews.preview_file(previews._folder(), ring).name
    assert tuple(previews._icons[name].image_size) == (0, 0)
    previews.refresh()
    await_previews(previews)
    assert tuple(previews._icons[name].image_size) == (4, 4)
    previews.icon(thumb)  # the backend has none of it
    assert [path.name for path in previews._folder().iterdir()] == [name]
    assert ("preview", "0") in drawn(dialog("swap_gesture"))


def test_an_unknown_library_is_listed_when_the_dialog_opens(dialog, small, monkeypatch):
    machine, catalogue, previews = (module(small, name) for name in ("backend_settings", "catalogue", "previews"))
    machine.preferences().library = "/another/library"
    try:
        assert catalogue.gestures() == ()
        with monkeypatch.context() as slow:
            slow.setattr(previews, "refresh", lambda: None)  # it may be faster than the first drawing
            assert ("label", "No gestures are known yet") in drawn(dialog("swap_gesture"))
        props = dialog("swap_gesture")
        await_previews(previews)
        assert cells(props) == ["0002", "0001"]
    finally:
        machine.preferences().library = ""


def test_without_a_backend_the_known_gestures_and_previews_stay(dialog, small):
    machine, previews, catalogue = (module(small, name) for name in ("backend_settings", "previews", "catalogue"))
    previews.refresh()
    await_previews(previews)
    settings = machine.preferences()
    settings.backend_mode, settings.url = "URL", "http://127.0.0.1:9"
    props = dialog("swap_gesture")
    await_previews(previews)
    settings.backend_mode = "OWN"
    assert cells(props) == ["0002", "0001"]
    assert previews.preview_file(previews._folder(), catalogue.find("0002")).exists()
    assert bpy.context.window_manager.gesticulator_job.error == ""


def test_scripts_choose_without_a_dialog(performance):
    with pytest.raises(RuntimeError, match="No gesture was chosen"):
        bpy.ops.gesticulator.swap_gesture()
    assert bpy.ops.gesticulator.swap_gesture(gesture_id="0001", variant=2) == {"FINISHED"}
    assert bpy.ops.gesticulator.add_gesture(word=0, gesture_id="0002", variant=1) == {"FINISHED"}


def test_while_a_job_runs_the_dialog_leaves_the_backend_alone(dialog, small, monkeypatch):
    live, previews = module(small, "job_runner"), module(small, "previews")
    monkeypatch.setattr(module(small, "operators.generate"), "waits", lambda wait: wait)
    bpy.ops.gesticulator.generate()
    started = []
    monkeypatch.setattr(previews, "refresh", lambda: started.append(1))
    dialog("swap_gesture")
    assert not started
    while live.tick():
        time.sleep(0.01)
    dialog("swap_gesture")
    assert started


def test_previews_are_cancelled_before_the_backend_is_stopped(dialog, small, monkeypatch):
    live, previews, setup = (module(small, name) for name in ("job_runner", "previews", "operators.setup"))
    live.connection.stop()
    with monkeypatch.context() as slow:
        slow.setattr(previews, "fetch", lambda *given: given[-1].sleep(60))
        slow.setattr(setup, "set_up", lambda plan, control: {})
        previews.refresh()
        bpy.ops.gesticulator.setup_backend()
        previews._job.wait(10)
    assert previews._job.tick().state == "cancelled"
    assert live.connection.pid is None
    previews.refresh()  # the same library again is a new job, not the cancelled one
    await_previews(previews)
    assert previews._job.tick().state == "done"
