"""The options of `batch step` for each task of a step, of which click parses the first one only.

Tasks of a step differ in the values of a few plain options (--task-id, --split-index, …). Making click's parser and asking
each of its 40 options anew costs 2 ms a task, which is most of what a wide foreach would cost in the host.
"""


class StepOptions:
    """Parses command lines of one click command. Whatever is not surely the same as click's own answer is click's."""

    def __init__(self, command, prefix):
        self._command = command
        self._prefix = prefix
        self._parsed = {}

    def parse(self, step, args):
        """The parameters that click hands to the command for `args`."""
        known = self._parsed.get(step)
        params = known.with_other_values(args) if known else None
        if params is None:
            context = self._command.make_context("step", list(args), auto_envvar_prefix=self._prefix)
            self._parsed[step] = _Parsed(self._command, list(args), context.params)
            params = dict(context.params)
        return params


class _Parsed:
    """A command line, what click made of it, and which of its words are values of plain options."""

    def __init__(self, command, args, params):
        self._args = args
        self._params = params
        self._plain = _plain_values(command, args)

    def with_other_values(self, args):
        """The parameters for `args`, or None where they differ in more than such values."""
        if len(args) != len(self._args):
            return None
        params = dict(self._params)
        for i, (word, known) in enumerate(zip(args, self._args)):
            if word == known:
                continue
            option = self._plain.get(i)
            if option is None:
                return None
            try:
                params[option.name] = option.type(word)
            except Exception:  # click shall say what is wrong with it
                return None
        return params


def _plain_values(command, args):
    """The options by the position of their values: those that are given once and have no code of their own."""
    from metaflow._vendor import click

    options = {name: param for param in command.params if isinstance(param, click.Option) for name in param.opts}
    found, times = {}, {}
    i = 0
    while i < len(args):
        option = options.get(args[i])
        if option is None and args[i].startswith("-"):
            return {}  # `--name=value` or the like
        takes_value = option is not None and not option.is_flag and not option.count
        if takes_value and i + option.nargs < len(args):
            times[option.name] = times.get(option.name, 0) + 1
            found[i + 1] = option
        i += 1 + (option.nargs if takes_value else 0)
    return {i: option for i, option in found.items() if times[option.name] == 1 and _is_plain(option)}


def _is_plain(option):
    from metaflow._vendor.click import types

    plain_type = type(option.type) in (types.StringParamType, types.IntParamType)
    return plain_type and option.nargs == 1 and not option.multiple and option.callback is None and option.expose_value
