"""An environment as @conda makes one, whose interpreter is known in the container only, and a way to credentials."""

ENVIRONMENTS_DESC = [
    ("shelly", ".environments.ShellyEnvironment"),
    ("stubborn", ".environments.StubbornEnvironment"),
]

AWS_CLIENT_PROVIDERS_DESC = [("company", ".clients.CompanyClients")]
STEP_DECORATORS_DESC = [("stranger", ".decorators.StrangerDecorator")]
