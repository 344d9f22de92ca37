"""One corpus, one file: `LABELS` and `utterances(root)`; see docs/extend.md."""
