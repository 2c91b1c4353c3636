"""Which bone of the character plays which joint: detection and correction."""

from __future__ import annotations

from typing import Annotated

import bpy

from ...core.bone_maps import BoneMap
from ...core.errors import UserError
from ...core.skeleton import canonical
from .. import mapping, properties, rigs
from ..demo import character as demo_character
from ..rna import OperatorResult, Rows, armature_of, present
from .base import GesticulatorOperator, busy_reason

DIALOG_WIDTH = 420


def character_reason(context: bpy.types.Context, besides: str = "") -> str:
    """Why nothing can be done with the character, cheaply; empty if something may, also during a job `besides`."""
    character = properties.settings(context.scene).character
    if character is None:
        return "Choose the character's armature first"
    if character.type != "ARMATURE":
        return "The character has to be an armature"
    return busy_reason(besides)


class GESTICULATOR_OT_detect_rig(GesticulatorOperator, bpy.types.Operator):
    """Find out which bones of the character are its arms, spine, fingers and so on"""

    bl_idname = "gesticulator.detect_rig"
    bl_label = "Detect bones"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return character_reason(context, besides="setup")

    def run(self, context: bpy.types.Context) -> str:
        character = present(properties.settings(context.scene).character)
        found = rigs.detect_bones(character)
        problem = rigs.can_be_baked(character, found)
        if problem is not None:
            raise problem
        mapping.forget(character)
        return f"{character.name}: {mapping.summary(found)}"


class GESTICULATOR_OT_add_character(GesticulatorOperator, bpy.types.Operator):
    """Add the demo character, and let it speak: for a first try without a rig of your own"""

    bl_idname = "gesticulator.add_character"
    bl_label = "Add demo character"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if context.mode != "OBJECT":
            return "Switch to Object Mode first"
        return busy_reason(besides="setup")

    def run(self, context: bpy.types.Context) -> str:
        armature = demo_character.build(scene=context.scene)
        properties.settings(context.scene).character = armature
        return f"{armature.name} is ready to speak"


class GesticulatorBone(bpy.types.PropertyGroup):
    """A row of the mapping dialog: `name` is the joint."""

    bone: Annotated[str, bpy.props.StringProperty(name="Bone")]


class GESTICULATOR_OT_edit_mapping(GesticulatorOperator, bpy.types.Operator):
    """Say which bone is which, where detection was wrong. Kept with the armature"""

    bl_idname = "gesticulator.edit_mapping"
    bl_label = "Edit bones"
    bl_options = {"REGISTER", "UNDO"}

    joint: Annotated[
        str,
        bpy.props.StringProperty(name="Joint", description="For scripts: set this joint alone", options={"SKIP_SAVE"}),
    ]
    bone: Annotated[
        str, bpy.props.StringProperty(name="Bone", description="For scripts: the joint's bone", options={"SKIP_SAVE"})
    ]
    rows: Annotated[Rows[GesticulatorBone], bpy.props.CollectionProperty(type=GesticulatorBone, options={"SKIP_SAVE"})]
    part: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Part",
            items=(
                ("BODY", "Body", "Spine, head and legs"),
                ("LEFT", "Left hand", "The character's left fingers"),
                ("RIGHT", "Right hand", "The character's right fingers"),
            ),
            options={"SKIP_SAVE"},
        ),
    ]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return character_reason(context, besides="setup")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        try:
            current = mapping.of(present(properties.settings(context.scene).character))
        except UserError as error:
            return self._refuse(error)
        self.rows.clear()
        for joint in canonical().names:
            row = self.rows.add()
            row.name, row.bone = joint, current.joints.get(joint, "")
        return present(context.window_manager).invoke_props_dialog(self, width=DIALOG_WIDTH)

    def draw(self, context: bpy.types.Context) -> None:
        bones = armature_of(present(properties.settings(context.scene).character))
        layout = present(self.layout)
        layout.prop(self, "part", expand=True)
        column = layout.column(align=True)
        column.use_property_split = True
        for row in self.rows:
            if part_of(row.name) == self.part:
                column.prop_search(row, "bone", bones, "bones", text=row.name)

    def run(self, context: bpy.types.Context) -> str:
        character = present(properties.settings(context.scene).character)
        names = [bone.name for bone in armature_of(character).bones]
        if self.joint:
            base = mapping.of(character).with_joint(self.joint, self.bone)
            joints = dict(base.joints)
        elif len(self.rows):
            joints = {row.name: row.bone for row in self.rows if row.bone}
        else:
            raise UserError("No joint was given.", "Pass joint= and bone=, or use the dialog.", "bad_mapping")
        edited = BoneMap.from_json({"preset": "custom", "joints": joints}, names)
        problem = rigs.can_be_baked(character, edited)
        if problem is not None:
            raise problem
        mapping.save(character, edited)
        return f"{character.name}: {mapping.summary(edited)}"


def part_of(joint: str) -> str:
    """Which page of the dialog shows a joint."""
    for side in ("Left", "Right"):
        if joint.startswith((side + "Hand", side + "InHand")) and joint != side + "Hand":
            return side.upper()
    return "BODY"


CLASSES: tuple[type, ...] = (
    GesticulatorBone,
    GESTICULATOR_OT_detect_rig,
    GESTICULATOR_OT_edit_mapping,
    GESTICULATOR_OT_add_character,
)
