"""Miniatures of corpora in their true layouts: `mini_NAME(root)` writes one for the corpus NAME and returns its ids."""

import csv
import json
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


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


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


IEMOCAP_DIALOG = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro04_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Frustration;\t(hm; hm)
C-E4:\tHappiness;\t()
C-F1:\tAnger;\t()
A-E3:\tval 3; act 2; dom  2;\t()
A-F1:\tval 3; act 2; dom  1;\t()

[10.0100 - 11.3925]\tSes01F_impro04_M003\texc\t[4.0000, 3.5000, 3.0000]
C-E2:\tExcited;\t()

[12.0000 - 13.0000]\tSes01F_impro04_M004\txxx\t[3.0000, 3.0000, 3.0000]
"""


def mini_iemocap(root):
    session = root / "Session1"
    ids = ["Ses01F_impro04_F000", "Ses01F_impro04_M003", "Ses01F_impro04_M004"]
    for name in ids:
        write_wav(session / "sentences" / "wav" / "Ses01F_impro04" / f"{name}.wav")
    write(session / "dialog" / "EmoEvaluation" / "Ses01F_impro04.txt", IEMOCAP_DIALOG)
    write(session / "dialog" / "EmoEvaluation" / "._Ses01F_impro04.txt", "\0")
    said = f"{ids[0]} [006.2901-008.2357]: Excuse me.\nSes01F_impro04_MXX0 [8.3-8.9]: Mm.\n{ids[1]} [010.0100-011.3925]: Yeah!\n"
    write(session / "dialog" / "transcriptions" / "Ses01F_impro04.txt", said)
    return ids


def mini_crema_d(root):
    ids = ["1001_DFA_ANG_XX", "1064_IEO_HAP_HI", "1076_MTI_SAD_XX", "1091_WSI_NEU_XX"]
    for name in ids:
        write_wav(root / "AudioWAV" / f"{name}.wav")
    counts = [(5, 5, 0, 0, 1, 1), (0, 0, 0, 9, 0, 0), (0, 0, 0, 0, 3, 7), (1, 0, 0, 0, 8, 0)]
    heard = [dict(zip(["", *"ADFHNS", "fileName"], (f"10000{n}", *votes, ids[n]), strict=True)) for n, votes in enumerate(counts)]
    seen = [{**row, "": row[""].replace("1", "2", 1), "A": 99} for row in heard]
    write_csv(root / "processedResults" / "tabulatedVotes.csv", heard + seen)
    winners = [
        {"": n, "FileName": name, "VoiceVote": vote}
        for n, (name, vote) in enumerate(zip(ids, ("A:D", "H", "S", "N"), strict=True))
    ]
    write_csv(root / "processedResults" / "summaryTable.csv", winners)
    write_csv(root / "VideoDemographics.csv", [{"ActorID": name[:4], "Age": 30, "Sex": "Female"} for name in ids[1:]])
    return ids


def mini_nemo(root):
    row = '{}.wav\t{}\tLubię „czytać" przed snem.\tlubię czytać przed snem\t        {}\tfemale\t27'
    names = ["EB0_anger_1", "KD0_surprised_2"]
    for name in names:
        write_wav(root / "samples" / f"{name}.wav", rate=24000)
    rows = [row.format(name, name.split("_")[1], name[:3]) for name in names]
    write(root / "data.tsv", "\n".join(["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage", *rows]))
    return names


def mini_emorynlp(root):
    def line(number, speakers, emotion):
        return {"utterance_id": f"{number}_u001", "speakers": speakers, "transcript": "Well!", "tokens": [], "emotion": emotion}

    lines = {
        "trn": line("s01_e01_c01", ["Monica Geller"], "Joyful"),
        "dev": line("s01_e02_c01", ["Joey Tribbiani", "Ross Geller"], "Mad"),
    }
    lines["tst"] = line("s01_e03_c01", [], "Peaceful")
    for short, item in lines.items():
        scenes = [{"scene_id": item["utterance_id"][:-5], "utterances": [item]}]
        episodes = {"episodes": [{"episode_id": item["utterance_id"][:7], "scenes": scenes}]}
        write(root / "json" / f"emotion-detection-{short}.json", json.dumps(episodes))
    return ["s01_e01_c01_u001", "s01_e02_c01_u001", "s01_e03_c01_u001"]


IMPROV = """UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.800000; V:3.000000; D:3.200000 ; N:4.400000;
WORKER1; Neutral; Concerned,Other; A:2.000000; V:4.000000; D:2.000000; N:4.000000;
WORKER2; Other-Confused; Neutral; A:2.000000; V:4.000000; D:2.000000; N:NaN;

UTD-IMPROV-S20S-M06-T-FM05.avi; X; A:NaN; V:NaN; D:NaN ; N:NaN;
WORKER1; Sad; Sad,Depressed; A:2.000000; V:4.000000; D:2.000000; N:4.000000;

"""


def mini_msp_improv(root):
    write(root / "Evalution.txt", IMPROV)
    write_wav(root / "session1" / "S01A" / "P" / "MSP-IMPROV-S01A-F01-P-FM01.wav")
    write_wav(root / "session6" / "S20S" / "T" / "MSP-IMPROV-S20S-M06-T-FM05.wav")
    return ["MSP-IMPROV-S01A-F01-P-FM01", "MSP-IMPROV-S20S-M06-T-FM05"]


def mini_tess(root):
    names = {"OAF_Pleasant_surprise": "OAF_back_ps", "OAF_neutral": "OA_bite_neutral", "YAF_angry": "YAF_germ_angry"}
    for folder, name in names.items():
        write_wav(root / folder / f"{name}.wav", rate=24414)
        write_wav(root / "TESS Toronto emotional speech set data" / folder / f"{name}.wav", rate=24414)
    return list(names.values())


def mini_savee(root):
    for name in ("DC/a01", "JK/sa15", "KL/su02"):
        write_wav(root / "AudioData" / f"{name}.wav", rate=44100)
    return ["DC_a01", "JK_sa15", "KL_su02"]


def mini_emovo(root):
    names = ["sor-f3-b1", "pau-m1-n5"]
    for name in names:
        write_wav(root / "EMOVO" / name.split("-")[1] / f"{name}.wav", rate=48000)
    return names


def mini_esd(root):
    names = {"0003": ("Neutral", "0003_000051"), "0011": ("Angry", "0011_000351")}
    for speaker, (emotion, name) in names.items():
        write_wav(root / speaker / emotion / f"{name}.wav")
    (root / "0003" / "0003.txt").write_text("0003_000051\t打远一看，它们的确很是美丽，\t中立\n", encoding="gb18030")
    write(root / "0011" / "0011.txt", "0011_000351 The nine the eggs, I keep. Angry\n")
    return [name for _, name in names.values()]


def mini_hf_dataset(root):
    pa = pytest.importorskip("pyarrow")
    write_wav(root.parent / "outside.wav")
    recording = {"bytes": (root.parent / "outside.wav").read_bytes(), "path": "a.wav"}
    features = {"audio": {"_type": "Audio"}, "label": {"names": ["anger", "joy", "bored"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"audio": [recording, recording], "label": [1, -1], "transcription": ["Yes.", None]})
    table = table.replace_schema_metadata(metadata)
    folder, file = root / "validation", "data-00000-of-00001.arrow"
    write(folder / "state.json", json.dumps({"_data_files": [{"filename": file}], "_split": "validation"}))
    with pa.ipc.new_stream(str(folder / file), table.schema) as out:
        out.write_table(table)
    write(root / "dataset_dict.json", json.dumps({"splits": ["validation"]}))
    return ["validation/0", "validation/1"]


AUDFORMAT = """name: made-up
source: nowhere
usage: research
languages: [deu]
schemes:
  emotion: {dtype: str, labels: [anger, boredom, sadness]}
  speaker: {dtype: int, labels: {3: {gender: male}, 8: {gender: female}}}
  transcription: {dtype: str, labels: {a01: Hallo., a02: Nein.}}
  arousal: {dtype: float}
  id: {dtype: str}
splits:
  dev: {type: dev}
tables:
  emotion:
    type: filewise
    split_id: dev
    columns:
      emotion: {scheme_id: emotion}
      rater1: {scheme_id: emotion}
      rater2: {scheme_id: emotion}
  files:
    type: filewise
    columns:
      speaker: {scheme_id: speaker}
      transcription: {scheme_id: transcription}
      id: {scheme_id: id}
  segments:
    type: segmented
    columns:
      arousal: {scheme_id: arousal}
"""


def mini_audformat(root):
    pytest.importorskip("audformat")
    write(root / "db.yaml", AUDFORMAT)
    write(root / "db.emotion.csv", "file,emotion,rater1,rater2\nwav/a.wav,anger,anger,sadness\nwav/b.wav,boredom,boredom,\n")
    write(root / "db.files.csv", "file,speaker,transcription,id\nwav/a.wav,3,a01,first\nwav/b.wav,8,a02,second\n")
    write(root / "db.segments.csv", "file,start,end,arousal\nwav/b.wav,0 days 00:00:00,0 days 00:00:00.05,0.5\n")
    write(root / "db.emotion.pkl", "no pickle is opened")
    for name in ("a", "b"):
        write_wav(root / "wav" / f"{name}.wav")
    return ["first", "wav/b_0-0.05"]


def mini_table(root):
    write_wav(root / "clips" / "a.wav")
    row = {"audio": "clips/a.wav", "transcript": "Hm.", "speaker": "s", "gender": "F", "emotion": "sad", "valence": "2"}
    write_csv(root / "manifest.csv", [{**row, "votes": '{"sad": 2, "Other": 1}', "split": "dev"}])
    return ["clips/a"]


def mini_synthetic(root):
    pytest.importorskip("espeakng_loader")
    return [clip.id for clip in plan()]
