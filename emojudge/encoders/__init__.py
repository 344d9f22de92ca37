"""One encoder, one file: `open(argument, settings)`; see docs/extend.md."""
