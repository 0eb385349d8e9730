"""An extension as a company would have one: a step decorator that changes how steps are started."""

STEP_DECORATORS_DESC = [("through_shell", ".through_shell.ThroughShellDecorator")]
