"""Where corpora know which clips share a conversation or recording, for `evaluation.cluster = "session"`."""

import pytest

from emojudge.corpora import emorynlp, iemocap, meld, msp_improv, msp_podcast, table
from tests import made_up_corpora


@pytest.mark.parametrize(
    ("corpus", "sessions"),
    [
        (iemocap, lambda u: u.id[:5]),
        (msp_improv, lambda u: f"session{int(u.speaker[1:])}"),
        (meld, lambda u: u.id.split("_utt")[0]),
        (emorynlp, lambda u: u.id.rsplit("_", 1)[0]),
        (msp_podcast, lambda u: "_".join(u.id.split("_")[:2])),
    ],
)
def test_sessions_are_those_of_the_ids(tmp_path, corpus, sessions):
    name = corpus.__name__.rpartition(".")[2]
    getattr(made_up_corpora, f"mini_{name}")(tmp_path)
    found = [u for u in corpus.utterances(tmp_path) if u.split != "test3"]
    assert found and all(u.session == sessions(u) for u in found)


def test_a_table_has_a_column_for_it(tmp_path):
    (tmp_path / "clips.csv").write_text("id,text,session\na,Hm.,one\nb,Well.,\n", encoding="utf-8")
    assert [u.session for u in table.utterances(tmp_path / "clips.csv")] == ["one", None]
