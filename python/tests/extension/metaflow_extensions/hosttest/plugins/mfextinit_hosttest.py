"""An environment as @conda makes one: its interpreter is known in the container only."""

ENVIRONMENTS_DESC = [
    ("shelly", ".environments.ShellyEnvironment"),
    ("stubborn", ".environments.StubbornEnvironment"),
]
