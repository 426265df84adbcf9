"""What the stages share: settings, wire messages, topics, Kafka, inference, logs, metrics and the command line."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("maskwatch")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
