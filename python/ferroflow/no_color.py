"""NO_COLOR (https://no-color.org), which the click that Metaflow carries does not know."""


def obey():
    """Makes click print without terminal escapes, unless it is told to colour this very text."""
    try:
        from metaflow._vendor.click import globals as click_globals
        from metaflow._vendor.click import termui, utils
    except ImportError:
        return
    upstream = getattr(click_globals, "resolve_color_default", None)
    if upstream is None:
        return

    def resolve_color_default(color=None):
        chosen = upstream(color)
        return False if chosen is None else chosen

    for module in (click_globals, termui, utils):
        if getattr(module, "resolve_color_default", None) is upstream:
            module.resolve_color_default = resolve_color_default
