"""What all our operators share: a reason when greyed out, and user errors in the report and in the panel's box."""

from __future__ import annotations

import traceback

import bpy

from ...core.errors import Cancelled, UserError
from .. import job_runner
from ..rna import OperatorMixin, OperatorResult

WARNING_LIMIT = 3


class GesticulatorOperator(OperatorMixin):
    """Mix-in. Subclasses write `disabled_reason` and `run`; what `run` returns is reported."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Why the operator cannot run now, in a sentence for the tooltip; empty if it can. Must be cheap."""
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = cls.disabled_reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def run(self, context: bpy.types.Context) -> str:
        """Do the work; raise UserError for what the user can mend."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        try:
            message = self.run(context)
        except Cancelled:
            return {"CANCELLED"}
        except UserError as error:
            return self._refuse(error)
        except Exception as error:  # noqa: BLE001 - a traceback in a console nobody sees helps nobody
            return self._refuse(job_runner.unexpected(error), traceback.format_exc())
        if message:
            self.report({"INFO"}, message)
        return {"FINISHED"}

    def _refuse(self, error: UserError, more: str = "") -> OperatorResult:
        if job_runner.state().error != error.message:
            job_runner.show_error(error, more)
        self.report({"ERROR"}, str(error))
        return {"CANCELLED"}


def busy_reason(besides: str = "") -> str:
    """besides: kind of job that the operator does not mind."""
    return "A job is running: wait for it, or cancel it" if job_runner.busy(besides) else ""


def waits(wait: bool) -> bool:
    """Scripts and background mode have no timers to come back to: there the operator blocks until all is done."""
    return wait or bpy.app.background
