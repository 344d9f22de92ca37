"""One format, one file: `SUFFIX` and `write(timeline, path)`; see docs/extend.md."""
