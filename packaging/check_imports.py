"""Read every import, late and TYPE_CHECKING ones too, and count the circles:  python packaging/check_imports.py

import-linter holds the order of the rooms; this holds that no modules know each other in a ring, wherever they stand.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

import grimp

PACKAGES = ("sg_blender_addon", "SG_dataset", "backend", "training")


def imports() -> dict[str, set[str]]:
    """What each module imports from our packages, wherever in the file it does."""
    graph = grimp.build_graph(*PACKAGES)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def find_circles(imported: Mapping[str, set[str]]) -> list[list[str]]:
    """One ring of modules for each knot of them: found, cut and looked for again until there is none."""
    graph, circles = {module: set(others) for module, others in imported.items()}, []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            ring = list(error.args[1])  # each is imported by the next; the last is the first again
            circles.append(ring)
            graph[ring[1]].discard(ring[0])
        else:
            return circles


def main() -> int:
    """Print the circles; 1 when there is one."""
    circles = find_circles(imports())
    for ring in circles:
        print(" <- ".join(ring))
    print(f"{len(circles)} circles of imports")
    return 1 if circles else 0


if __name__ == "__main__":
    sys.exit(main())
