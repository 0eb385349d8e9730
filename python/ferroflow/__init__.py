"""The Python side of Ferroflow: it hands runs of unmodified Metaflow flows over to the engine, a Rust binary."""

__version__ = "0.1.0"
