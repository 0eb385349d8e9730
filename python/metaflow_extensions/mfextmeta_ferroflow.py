"""Says nothing about how Metaflow packs the extension: all of it, which is its way.

It is here for `pip uninstall`, which removes the folders that are empty then, from one with a file of its own downwards.
"""
