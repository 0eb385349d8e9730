"""Whether this run can be handed over: asked of the objects themselves, never of a version number.

The host runs inside upstream's own `execute` and lets upstream's own code launch tasks up to the process it would start
(host.py, prepare.py). So what must hold is that this code is there and calls the places where we step in.
"""

import inspect
import sys

from .errors import HandBack

UPSTREAM_METADATA = "metaflow.plugins.metadata_providers."
UPSTREAM_DATASTORES = "metaflow.plugins.datastores."

_NEEDED = "; Ferroflow runs on Metaflow 2.15 and newer"

# What a method of upstream must mention for our replacements to be met (`co_names` of its code).
_MENTIONS = {
    "NativeRuntime.execute": (
        "_poll_workers _queue_tasks _launch_workers _killall _run_queue _active_tasks _cloned_tasks "
        "_finished _config_file_name _logger runtime_finished"
    ),
    "NativeRuntime._launch_workers": "_run_queue _queue_pop _new_task _launch_worker",
    "NativeRuntime._queue_pop": "_run_queue",
    "NativeRuntime._new_task": "_is_cloned Task",
    "NativeRuntime._retry_worker": "task retries new_attempt _launch_worker",
    "NativeRuntime._launch_worker": "Worker",
    "Worker._launch": "CLIArgs runtime_step_cli subprocess Popen",
}

# Options of botocore's `Config` that change how long requests take, not where they go or what they mean.
_HARMLESS = frozenset(
    "connect_timeout read_timeout max_pool_connections retries tcp_keepalive user_agent user_agent_extra".split()
)

_ATTRIBUTES = {
    "runtime": (
        "_flow _graph _params_task _metadata _environment _flow_datastore _run_id _clone_run_id _logger "
        "_max_workers _max_num_splits _max_log_size _is_cloned _finished _run_queue _active_tasks"
    ),
    "_graph": "sorted_nodes nodes",
    "_flow_datastore": "TYPE datastore_root",
    "_params_task": "path",
}


def check(runtime, original_execute, runtime_module):
    """Raises `HandBack` unless everything that we need is there and the flow is one that we run."""
    _check_class(runtime, runtime_module)
    _check_code(original_execute, runtime_module)
    _check_attributes(runtime)
    _check_signatures(runtime, runtime_module)
    _check_flow(runtime)
    _check_stores(runtime)
    _check_s3_client(runtime)
    _check_limits(runtime)


def _check_class(runtime, runtime_module):
    kind = type(runtime)
    if kind is not runtime_module.NativeRuntime or kind.__module__ != "metaflow.runtime":
        raise HandBack("the runtime is %s.%s, not Metaflow's own" % (kind.__module__, kind.__name__))


def _check_code(original_execute, runtime_module):
    for path, mentions in _MENTIONS.items():
        owner, name = path.split(".")
        found = getattr(getattr(runtime_module, owner, None), name, None)
        if name == "execute":
            found = original_execute
        code = getattr(inspect.unwrap(found) if found else None, "__code__", None)
        missing = set(mentions.split()).difference(_names(code) if code else ())
        if missing:
            raise HandBack("%s of this Metaflow does not use %s%s" % (path, ", ".join(sorted(missing)), _NEEDED))


def _names(code):
    """What a function mentions, in comprehensions too, which are code objects of their own until Python 3.12."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            names |= _names(constant)
    return names


def _check_attributes(runtime):
    for name, attributes in _ATTRIBUTES.items():
        holder = runtime if name == "runtime" else getattr(runtime, name)
        missing = [a for a in attributes.split() if not hasattr(holder, a)]
        if missing:
            raise HandBack("%s of this Metaflow has no %s%s" % (name, ", ".join(missing), _NEEDED))


def _check_signatures(runtime, runtime_module):
    calls = [
        (runtime._new_task, ("step",), {"input_paths": [], "split_index": None}),
        (runtime._launch_workers, (), {}),
        (runtime._retry_worker, ("worker",), {}),
        (runtime_module.CLIArgs, ("task",), {}),
        (runtime_module.TaskFailed, ("task", "message"), {}),
    ]
    for function, args, kwargs in calls:
        try:
            inspect.signature(function).bind(*args, **kwargs)
        except TypeError as error:
            name = getattr(function, "__name__", function)
            raise HandBack("%s of this Metaflow takes other arguments: %s%s" % (name, error, _NEEDED)) from None


def _check_flow(runtime):
    if runtime._clone_run_id is not None or getattr(runtime, "_cloned_tasks", None):
        raise HandBack("it resumes another run")
    use_r = getattr(getattr(sys.modules.get("metaflow"), "R", None), "use_r", None)
    if use_r is not None and use_r():
        raise HandBack("it is a flow in R")
    for name in runtime._graph.sorted_nodes:
        if runtime._graph[name].parallel_foreach:
            raise HandBack("step %s starts a @parallel step (num_parallel)" % name)


def _check_stores(runtime):
    store = runtime._flow_datastore
    implementation = getattr(store, "_storage_impl", store)
    module = (implementation if isinstance(implementation, type) else type(implementation)).__module__
    if store.TYPE not in ("local", "s3") or not module.startswith(UPSTREAM_DATASTORES):
        raise HandBack("its datastore is %s (%s)" % (store.TYPE, module))
    metadata = runtime._metadata
    if metadata.TYPE not in ("local", "service") or not type(metadata).__module__.startswith(UPSTREAM_METADATA):
        raise HandBack("its metadata provider is %s (%s)" % (metadata.TYPE, type(metadata).__module__))


def _check_s3_client(runtime):
    """What upstream gives to boto3 and the engine cannot honour (metaflow_config.py, DATATOOLS_CLIENT_PARAMS)."""
    from metaflow import metaflow_config

    if runtime._flow_datastore.TYPE != "s3":
        return
    client = getattr(metaflow_config, "DATATOOLS_CLIENT_PARAMS", None) or {}
    # get_aws_client adds `config`, or makes an object of it and adds retries.
    unknown = set(client) - {"endpoint_url", "verify", "config"}
    unknown.update("config.%s" % name for name in set(_options(client.get("config"))) - _HARMLESS)
    if unknown:
        raise HandBack("METAFLOW_DATATOOLS_CLIENT_PARAMS has %s" % ", ".join(sorted(unknown)))
    if client.get("verify") is False:
        raise HandBack("METAFLOW_DATATOOLS_CLIENT_PARAMS turns the check of certificates off")


def _options(config):
    """What somebody has set in a configuration of botocore, which is a dictionary until it is used."""
    return config if isinstance(config, dict) else getattr(config, "_user_provided_options", None) or {}


def _check_limits(runtime):
    """Values that upstream takes and that make no sense stay upstream's."""
    if runtime._max_workers < 1:
        raise HandBack("--max-workers is %s" % runtime._max_workers)
    if runtime._max_num_splits < 0 or runtime._max_log_size < 0:
        raise HandBack("--max-num-splits or --max-log-size is negative")
