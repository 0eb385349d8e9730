"""The plan: what the engine must know about a run. Its shape is that of src/model/plan.rs and graph.rs."""

import os
import sys

from . import attach, credentials, runner
from .errors import HandBack

PLAN_VERSION = 1
BATCH_MODULE = "metaflow.plugins.aws.batch.batch_decorator"


def describe(runtime, batch_steps):
    """The plan document of a `NativeRuntime` that is about to execute."""
    graph = runtime._graph
    plan = {
        "version": PLAN_VERSION,
        "flow": runtime._flow.name,
        "run": str(runtime._run_id),
        "params": runtime._params_task.path,
        "graph": {
            "start": start_step(graph),
            "end": end_step(graph),
            "nodes": [_node(graph[name]) for name in graph.sorted_nodes],
        },
        "steps": {name: _step(runtime, name, batch_steps) for name in graph.sorted_nodes},
        "limits": {
            "max_workers": runtime._max_workers,
            "max_num_splits": runtime._max_num_splits,
            "max_log_size": runtime._max_log_size,
        },
        "datastore": {
            "kind": runtime._flow_datastore.TYPE,
            "root": runtime._flow_datastore.datastore_root,
        },
        "metadata": runtime._metadata.TYPE,
        "console": {"color": _color(), "quiet": _quiet()},
        "ends_with_host": runner.has_started_this(),
        "origin": attach.origin(runtime),
        "taken_from": attach.taken_from(),
        "tasks_made": attach.tasks_made(runtime),
    }
    if runtime._metadata.TYPE == "local":
        plan["metadata_root"] = _metadata_root()
    if runtime._flow_datastore.TYPE == "s3":
        plan["s3"] = _s3()
        aws = credentials.describe(runtime, any(step["batch"] for step in plan["steps"].values()))
        if aws is not None:
            plan["aws"] = aws
    return plan


def start_step(graph):
    """The first step; before custom names (metaflow/graph.py, _identify_start_end) always `start`."""
    return getattr(graph, "start_step", None) or "start"


def end_step(graph):
    """The last step; before custom names always `end`."""
    return getattr(graph, "end_step", None) or "end"


def batch_decorator(decorators):
    """The decorator of exactly upstream's class, or None: a subclass may do anything."""
    upstream = getattr(sys.modules.get(BATCH_MODULE), "BatchDecorator", None)
    for deco in decorators:
        if upstream is not None and type(deco) is upstream:
            return deco
    return None


def _node(node):
    return {
        "name": node.name,
        "kind": node.type,
        "next": list(node.out_funcs),
        "previous": sorted(node.in_funcs),
        "split_parents": list(node.split_parents),
        "parallel_foreach": bool(node.parallel_foreach),
    }


def _metadata_root():
    """The `.metaflow` folder of the local metadata provider (metaflow/plugins/metadata_providers/local.py)."""
    from metaflow.plugins.datastores.local_storage import LocalStorage

    root = LocalStorage.datastore_root or LocalStorage.get_datastore_root_from_config(
        lambda *_args, **_kwargs: None, create_on_absent=False
    )
    return root and os.path.abspath(root)


def _s3():
    """How upstream's S3 datastore reaches S3 (metaflow/plugins/datatools/s3/s3.py, S3Client).

    metaflow_config.py makes the client's parameters of METAFLOW_S3_ENDPOINT_URL, METAFLOW_S3_VERIFY_CERTIFICATE and
    METAFLOW_DATATOOLS_CLIENT_PARAMS.
    """
    from metaflow import metaflow_config

    client = getattr(metaflow_config, "DATATOOLS_CLIENT_PARAMS", {})
    verify = client.get("verify")
    return {
        "endpoint": client.get("endpoint_url") or None,
        "server_side_encryption": getattr(metaflow_config, "S3_SERVER_SIDE_ENCRYPTION", None) or None,
        "ca_bundle": os.path.abspath(verify) if isinstance(verify, str) else None,
    }


def _step(runtime, name, batch_steps):
    decorators = _decorators(runtime, name)
    batch = batch_decorator(decorators) is not None and batch_steps.obstacle(name, decorators) is None
    timeout = any(deco.name == "timeout" for deco in decorators)
    return {"retry": _retry(name, decorators, batch), "batch": batch, "timeout": timeout}


def _decorators(runtime, name):
    """As `NativeRuntime._new_task` chooses them."""
    if getattr(runtime, "_skip_decorator_hooks", False):
        return []
    return getattr(runtime._flow, name).decorators


def _retry(step, decorators, batch):
    """Maxima from 0 (metaflow/runtime.py, Task.__init__); what says `(None, None)` forbids retries altogether."""
    user = error = 0
    for deco in decorators:
        user_retries, error_retries = deco.step_task_retry_count()
        if user_retries is None or error_retries is None:
            raise HandBack("decorator @%s of step %s manages its own tasks (unbounded foreach)" % (deco.name, step))
        user = max(user, user_retries)
        error = max(error, error_retries)
    return {"user": user, "error": error, "minutes_between": _minutes_between(step, decorators, batch)}


def _minutes_between(step, decorators, batch):
    """As metaflow/plugins/aws/batch/batch_cli.py reads it, from the first @retry. Only Batch looks at it."""
    for deco in decorators:
        if deco.name == "retry":
            value = deco.attributes.get("minutes_between_retries", 1)
            try:
                return max(0, int(value))
            except (TypeError, ValueError):
                if batch:
                    raise HandBack("minutes_between_retries of step %s is %r" % (step, value)) from None
                return 0
    return 0


def _color():
    """Whether click would colour a line on standard output (`no_color.py` has made it honour NO_COLOR)."""
    try:
        from metaflow._vendor.click._compat import should_strip_ansi
        from metaflow._vendor.click.globals import resolve_color_default

        return not should_strip_ansi(sys.stdout, resolve_color_default())
    except (ImportError, AttributeError):
        return bool(getattr(sys.stdout, "isatty", lambda: False)())


def _quiet():
    """`--quiet` (`start` in metaflow/cli.py)."""
    try:
        from metaflow._vendor.click import get_current_context

        return bool(get_current_context().obj.is_quiet)
    except (ImportError, AttributeError, RuntimeError):
        return False
