"""Miniatures of corpora in their true layouts: `mini_NAME(root)` writes one for the corpus NAME and returns its ids."""

import csv
import wave
from pathlib import Path

import pytest

from emojudge.corpora._synthetic_plan import plan


def write_wav(path, seconds=0.1, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"\x10\x00" * int(seconds * rate))


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def mini_ravdess(root):
    for name in ("03-01-01-01-01-01-01", "03-01-02-01-02-01-18", "03-02-03-01-01-01-01", "03-01-08-02-02-02-24"):
        write_wav(root / f"Actor_{name[-2:]}" / f"{name}.wav", rate=48000)
    return ["03-01-01-01-01-01-01", "03-01-02-01-02-01-18", "03-01-08-02-02-02-24"]


def mini_emodb(root):
    ids = ["03a01Fa", "09b10Ec", "12a02Ab", "16a04La"]
    for name in ids:
        write_wav(root / "wav" / f"{name}.wav")
    (root / "erkennung.txt").write_text("03a01Fa 90", encoding="latin-1")
    return ids


def mini_meld(root):
    row = {"Sr No.": 1, "Utterance": "It\x92s me.", "Speaker": "Ross", "Emotion": "joy", "Sentiment": "positive"}
    row |= {"Dialogue_ID": 0, "Utterance_ID": 0, "Season": 8, "Episode": 21, "StartTime": "00:16:16,059"}
    broken = {**row, "Dialogue_ID": 125, "Utterance_ID": 3, "Speaker": "The Interviewer", "Emotion": "neutral"}
    write_csv(root / "train_sent_emo.csv", [row, broken])
    write_csv(root / "dev_sent_emo.csv", [row])
    write_csv(root / "test_sent_emo.csv", [row])
    write_wav(root / "train_splits" / "dia0_utt0.wav")
    write_wav(root / "train_splits" / "dia125_utt3.wav")
    return ["train/dia0_utt0", "train/dia125_utt3", "dev/dia0_utt0", "test/dia0_utt0"]


def mini_emobank(root):
    write_csv(root / "emobank.csv", [{"id": "a_1", "split": "dev", "V": 3.0, "A": 2.4, "D": 3.2, "text": "Well, yes."}])
    return ["a_1"]


def msp_row(name, label="H", split="Train", speaker="127", gender="Female"):
    values = {"FileName": name, "EmoClass": label, "EmoAct": 5.2, "EmoVal": 2.6, "EmoDom": 4.4}
    return {**values, "SpkrID": speaker, "Gender": gender, "Split_Set": split}


def mini_msp_podcast(root):
    rows = [
        msp_row("MSP-PODCAST_0002_0033.wav", "U"),
        msp_row("MSP-PODCAST_0002_0033_0001.wav", "X", "Development", "Unknown", "Male"),
        msp_row("MSP-PODCAST_0003_0001.wav", "O", "NA"),
        msp_row("MSP-PODCAST_0004_0001.wav", "C", "Test1"),
    ]
    write_csv(root / "Labels" / "labels_consensus.csv", rows)
    chosen = ["Surprise", "Surprise", "Other-Annoyed, a bit", ""]
    votes = [{"FileName": rows[0]["FileName"], "WorkerID": n, "EmoClass_Major": name} for n, name in enumerate(chosen)]
    write_csv(root / "Labels" / "labels_detailed.csv", votes)
    ids = [Path(row["FileName"]).stem for row in rows] + ["MSP-PODCAST_test3_0001"]
    for name in ids:
        write_wav(root / "Audios" / f"{name}.wav")
    (root / "Transcripts").mkdir()
    (root / "Transcripts" / f"{ids[0]}.txt").write_text("oh wow\n", encoding="utf-8")
    return ids


def mini_table(root):
    write_wav(root / "clips" / "a.wav")
    row = {"audio": "clips/a.wav", "transcript": "Hm.", "speaker": "s", "gender": "F", "emotion": "sad", "valence": "2"}
    write_csv(root / "manifest.csv", [{**row, "votes": '{"sad": 2, "Other": 1}', "split": "dev"}])
    return ["clips/a"]


def mini_synthetic(root):
    pytest.importorskip("espeakng_loader")
    return [clip.id for clip in plan()]
