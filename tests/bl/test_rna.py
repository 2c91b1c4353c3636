"""Properties with the types of their values: what type checkers are told is what Blender holds."""

from __future__ import annotations

import inspect
from typing import Annotated

import pytest

bpy = pytest.importorskip("bpy")

from tests.bl.scenes import module  # noqa: E402 - only with bpy

PYTHON_TYPES = {"BOOLEAN": "bool", "INT": "int", "FLOAT": "float", "STRING": "str", "ENUM": "str"}


def test_blender_knows_every_declared_property(addon):
    def known(cls: type):
        if issubclass(cls, bpy.types.Operator):  # their properties Blender keeps elsewhere
            return getattr(bpy.ops.gesticulator, cls.bl_idname.partition(".")[2]).get_rna_type().properties
        return cls.bl_rna.properties

    found = {
        f"{cls.__name__}.{name}": name in known(cls)
        for cls in addon.registration.CLASSES
        for base in cls.__mro__
        for name, hint in inspect.get_annotations(base, eval_str=True).items()
        if hasattr(hint, "__metadata__") or hasattr(hint, "keywords")  # declared, or as Blender has it by now
    }
    assert [name for name, there in found.items() if not there] == []
    assert "GESTICULATOR_OT_swap_gesture.gesture_id" in found  # of a mix-in


def test_the_preferences_are_what_their_readers_are_promised(addon):
    settings = module(addon, "backend_settings")
    properties = type(settings.preferences()).bl_rna.properties
    promised = inspect.get_annotations(settings.BackendPreferences)
    assert {name: PYTHON_TYPES[properties[name].type] for name in promised} == promised
    own = {
        name for name in (p.identifier for p in properties) if name not in bpy.types.AddonPreferences.bl_rna.properties
    }
    assert own == set(promised)


@pytest.mark.parametrize(
    ("declared", "definition"),
    [
        (str, bpy.props.IntProperty()),
        (int, bpy.props.FloatProperty()),
        (bpy.types.Object, bpy.props.PointerProperty(type=bpy.types.Object)),  # may be missing
        (bpy.types.Text | None, bpy.props.PointerProperty(type=bpy.types.Object)),
        (list, bpy.props.CollectionProperty(type=bpy.types.PropertyGroup)),
    ],
)
def test_a_property_of_another_type_than_declared_is_refused(addon, declared, definition):
    wrong = type("Wrong", (), {"__annotations__": {"value": Annotated[declared, definition]}})
    with pytest.raises(TypeError, match=r"Wrong\.value"):
        module(addon, "rna").declare_properties(wrong)
