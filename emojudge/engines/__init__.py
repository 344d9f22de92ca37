"""Who does the shards of a corpus-sized `emojudge predict`: one engine is one file; they differ only in where work is done."""
