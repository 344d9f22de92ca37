"""An audformat database (extra `audformat`): a folder with db.yaml and a segmented table, for audEERING's tools and nkululeko."""

import shutil
import tempfile
from pathlib import Path

from emojudge.errors import MissingExtra
from emojudge.timeline import Timeline

SUFFIX = ".audformat"


def write(timeline: Timeline, path: Path) -> None:
    """Table `segments`; emotion has a scheme with the run's labels, probabilities and attributes one of numbers.

    Raises:
        MissingExtra: audformat is not installed.
    """
    try:
        import audformat
        import pandas
    except ImportError:
        raise MissingExtra("Writing audformat", "audformat") from None
    database = audformat.Database("emojudge", usage="research", description=timeline.notice or None)
    rows = timeline.flat()
    file = timeline.path or timeline.name
    starts = pandas.to_timedelta([row["start"] for row in rows], unit="s")
    ends = pandas.to_timedelta([row["end"] for row in rows], unit="s")
    database["segments"] = table = audformat.Table(audformat.segmented_index([file] * len(rows), starts, ends))
    for name in list(rows[0])[3:] if rows else ():
        values = [row[name] for row in rows]
        if all(value is None for value in values):
            continue
        text = any(isinstance(value, str) for value in values)
        labels = timeline.emotions if name == "emotion" else None
        database.schemes[name] = audformat.Scheme("str" if text else "float", labels=labels)
        table[name] = audformat.Column(scheme_id=name)
        table[name].set(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        database.save(str(Path(folder) / "db"), storage_format="csv")
        shutil.rmtree(path, ignore_errors=True)
        (Path(folder) / "db").rename(path)
