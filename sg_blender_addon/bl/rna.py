"""Blender's data model (RNA) in Python's types: typed properties, and what its stub leaves open.

A property is written once, with its type: `seed: Annotated[int, bpy.props.IntProperty(min=0)]`. Type checkers read the
first part, Blender the second, once `declare_properties` has shown it to Blender.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import NoneType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args, get_origin

import bpy

if TYPE_CHECKING:  # enumerators have names in the stub alone; a mix-in sees what the classes that use it have
    from bpy.stub_internal import rna_enums

    Icon = rna_enums.IconItems
    OperatorResult = set[rna_enums.OperatorReturnItems]
    OperatorMixin = bpy.types.Operator
    PanelMixin = bpy.types.Panel
else:
    Icon, OperatorResult = str, set[str]
    OperatorMixin = PanelMixin = object

T = TypeVar("T")
Row_co = TypeVar("Row_co", covariant=True)

_VALUES = {
    "BoolProperty": bool,
    "IntProperty": int,
    "FloatProperty": float,
    "StringProperty": str,
    "EnumProperty": str,
}


class Rows(Protocol[Row_co]):
    """What a CollectionProperty holds."""

    def add(self) -> Row_co: ...
    def clear(self) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Row_co: ...
    def __iter__(self) -> Iterator[Row_co]: ...


def declare_properties(cls: type) -> None:
    """Show Blender the properties of a class and of its mix-ins; to be called before the class is registered.

    TypeError when a property does not hold the values that its type promises.
    """
    found = {}
    for base in reversed(cls.__mro__):
        for name, hint in inspect.get_annotations(base, eval_str=True).items():
            if hasattr(hint, "__metadata__"):  # of Annotated
                declared, definition = get_args(hint)
                if not _fits(declared, definition):
                    raise TypeError(f"{base.__name__}.{name} is no {declared}: {definition}")
                found[name] = definition
    if found:
        cls.__annotations__.update(found)


def _fits(declared: Any, definition: Any) -> bool:
    kind, options = definition.function.__name__, definition.keywords
    if kind == "PointerProperty":  # ours are data-blocks, and those may be missing
        return set(get_args(declared)) == {options["type"], NoneType}
    if kind == "CollectionProperty":
        return get_origin(declared) is Rows and get_args(declared) == (options["type"],)
    return _VALUES.get(kind) is declared


def add_property(owner: type[bpy.types.ID], name: str, group: type[bpy.types.PropertyGroup]) -> None:
    """Give every data-block of a type a group of properties under that name."""
    setattr(owner, name, bpy.props.PointerProperty(type=group))  # type: ignore[func-returns-value]  # a deferred one


def present(value: T | None) -> T:
    """What Blender's types call optional and is there whenever our code runs: the scene of a context, say."""
    assert value is not None, "Blender has not what its type promises here"
    return value


def custom_property(owner: bpy.types.ID, key: str) -> Any:
    """A custom property's value, None without."""
    values: Any = owner  # the stub knows no answer of `get`
    return values.get(key)


def armature_of(obj: bpy.types.Object) -> bpy.types.Armature:
    """An armature object's bones at rest."""
    data = obj.data
    assert isinstance(data, bpy.types.Armature), f"{obj.name} is no armature"
    return data
