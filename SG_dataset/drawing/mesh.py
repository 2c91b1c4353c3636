"""The solid figure that previews are drawn with: a skinned mesh built from the skeleton's own bone lengths.

Axes as in the skeleton: Y up, facing +Z, the character's left is +X; centimetres. Palms are lighter than the backs of
the hands, nails are white and the wrist bands differ (left teal, right orange), so that a small picture still tells
which hand is seen and from which side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import FINGERS, SIDES

Ints = NDArray[np.int64]
Colour = tuple[float, float, float]
Weights = list[tuple[int, float]]

SKIN: Colour = (0.97, 0.76, 0.63)
PALM: Colour = (1.0, 0.88, 0.82)
NAIL: Colour = (1.0, 0.97, 0.97)
HAIR: Colour = (0.25, 0.17, 0.13)
SHIRT: Colour = (0.24, 0.31, 0.43)
SLEEVE: Colour = (0.38, 0.49, 0.64)
PANTS: Colour = (0.27, 0.28, 0.32)
SHOE: Colour = (0.13, 0.13, 0.14)
EYE: Colour = (0.09, 0.09, 0.12)
WHITE: Colour = (1.0, 1.0, 1.0)
LIP: Colour = (0.78, 0.42, 0.40)
BAND: dict[str, Colour] = {"Left": (0.05, 0.62, 0.62), "Right": (0.97, 0.50, 0.10)}


@dataclass
class Body:
    """Vertices, normals and colours (V, 3), triangles (T, 3) with their part, two joints and weights per vertex."""

    vertices: Floats
    normals: Floats
    colours: Floats
    triangles: Ints
    part: Ints
    joints: Ints
    weights: Floats
    part_names: list[str]


@dataclass
class _Builder:
    vertices: list[Floats] = field(default_factory=list)
    colours: list[Floats] = field(default_factory=list)
    triangles: list[Ints] = field(default_factory=list)
    parts: list[Ints] = field(default_factory=list)
    joints: list[Ints] = field(default_factory=list)
    weights: list[Floats] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    count: int = 0

    def part(self, name: str) -> None:
        self.names.append(name)

    def add(
        self,
        mesh: tuple[Floats, Ints],
        colour: Colour | Callable[[Floats], Colour],
        joint: int | Callable[[Floats], Weights],
    ) -> None:
        v, f = mesh
        self.vertices.append(v)
        self.colours.append(np.array([colour(p) if callable(colour) else colour for p in v], float))
        self.triangles.append(f + self.count)
        self.parts.append(np.full(len(f), len(self.names) - 1))
        j, w = np.zeros((len(v), 2), int), np.zeros((len(v), 2))
        for i, p in enumerate(v):
            for slot, (index, weight) in enumerate(joint(p) if callable(joint) else [(joint, 1.0)]):
                j[i, slot], w[i, slot] = index, weight
        self.joints.append(j)
        self.weights.append(w)
        self.count += len(v)

    def build(self) -> Body:
        v, f = np.concatenate(self.vertices), np.concatenate(self.triangles)
        n = np.zeros_like(v)
        face = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
        for k in range(3):
            np.add.at(n, f[:, k], face)
        n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)
        return Body(
            v,
            n,
            np.concatenate(self.colours),
            f,
            np.concatenate(self.parts),
            np.concatenate(self.joints),
            np.concatenate(self.weights),
            self.names,
        )


def _outward(v: Floats, f: Ints) -> Ints:
    """Flip a closed mesh whose faces look inwards: mirrored limbs come out the wrong way round."""
    c = v - v.mean(0)
    volume = np.einsum("ij,ij->i", c[f[:, 0]], np.cross(c[f[:, 1]], c[f[:, 2]])).sum()
    return f if volume > 0 else f[:, ::-1].copy()


def _loft(rings: Sequence[Floats]) -> tuple[Floats, Ints]:
    """Skin a stack of equal rings and close both ends."""
    n, m = len(rings[0]), len(rings)
    v = np.concatenate([np.asarray(r, float) for r in rings] + [rings[0].mean(0)[None], rings[-1].mean(0)[None]])
    k = np.arange(n)
    k2 = (k + 1) % n
    f = []
    for i in range(m - 1):
        a, b = i * n + k, i * n + k2
        f += [np.stack([a, b, b + n], 1), np.stack([a, b + n, a + n], 1)]
    f += [
        np.stack([k2, k, np.full(n, m * n)], 1),
        np.stack([(m - 1) * n + k, (m - 1) * n + k2, np.full(n, m * n + 1)], 1),
    ]
    faces = np.concatenate(f)
    return v, _outward(v, faces)


def _frame(d: Floats, up: Floats) -> tuple[Floats, Floats, Floats]:
    d = d / np.linalg.norm(d)
    if abs(d @ up) > 0.95:
        up = np.array([0.0, 0.0, 1.0])
    s = np.cross(up, d)
    s /= np.linalg.norm(s)
    return s, np.cross(d, s), d


def _capsule(
    a: Sequence[float] | Floats,
    b: Sequence[float] | Floats,
    ra: float,
    rb: float,
    n: int = 14,
    m: int = 4,
    flat: float = 1.0,
) -> tuple[Floats, Ints]:
    """A tapered capsule; flat < 1 squeezes it along the vertical."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    s, u, d = _frame(b - a, np.array([0.0, 1.0, 0.0]))
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    rings = []
    for centre, r, angles in (
        (a, ra, np.linspace(-np.pi / 2 + 0.15, 0, m)),
        (b, rb, np.linspace(0, np.pi / 2 - 0.15, m)),
    ):
        for p in angles:
            ring = np.cos(t)[:, None] * s + flat * np.sin(t)[:, None] * u
            rings.append(centre + d * r * np.sin(p) + r * np.cos(p) * ring)
    return _loft(rings)


def _ellipsoid(c: Floats, r: Sequence[float], n: int = 14, m: int = 9) -> tuple[Floats, Ints]:
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return _loft(
        [
            c + np.stack([r[0] * np.cos(p) * np.sin(t), np.full(n, r[1] * np.sin(p)), r[2] * np.cos(p) * np.cos(t)], 1)
            for p in np.linspace(-np.pi / 2 + 0.1, np.pi / 2 - 0.1, m)
        ]
    )


def _superellipse(n: int, e: float) -> tuple[Floats, Floats]:
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    return np.sign(c) * np.abs(c) ** (2 / e), np.sign(s) * np.abs(s) ** (2 / e)


def _blend(a: int, b: int, x: float) -> Weights:
    x = min(1.0, max(0.0, x))
    return [(a, 1 - x), (b, x)]


def rest_positions(parents: Sequence[int], offsets: Floats) -> Floats:
    """Joint positions (J, 3) in the T pose with the root at the origin."""
    rest = np.zeros((len(parents), 3))
    for j, p in enumerate(parents):
        if p >= 0:
            rest[j] = rest[p] + offsets[j]
    return rest


def build_body(names: Sequence[str], parents: Sequence[int], offsets: Floats, ends: dict[int, Floats]) -> Body:
    """The figure for a skeleton with the canonical joint names; `ends` maps a joint to its end site's offset."""
    ix = {n: i for i, n in enumerate(names)}
    rest = rest_positions(parents, offsets)
    b = _Builder()
    _torso(b, ix, rest)
    _head(b, ix, rest, ends)
    for side in SIDES:
        _leg(b, ix, rest, side)
        _arm(b, ix, rest, side)
        _hand(b, ix, rest, ends, side)
    return b.build()


_TORSO = np.array(
    [
        (-13, 7, 6, 0),
        (-11, 13, 9, 0),
        (-6, 16, 10.2, -0.6),
        (0, 16, 10.2, -0.6),
        (6, 14.8, 9.6, -0.2),
        (13, 13.8, 9.6, 0.6),
        (20, 14, 10.2, 1.4),
        (28, 15.4, 11.2, 2.0),
        (36, 16.6, 11.4, 2.0),
        (42, 16.6, 10.8, 1.4),
        (46, 15.2, 9.7, 0.5),
        (49.5, 12, 8.2, -0.4),
        (52, 8.6, 6.8, -0.6),
        (54, 6.9, 6.2, -0.6),
        (55, 6.2, 5.8, -0.4),
    ]
)


def _torso(b: _Builder, ix: dict[str, int], rest: Floats) -> None:
    neck = rest[ix["Neck"]][1]
    spine, spine1, spine2 = (rest[ix[n]][1] for n in ("Spine", "Spine1", "Spine2"))
    knots = [
        (-1e3, "Hips"),
        (spine - 6, "Hips"),
        (spine + 4, "Spine"),
        (spine1 - 4, "Spine"),
        (spine1 + 4, "Spine1"),
        (spine2 - 4, "Spine1"),
        (spine2 + 4, "Spine2"),
        (neck - 2, "Spine2"),
        (neck + 3, "Neck"),
        (1e3, "Neck"),
    ]

    def weights(p: Floats) -> Weights:
        for (y0, j0), (y1, j1) in pairwise(knots):
            if y0 <= p[1] <= y1:
                return [(ix[j0], 1.0)] if j0 == j1 else _blend(ix[j0], ix[j1], (p[1] - y0) / (y1 - y0))
        return [(ix["Neck"], 1.0)]

    c, s = _superellipse(28, 2.35)
    up = neck / 53.34
    rings = [np.stack([w * c, np.full(28, y * (up if y > 0 else 1.0)), z + d * s], 1) for y, w, d, z in _TORSO]
    b.part("torso")
    b.add(_loft(rings), lambda p: PANTS if p[1] < 2.5 else SHIRT, weights)
    b.part("neck")
    base, head = rest[ix["Neck"]], rest[ix["Head"]]
    b.add(
        _capsule(base - [0, 3, 0.3], head + [0, 3, 0.2], 5.9, 5.6, 22),
        SKIN,
        lambda q: _blend(ix["Neck"], ix["Head"], (q[1] - base[1]) / 8),
    )
    for side, sign in (("Left", 1), ("Right", -1)):
        collar, shoulder = rest[ix[side + "Shoulder"]], rest[ix[side + "Arm"]]

        def blend(q: Floats, side: str = side) -> Weights:
            return _blend(ix["Spine2"], ix[side + "Shoulder"], (abs(q[0]) - 3) / 8)

        b.names[-1] = "neck"
        b.part("torso")
        b.add(_capsule(collar + [sign * 2, -3.2, 0], shoulder + [-sign * 1.0, -1.6, 0], 5.6, 5.4, 18), SHIRT, blend)
        b.add(
            _capsule([sign * 2.2, neck + 0.4, -1.6], shoulder + [-sign * 3.0, -0.6, -0.2], 4.8, 4.6, 18), SHIRT, blend
        )


_HEAD = np.array(
    [
        (-12.4, 2.2, 1.8, 5.6),
        (-12.0, 3.6, 3.4, 4.8),
        (-10.6, 5.0, 5.8, 3.2),
        (-8, 6.2, 7.8, 1.7),
        (-4.5, 7.2, 9.0, 0.7),
        (-1, 7.8, 9.6, 0.1),
        (3, 8.0, 9.9, -0.2),
        (6, 7.5, 9.4, -0.4),
        (8.5, 6.4, 8.0, -0.5),
        (10.3, 4.7, 6.0, -0.5),
        (11.3, 2.8, 3.6, -0.5),
        (11.6, 1.2, 1.6, -0.5),
    ]
)


def _head_loft(centre: Floats, grow: float) -> tuple[Floats, Ints]:
    q = np.linspace(0, len(_HEAD) - 1, 30)
    y, w, d, z = (np.interp(q, np.arange(len(_HEAD)), col) for col in _HEAD.T)
    c, s = _superellipse(32, 2.1)
    return _loft(
        [
            centre + np.stack([ww * grow * c, np.full(32, yy * grow), zz + dd * grow * s], 1)
            for yy, ww, dd, zz in zip(y, w, d, z, strict=True)
        ]
    )


def head_centre(head: Floats, end: Floats) -> Floats:
    """Centre of the skull in the head joint's own frame, given the joint's end site offset."""
    return np.array([0.0, end[1] - 11.6, 0.8])


def _head(b: _Builder, ix: dict[str, int], rest: Floats, ends: dict[int, Floats]) -> None:
    h = ix["Head"]
    c = rest[h] + head_centre(rest[h], ends[h])
    b.part("head")
    b.add(_head_loft(c, 1.0), SKIN, h)
    b.add(_capsule(c + [0, 0.8, 9.0], c + [0, -3.0, 10.4], 0.8, 1.55, 12), SKIN, h)
    for sign in (1, -1):
        b.add(_ellipsoid(c + [sign * 3.1, 0.9, 8.6], (1.7, 1.05, 0.85)), WHITE, h)
        b.add(_ellipsoid(c + [sign * 3.1, 0.9, 9.2], (0.85, 0.95, 0.5)), EYE, h)
        b.add(_capsule(c + [sign * 1.6, 3.3, 9.0], c + [sign * 4.6, 3.4, 8.0], 0.45, 0.35, 8, 3), HAIR, h)
        b.add(_ellipsoid(c + [sign * 8.1, -0.8, -0.8], (1.0, 3.1, 1.9)), SKIN, h)
    b.add(_capsule(c + [-2.1, -7.0, 8.9], c + [2.1, -7.0, 8.9], 0.75, 0.75, 10, 3), LIP, h)
    b.part("hair")
    v, f = _head_loft(c, 1.055)
    p = v - c
    keep = ((p[:, 2] < 0.6) & (p[:, 1] > -5.5) & ~((p[:, 2] > -3.6) & (p[:, 1] < 2.8))) | (p[:, 1] > 6.0)
    b.add((v, f[keep[f].all(1)]), HAIR, h)


def _leg(b: _Builder, ix: dict[str, int], rest: Floats, side: str) -> None:
    sign = 1 if side == "Left" else -1
    hip, knee, ankle = (rest[ix[side + n]] for n in ("UpLeg", "Leg", "Foot"))
    b.part(side + "Leg")
    b.add(_capsule(hip + [-sign * 2.4, -2, 0], knee, 8.6, 6.0, 18), PANTS, ix[side + "UpLeg"])
    b.add(_capsule(knee, ankle, 5.9, 4.2, 18), PANTS, ix[side + "Leg"])
    b.part(side + "Shoe")
    b.add(_capsule(ankle + [0, -4.2, -3], ankle + [0, -4.8, 13], 3.9, 3.2), SHOE, ix[side + "Foot"])


def _arm(b: _Builder, ix: dict[str, int], rest: Floats, side: str) -> None:
    shoulder, elbow, wrist = (rest[ix[side + n]] for n in ("Arm", "ForeArm", "Hand"))
    b.part(side + "UpperArm")
    b.add(_capsule(shoulder + [0, -0.6, 0], elbow, 5.3, 4.2, 18), SLEEVE, ix[side + "Arm"])
    b.part(side + "Forearm")
    b.add(_capsule(elbow, wrist + (elbow - wrist) * 0.22, 4.1, 2.9, 18), SLEEVE, ix[side + "ForeArm"])
    b.part(side + "Band")
    c, s = _superellipse(20, 2)
    rings = [
        wrist + (elbow - wrist) * a + np.stack([np.zeros(20), r * s, r * c], 1)
        for a, r in ((0.235, 2.6), (0.235, 3.3), (0.225, 3.45), (0.11, 3.2), (0.10, 3.1), (0.10, 2.4))
    ]
    b.add(_loft(rings), BAND[side], ix[side + "ForeArm"])


_PALM_RINGS = (
    (-0.02, 1.9, 1.25, 0.0),
    (0.04, 2.4, 1.5, -0.05),
    (0.2, 3.1, 1.7, -0.1),
    (0.45, 3.75, 1.6, -0.1),
    (0.75, 4.0, 1.4, -0.05),
    (0.95, 3.95, 1.15, 0.0),
    (1.03, 3.6, 0.85, 0.0),
)
_FINGER_RADII = {
    "Thumb": (1.4, 1.15, 1.0, 0.82),
    "Index": (0.95, 0.88, 0.79, 0.67),
    "Middle": (0.97, 0.90, 0.81, 0.69),
    "Ring": (0.93, 0.86, 0.77, 0.65),
    "Pinky": (0.83, 0.76, 0.68, 0.58),
}


def _two_tone(height: float) -> Callable[[Floats], Colour]:
    """Palm colour below a height of the T pose, where palms look down."""
    return lambda v: PALM if v[1] < height else SKIN


def _hand(b: _Builder, ix: dict[str, int], rest: Floats, ends: dict[int, Floats], side: str) -> None:
    sign = 1 if side == "Left" else -1
    hand = ix[side + "Hand"]
    wrist, elbow = rest[hand], rest[ix[side + "ForeArm"]]
    knuckles = np.array([rest[ix[f"{side}Hand{f}1"]] - wrist for f in FINGERS[1:]])
    length, z0, z1 = abs(knuckles[:, 0]).mean(), knuckles[0, 2], knuckles[3, 2]
    lift = knuckles[:, 1].mean()
    b.part(side + "Palm")
    b.add(_capsule(wrist + (elbow - wrist) * 0.12, wrist + [sign * 1.2, 0, 0], 2.5, 2.3, 16, 4, 0.8), SKIN, hand)
    c, s = _superellipse(22, 3.2)
    rings = [
        wrist
        + np.stack(
            [
                np.full(22, sign * q * length) - sign * 0.5 * np.maximum(0, -c) * (q > 0.5),
                y + lift * min(1.0, q) + th * s,
                (z0 + z1) / 2 * q + half * c,
            ],
            1,
        )
        for q, half, th, y in _PALM_RINGS
    ]
    b.add(_loft(rings), _two_tone(wrist[1] - 0.3), hand)
    for finger, (r0, r1, r2, r3) in _FINGER_RADII.items():
        joints = [ix[f"{side}Hand{finger}{k}"] for k in (1, 2, 3)]
        points = [rest[j] for j in joints] + [rest[joints[2]] + ends[joints[2]]]
        b.part(f"{side}{finger}")
        if finger == "Thumb":
            b.add(_capsule(wrist + [sign * 0.9, -0.3, 0.9], points[0], 1.5, 1.5, 12), _two_tone(wrist[1] - 0.9), hand)
        else:
            b.add(_capsule(points[0] - [sign * 2.0, 0.2, 0], points[0], r0, r0 * 1.04, 10, 3), SKIN, hand)
        for k, (ra, rb) in enumerate(((r0, r1), (r1, r2), (r2, r3))):
            tip = points[k + 1] - ([sign * rb * 0.5, 0, 0] if k == 2 else 0)
            y0 = points[k][1] - 0.25 * rb
            b.add(_capsule(points[k], tip, ra, rb, 12, 4), _two_tone(y0), joints[k])
        q = points[2] + (points[3] - points[2]) * 0.7
        b.add(
            _capsule(
                q + [-sign * 0.45, r3 * 0.80, 0], q + [sign * 0.40, r3 * 0.66, 0], r3 * 0.76, r3 * 0.68, 10, 3, 0.55
            ),
            NAIL,
            joints[2],
        )
