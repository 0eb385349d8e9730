"""Hooks Ferroflow into Metaflow.

`module_overrides` and not `toplevel`: Metaflow adds the version of every `toplevel` extension to its own
(metaflow/metaflow_version.py, get_version), and the run's `metaflow_version` tag would change.
"""

module_overrides = "hook"
