"""The page as people meet it: in Chromium, with Gradio's own server on loopback, on a run of tiny random encoders."""

import base64
import io
import json
import os
import re
import socket
import threading
import time
import zipfile
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emojudge import EmoJudge
from emojudge.devserver import DevServer, toy
from emojudge.hearing import Sound
from emojudge.timeline import Segment, Timeline
from emojudge.types import ATTRIBUTES, EMOTIONS, Cues, Prediction
from tests.made_up_run import made_up_run
from tests.made_up_speech import RATE, speech, tiny_run
from tests.test_streams import film

pytest.importorskip("gradio", reason="the extra web is not installed")

import fastapi
import httpx
import uvicorn

from emojudge.web import page, results
from emojudge.web.telling import tell

pytestmark = pytest.mark.filterwarnings("default")  # Gradio warns in threads of its own, where an error would end its work
CHROMIUM = Path("/usr/bin/chromium")
PLAN = (0.6, 1.0, 0.8, 1.4, 0.6)
HOSTILE = (
    "<script>document.title='gotcha'</script><img src=x onerror=\"document.title='gotcha'\">${document.title='gotcha'}{{this}}"
)


WAITING = threading.Lock()
"""Held, it keeps the page from going on."""


def heard(batch, judge=False):
    """Made-up segments: what a sound is like decides what is told of it; its words, and a judge's, are hostile."""
    found = []
    with WAITING:
        pass
    for sound in batch:
        level = float(np.abs(sound.samples).mean())
        shares = np.arange(1, len(EMOTIONS) + 1) ** (10 * level)
        scores = {"emotions": dict(zip(EMOTIONS, (shares / shares.sum()).tolist(), strict=True))}
        scores["attributes"] = dict.fromkeys(ATTRIBUTES, 4 + level)
        verdict = {"label": "Sad", "confidence": 0.7, "reason": f"Because {HOSTILE}", "outcome": "kept_agree"} if judge else {}
        text = sound.text or f"Well. {HOSTILE}"
        found.append(Segment(sound.start, sound.start + sound.seconds, text, alone=scores, verdict=verdict))
    return found


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A made-up run, whose models are stood in for."""
    opened = EmoJudge.load(
        made_up_run(tmp_path_factory.mktemp("run"), clips=60).root, ["recordings.activity=energy", "recordings.isolate=true"]
    )
    opened.segments = heard
    return opened


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    soundfile.write(folder / "first.wav", speech(*PLAN), RATE)
    soundfile.write(folder / "second.flac", speech(0.5, 1.2, 0.6, seed=3), RATE)
    soundfile.write(folder / "long.flac", np.zeros(121 * RATE), RATE)
    soundfile.write(folder / "<img src=x onerror=alert(1)>.wav", speech(*PLAN), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF and no more")
    return folder


# Without a browser


def test_what_is_told_is_the_timeline(judge):
    samples, shares = speech(*PLAN), []
    expected = judge.timeline(samples)
    told = tell(judge, samples, "clip.wav", progress=lambda share, said: shares.append((share, said)))
    assert len(told.segments) == 2 and told.seconds == expected.seconds and told.errors == expected.errors
    assert told.notice == expected.notice and told.name == "clip.wav" and told.path is None
    for ours, theirs in zip(told.segments, expected.segments, strict=True):
        assert (ours.start, ours.end, ours.text) == (theirs.start, theirs.end, theirs.text)
        for task in theirs.scores:
            assert ours.scores[task] == pytest.approx(theirs.scores[task], abs=1e-5)
    assert shares == [(0.0, "clip.wav: segment 1 of 2"), (0.5, "clip.wav: segment 2 of 2")]


def test_with_words_it_is_one_utterance(judge):
    samples = speech(*PLAN)
    [one] = tell(judge, samples, "clip.wav", " I won! ").segments
    assert (one.start, one.end, one.text) == (0.0, sum(PLAN), "I won!")
    assert one.scores["emotions"] == pytest.approx(heard([Sound("", samples)])[0].alone["emotions"])


def test_a_recording_that_is_too_long_is_refused(judge, recordings):
    said = page.Listener(judge, 120).html([(str(recordings / "long.flac"), "")], False, lambda share, desc: None)
    assert 'class="error"' in said and ">long.flac is longer than 120 s; cut it" in said


class Parsed(HTMLParser):
    """Elements and attributes of a page, and the data URIs of its downloads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.files = set(), set(), {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        known = dict(attrs)
        if "download" in known:
            self.files[known["download"]] = base64.b64decode(known["href"].partition("base64,")[2])


def made_up(name="clip.wav", text="No!"):
    scores = {"emotions": {"Angry": 0.8, "Sad": 0.2}, "attributes": {"valence": 2.0, "arousal": 5.0}}
    verdict = {"label": "Angry", "confidence": 0.9, "reason": text, "outcome": "changed"}
    segments = [Segment(i, i + 1, text, scores=scores, alone=scores, verdict=verdict, speaker=text) for i in range(2)]
    return results.Clip(Timeline(name, 2.5, segments, {"valence": 0.5}, "Made up."), speech(0.5, 1.0, 1.0))


def test_nothing_from_outside_becomes_markup(monkeypatch):
    made_of = {"format": "srt", "uri": "data:,", "about": ""}
    monkeypatch.setattr(results, "files", lambda told: [{**made_of, "name": f"{told.name}.srt"}])
    made = results.Results(("Angry", "Sad"), [(2.0, 3.0)] * 900)
    plain, hostile = Parsed(made.render([made_up()])), Parsed(made.render([made_up(HOSTILE, HOSTILE)]))
    assert hostile.tags == plain.tags and hostile.attributes == plain.attributes
    assert not {"script", "img"} & hostile.tags and not {one for one in hostile.attributes if one.startswith("on")}


def test_every_format_can_be_taken_along(tmp_path):
    clip = made_up()
    found = Parsed(results.Results(("Angry", "Sad")).render([clip])).files
    assert len(found) == len(results.registry.names("writers")) and "clip.png" in found
    from emojudge.writers import jsonl, srt

    for writer in (jsonl, srt):
        writer.write(clip.timeline, tmp_path / "expected")
        assert found[f"clip{writer.SUFFIX}"] == (tmp_path / "expected").read_bytes()
    assert "db.yaml" in zipfile.ZipFile(io.BytesIO(found["clip.audformat.zip"])).namelist()


def test_a_run_without_emotions_or_speech_has_a_page_too(monkeypatch):
    monkeypatch.setattr(results, "files", lambda told: [])
    silent = results.Clip(Timeline("quiet.wav", 1.0), np.zeros(RATE, np.float32))
    assert "Nobody was heard" in results.Results(EMOTIONS).render([silent])
    clip = made_up()
    for one in clip.timeline.segments:
        one.scores = {"attributes": {"valence": 2.0}}
    text = results.Results(()).render([clip, clip])
    assert "Valence 2.0 ± 0.5" in text and "arousal" not in text


def test_the_overall_scores_are_weighed_by_length():
    told = Timeline(
        "a", 4.0, [Segment(0, 3, scores={"emotions": {"Sad": 0.9}}), Segment(3, 4, scores={"emotions": {"Sad": 0.1}})]
    )
    assert results.overall(told) == {"emotions": {"Sad": pytest.approx(0.7)}}


def test_a_judge_that_is_asked_by_the_page_leaves_no_ledger(judge, tmp_path):
    root = judge.run.root
    with DevServer() as server:
        asked = EmoJudge.load(root, ["judge.judge=openai:gpt-4o", f"judge.base_url={server.url}"])
        page.page(asked)
        sound, shown = Sound("a", speech(0.5, 1.0), "I won!"), Prediction("a", "fusion", dict.fromkeys(EMOTIONS, 0.125))
        [(_, verdict)] = asked._ask([sound], {"a": Cues("a", seconds=1.5)}, [shown])
    assert verdict.label in EMOTIONS
    assert not list(root.glob("say.sqlite*")) and not Path(":memory:").exists()


# Gradio's server


@pytest.fixture(scope="module")
def app(judge):
    made = fastapi.FastAPI()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "BYTES", 4 << 20)
        page.mount(made, page.page(judge))
    return made


@contextmanager
def serving(app):
    """Where an application is served; when it stops, none of its uploads may be left."""
    others = uploads()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)
    assert set(uploads()) <= set(others), "uploads outlive the server"


@pytest.fixture(scope="module")
def address(app):
    with serving(app) as found:
        yield found


def uploads():
    """Files that hold something in Gradio's folder, which only we may look into."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert folder.stat().st_mode & 0o077 == 0
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_what_gradio_offers_else_is_off(address):
    info = httpx.get(f"{address}/gradio_api/info").json()
    assert info == {"named_endpoints": {}, "unnamed_endpoints": {}}
    assert httpx.get(f"{address}/gradio_api/runs").status_code == 404
    front = httpx.get(address)
    assert "default-src 'self'" in front.headers["content-security-policy"] and front.headers["cache-control"] == "no-store"
    config = httpx.get(f"{address}/config").json()
    assert not config["analytics_enabled"] and not config["run_history"] and config["footer_links"] == []


def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(address):
    before = uploads()
    answer = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.wav", bytes(5 << 20))})
    assert answer.status_code == 413 and "maximum allowed size" in answer.text
    assert uploads() == before


def test_a_path_or_url_that_was_not_uploaded_is_not_read(address, recordings):
    for path in (recordings / "first.wav", "/etc/hostname", "http://example.invalid/a.wav"):
        last = joined(address, path)
        assert not last["success"] and "was not uploaded here" in last["output"]["error"]


@pytest.fixture
def uploaded(address, recordings):
    """What Gradio calls an upload."""
    with (recordings / "first.wav").open("rb") as sound:
        [path] = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.wav", sound)}).json()
    return path


def test_there_is_progress_to_see(address, uploaded):
    said = []

    def saw(message):
        said.extend(part["desc"] for part in message.get("progress_data") or ())
        if "a.wav: segment 1 of 2" in said and WAITING.locked():
            WAITING.release()

    WAITING.acquire()
    assert joined(address, uploaded, saw)["success"] and "a.wav: segment 1 of 2" in said


def test_the_queue_is_bounded(address, uploaded):
    with WAITING:
        codes = [join(address, uploaded, f"s{n}").status_code for n in range(page.WAITING + 3)]
    assert codes[0] == 200 and codes[-1] == 503


def join(address, path, session):
    """Ask for results as the page's own script does."""
    config = httpx.get(f"{address}/config").json()
    number = next(one["id"] for one in config["dependencies"] if one["backend_fn"])
    data = [False, {"path": str(path), "meta": {"_type": "gradio.FileData"}}, None, "", None, None, ""]
    return httpx.post(f"{address}/gradio_api/queue/join", json={"data": data, "fn_index": number, "session_hash": session})


def joined(address, path, saw=lambda message: None):
    """The last message about one request; `saw` is told each."""
    join(address, path, "alone").raise_for_status()
    with httpx.stream("GET", f"{address}/gradio_api/queue/data", params={"session_hash": "alone"}, timeout=60) as stream:
        for line in stream.iter_lines():
            message = json.loads(line[6:]) if line.startswith("data: ") else {"msg": ""}
            saw(message)
            if message["msg"] == "process_completed":
                return message
    raise AssertionError("the stream ended before the request was done")


# In a browser


@pytest.fixture(scope="module")
def chromium(recordings):
    """Chromium, whose microphone is a file."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    options += [f"--use-file-for-fake-audio-capture={recordings / 'first.wav'}"]
    with driver.sync_playwright() as made:
        browser = made.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@contextmanager
def opened(chromium, address):
    """The page in a fresh window; at the end nothing may have been asked of any other host, and no script have failed."""
    context = chromium.new_context(permissions=["microphone"])
    context.set_default_timeout(100_000)
    window, asked, failed = context.new_page(), [], []
    window.on("request", lambda request: asked.append(request.url))
    window.on("pageerror", lambda error: failed.append(str(error)))
    window.on("console", lambda message: failed.append(message.text) if message.type == "error" else None)
    window.goto(address)
    window.wait_for_selector("text=What is said")
    yield window
    title, wide = window.title(), window.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()
    assert {url for url in asked if not url.startswith((address, "data:", "blob:"))} == set()
    assert not failed and title == "EmoJudge" and wide <= 0


@pytest.fixture
def tab(chromium, address):
    with opened(chromium, address) as window:
        yield window


def give(tab, path, which="first"):
    tab.set_input_files(f"#{which} input[type=file]", path)
    tab.wait_for_selector(f"#{which} .file-preview")


def listen(tab):
    tab.click("button:has-text('Listen')")
    tab.wait_for_selector(".results, .error")


def test_a_file_becomes_results_that_can_be_heard_and_downloaded(tab, recordings, judge, tmp_path):
    give(tab, recordings / "first.wav")
    tab.click("text=Ask the run's judge")
    listen(tab)
    told = judge.timeline(recordings / "first.wav")
    shown = tab.locator(".said li")
    assert shown.count() == len(told.segments) == 2
    for number, one in enumerate(told.segments):
        line = shown.nth(number).inner_text().replace("\u202f", "")
        assert f"{one.emotion} {one.confidence:.0%}" in line and HOSTILE in line and "Judge: Sad 70%" in line
    assert tab.locator(".plane, .clip figure svg").count() == 1 and tab.locator(".lane.wave path").count() >= 2
    assert str(judge.notice) in tab.inner_text(".notice") and "Do not use it" in tab.inner_text(".intro")

    with tab.expect_download() as waits:
        tab.click(".files a:has-text('jsonl')")
    waits.value.save_as(tmp_path / "first.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "first.jsonl").read_text().splitlines()]
    assert [(row["file"], row["emotion"]) for row in rows] == [("first.wav", one.emotion) for one in told.segments]

    shown.nth(1).locator("button").click()
    tab.wait_for_selector(".said li.playing:nth-child(2)")


DROP = """([name, type, content]) => {
  const given = new DataTransfer(), bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  given.items.add(new File([bytes], name, { type }));
  return given;
}"""


def test_a_video_that_is_dropped_is_heard(tab, judge, tmp_path):
    samples = np.repeat(speech(*PLAN), 3)  # at 48 kHz
    video = film(tmp_path / "film.mp4", "aac", samples)
    given = tab.evaluate_handle(DROP, ["film.mp4", "video/mp4", base64.b64encode(video.read_bytes()).decode()])
    tab.dispatch_event("#first button:has(input[type=file])", "drop", {"dataTransfer": given})
    tab.wait_for_selector("#first .file-preview:has-text('film')")
    listen(tab)
    told = judge.timeline(video)
    assert tab.inner_text(".clip h2").startswith("film.mp4") and tab.locator(".said li").count() == len(told.segments) == 2
    for number, one in enumerate(told.segments):
        assert f"{one.emotion} {one.confidence:.0%}" in tab.locator(".said li").nth(number).inner_text().replace("\u202f", "")


def test_a_live_judge_says_why(chromium, recordings, tmp_path, monkeypatch):
    """A run's own models, and a judge that is really asked, over HTTP: nothing on the way is stood in for."""
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))
    with DevServer() as server:
        changes = ["judge.judge=openai:gpt-4o", f"judge.base_url={server.url}"]
        made = fastapi.FastAPI()
        page.mount(made, page.page(EmoJudge.load(tiny_run(tmp_path / "run"), changes)))
        with serving(made) as address, opened(chromium, address) as tab:
            give(tab, recordings / "first.wav")
            tab.fill("textarea >> nth=0", "Well, I never!")
            tab.click("text=Ask the run's judge")
            listen(tab)
            assert tab.locator(".said li").count() == 1 and tab.inner_text(".said blockquote") == "Well, I never!"
            verdict = tab.inner_text(".said .verdict").replace("\u202f", "")
            assert re.match(rf"Judge: ({'|'.join(EMOTIONS)}) {toy.SURE}%", verdict) and verdict.endswith(toy.REASON)


def test_a_microphone_on_a_phone(tab):
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.click("#first-spoken button:has-text('Record')")
    tab.wait_for_timeout(3000)
    tab.click("#first-spoken button:has-text('Stop') >> visible=true")
    tab.wait_for_selector("#first-spoken .waveform-container, #first-spoken .component-wrapper")
    listen(tab)
    assert tab.locator(".said li").count() >= 1


def test_what_cannot_be_used_is_one_sentence(tab, recordings):
    listen(tab)
    assert "drop a file, or record one" in tab.inner_text(".error")
    give(tab, recordings / "broken.wav")
    tab.click("button:has-text('Listen')")
    tab.wait_for_selector(".error:has-text('broken.wav ')")
    sentence = tab.inner_text(".error")
    assert sentence.endswith(".") and "/" not in sentence and "Traceback" not in sentence


def test_two_recordings_side_by_side(tab, recordings):
    give(tab, next(recordings.glob("<img*")))
    tab.click("text=Compare with a second recording")
    give(tab, recordings / "second.flac", "second")
    listen(tab)
    assert tab.locator(".clip").count() == 2 and tab.locator(".beside tbody tr").count() == len(EMOTIONS) + len(ATTRIBUTES)
    assert [tab.locator(".clip h2").nth(n).inner_text()[0] for n in (0, 1)] == ["A", "B"]
    left, right = (tab.locator(".clip").nth(n).bounding_box() for n in (0, 1))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    tab.set_viewport_size({"width": 390, "height": 844})
