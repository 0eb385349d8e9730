from metaflow.metaflow_environment import MetaflowEnvironment


class ShellyEnvironment(MetaflowEnvironment):
    TYPE = "shelly"

    def executable(self, step_name, default=None):
        return "$THERE/python -s"

    def bootstrap_commands(self, step_name, datastore_type):
        return ["echo 'It is \\\"%s\\\"'" % datastore_type, 'export THERE="$PROGRAMS"']


class StubbornEnvironment(MetaflowEnvironment):
    TYPE = "stubborn"

    def get_package_commands(self, *args, **kwargs):
        return ["true"] + super().get_package_commands(*args, **kwargs)
