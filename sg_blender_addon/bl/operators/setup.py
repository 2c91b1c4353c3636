"""Set up, check, remove the backend; cancel the live job; the error box's buttons."""

from __future__ import annotations

from typing import Annotated, Any

import addon_utils
import bpy

from ...client import environment
from ...client.job import Job
from ...client.setup import set_up
from .. import backend_settings, job_runner, previews
from ..rna import OperatorResult, present
from .base import GesticulatorOperator, busy_reason, waits


class GESTICULATOR_OT_setup_backend(GesticulatorOperator, bpy.types.Operator):
    """Make the backend's own Python environment and install what it needs; the panel says how much has to
    be downloaded. Blender stays usable meanwhile. Can be stopped: the next press goes on from there"""

    bl_idname = "gesticulator.setup_backend"
    bl_label = "Set up backend"
    bl_options = {"REGISTER"}

    wait: Annotated[
        bool,
        bpy.props.BoolProperty(
            name="Wait", description="Return when all is done (always so in background mode)", options={"SKIP_SAVE"}
        ),
    ]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if not bpy.app.online_access and backend_settings.wheels() is None:
            return "Blender's online access is off: allow it in Preferences > System > Network"
        return busy_reason()

    def run(self, context: bpy.types.Context) -> str:
        plan = backend_settings.environment_plan()
        if plan.wheels is None:
            backend_settings.require_online("The backend's packages have to be downloaded")
        previews.cancel()
        job_runner.connection.stop()  # the old environment's files would stay, for the next time
        return job_runner.run(Job("setup", lambda control: set_up(plan, control)), _done, wait=waits(self.wait))


def _done(report: dict[str, Any]) -> str:
    """What the backend's own doctor found."""
    checks = [check for check in report.get("checks", ()) if isinstance(check, dict)]
    missing = [str(check.get("name")) for check in checks if not check.get("ok")]
    return "The backend is set up and works" + (f", without {' and '.join(missing)}" if missing else "")


class GESTICULATOR_OT_check_backend(GesticulatorOperator, bpy.types.Operator):
    """Start the backend, or call the one at the address, and say whether it answers"""

    bl_idname = "gesticulator.check_backend"
    bl_label = "Test"
    bl_options = {"REGISTER"}

    wait: Annotated[bool, bpy.props.BoolProperty(options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return busy_reason()

    def run(self, context: bpy.types.Context) -> str:
        choice = backend_settings.backend_choice()

        def work(control: Any) -> dict[str, Any]:
            control.report("Calling the backend", 0.3)
            api = job_runner.connection.open(choice, control.check)
            try:
                return {**api.health(), "gestures": len(api.gestures())}
            finally:
                api.close()

        return job_runner.run(Job("check", work), _healthy, wait=waits(self.wait))


def _healthy(health: dict[str, Any]) -> str:
    return f"The backend answers: version {health.get('version', 'unknown')}, {health['gestures']} gestures"


class GESTICULATOR_OT_remove_backend(GesticulatorOperator, bpy.types.Operator):
    """Delete the backend's environment; 'Set up backend' makes it anew"""

    bl_idname = "gesticulator.remove_backend"
    bl_label = "Remove the backend"
    bl_options = {"REGISTER"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if environment.state(backend_settings.backend_folder(), backend_settings.ROOT) == environment.MISSING:
            return "There is no environment to remove"
        return busy_reason()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        return present(context.window_manager).invoke_confirm(self, event)

    def run(self, context: bpy.types.Context) -> str:
        previews.cancel()
        job_runner.connection.stop()
        environment.remove(backend_settings.backend_folder())
        return "The backend's environment was removed"


class GESTICULATOR_OT_cancel(GesticulatorOperator, bpy.types.Operator):
    """Stop the running job; the scene stays as it is"""

    bl_idname = "gesticulator.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return "" if job_runner.busy() else "No job is running"

    def run(self, context: bpy.types.Context) -> str:
        job_runner.cancel()
        return ""


class GESTICULATOR_OT_copy_details(GesticulatorOperator, bpy.types.Operator):
    """Copy the error with what helps to find its cause; your name and folders are left out"""

    bl_idname = "gesticulator.copy_details"
    bl_label = "Copy details"
    bl_options = {"INTERNAL"}

    def run(self, context: bpy.types.Context) -> str:
        present(context.window_manager).clipboard = job_runner.state(context).details
        return "Copied"


class GESTICULATOR_OT_dismiss_error(GesticulatorOperator, bpy.types.Operator):
    """Close this message"""

    bl_idname = "gesticulator.dismiss_error"
    bl_label = "Close"
    bl_options = {"INTERNAL"}

    def run(self, context: bpy.types.Context) -> str:
        job_runner.clear_error()
        return ""


class GESTICULATOR_OT_open_preferences(GesticulatorOperator, bpy.types.Operator):
    """Show the add-on's preferences, where the backend is set up"""

    bl_idname = "gesticulator.open_preferences"
    bl_label = "Preferences"
    bl_options = {"INTERNAL"}

    def run(self, context: bpy.types.Context) -> str:
        addon_utils.modules(refresh=True)  # an add-on that Blender has not listed yet would not be shown
        bpy.ops.preferences.addon_show(module=backend_settings.PACKAGE)
        return ""


CLASSES: tuple[type, ...] = (
    GESTICULATOR_OT_setup_backend,
    GESTICULATOR_OT_check_backend,
    GESTICULATOR_OT_remove_backend,
    GESTICULATOR_OT_cancel,
    GESTICULATOR_OT_copy_details,
    GESTICULATOR_OT_dismiss_error,
    GESTICULATOR_OT_open_preferences,
)
