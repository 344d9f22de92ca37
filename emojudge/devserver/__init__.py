"""A test double of an OpenAI-compatible service, on loopback (`emojudge dev-server`); no model answers, nothing costs money."""

from emojudge.devserver.faults import Fault, read_script
from emojudge.devserver.server import DevServer, serve

__all__ = ["DevServer", "Fault", "read_script", "serve"]
