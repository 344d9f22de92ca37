"""The page: drop or record a recording, and see, hear and download what is told of it (Gradio, extra `web`)."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emojudge import streams
from emojudge.errors import DataError, EmoJudgeError, MissingExtra
from emojudge.pipeline import EmoJudge
from emojudge.plane import AXES
from emojudge.web.results import Clip, Results, template
from emojudge.web.telling import read, tell

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

SECONDS = 120.0
"""Longer recordings are refused."""
BYTES = 64 << 20
"""Larger uploads are refused; two minutes of stereo at 48 kHz and 32 bits have 46 MB."""
WAITING = 8
"""Requests that may wait; further ones are refused."""
KEPT = 600
"""Seconds after which an upload is deleted, so that words can be corrected and a second recording set beside it."""
TEXT = 2000
"""Characters of typed words, at most."""
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""What the browser may ask for: nothing but this server. Gradio's own code is inline, and compiles templates."""

PLAYER = """
const clip = (node) => node.closest(".clip");
let until = Infinity;
element.addEventListener("click", (event) => {
  const at = event.target.closest("[data-at]"), wave = event.target.closest(".wave");
  if (!at && !wave) return;
  const audio = clip(event.target).querySelector("audio"), box = wave?.getBoundingClientRect();
  audio.currentTime = at ? at.dataset.at : audio.duration * (event.clientX - box.left) / box.width;
  until = at ? Number(at.dataset.until) : Infinity;
  audio.play();
});
element.addEventListener("timeupdate", ({ target: audio }) => {
  if (audio.currentTime >= until) { audio.pause(); until = Infinity; }
  clip(audio).classList.add("heard");
  clip(audio).querySelector(".now").style.left = `${100 * audio.currentTime / audio.duration}%`;
  for (const one of clip(audio).querySelectorAll("li"))
    one.classList.toggle("playing", audio.currentTime >= one.dataset.from && audio.currentTime < one.dataset.to);
}, true);
"""
"""Segments and waveform are played where they are clicked, and what is heard is marked."""


def page(judge: EmoJudge, seconds: float = SECONDS) -> "Blocks":
    """The page of one run, to be mounted with `mount`; one request at a time is heard.

    Args:
        judge: an opened run; its judge keeps no answers from here on. With `recordings.isolate`, uploads are decoded by a child.
        seconds: longer recordings are refused.

    Raises:
        MissingExtra: Gradio is not installed.
    """
    gr = _gradio()
    judge.ledger = Path(":memory:")  # an answer tells of a recording, and none is kept
    listener = Listener(judge, seconds)
    waits = gr.Progress()

    def heard(ask: bool, a: Any, spoken_a: Any, words_a: str, b: Any, spoken_b: Any, words_b: str, bar: Any = waits) -> str:
        return listener.html([(a or spoken_a, words_a or ""), (b or spoken_b, words_b or "")], ask, bar)

    with gr.Blocks(title="EmoJudge", analytics_enabled=False, delete_cache=(60, KEPT)) as blocks:
        gr.HTML(_intro(judge, seconds), apply_default_css=False)
        inputs = _recording(gr, judge, "first")
        with gr.Accordion("Compare with a second recording", open=False):
            inputs += _recording(gr, judge, "second")
        asks = gr.Checkbox(label="Ask the run's judge about each segment, and show its reasons (slow)", visible=_judged(judge))
        button = gr.Button("Listen", variant="primary")
        shown = gr.HTML(js_on_load=PLAYER, min_height=120, apply_default_css=False)
        button.click(heard, [asks, *inputs], shown, api_visibility="private", concurrency_limit=1)
    return blocks.queue(max_size=WAITING, api_open=False)


def mount(app: "FastAPI", blocks: "Blocks", path: str = "/") -> None:
    """Serve the page as a part of `app`, under `path`, with its bounds, its looks, and headers that forbid any other host."""
    from starlette.middleware import Middleware

    gr = _gradio()
    style = template("page.css.jinja").render()
    bounds = {"max_file_size": BYTES, "show_error": False, "ssr_mode": False, "mcp_server": False, "pwa": False}
    off = {"footer_links": [], "run_history": False, "enable_monitoring": False}
    guarded = {"middleware": [Middleware(Guarded)]}
    gr.mount_gradio_app(app, blocks, path, app_kwargs=guarded, theme=_theme(gr), head=f"<style>{style}</style>", **bounds, **off)


class Guarded:
    """ASGI: adds to each answer what keeps the browser here."""

    HEADERS = (
        (b"content-security-policy", POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    )

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on, with the headers."""

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self.HEADERS]
            await send(message)

        await self.app(scope, receive, guarded)


@dataclass
class Listener:
    """From what was given to the page to its HTML."""

    judge: EmoJudge
    seconds: float

    def __post_init__(self) -> None:
        labels = self.judge.classes_ if "emotions" in self.judge.config.tasks else ()
        self.results = Results(labels, _cloud(self.judge))

    def html(self, given: Sequence[tuple[str | None, str]], ask: bool, bar: Callable[..., object]) -> str:
        """Results, or the one sentence that says why there are none. `given` are paths and words; `bar` shows progress."""
        named = [(Path(path), text) for path, text in given if path]
        try:
            if not named:
                raise DataError("There is no recording yet; drop a file, or record one.")
            bar(0, desc="Reading")
            isolate = self.judge.config.recordings.isolate
            sounds = [read(path, self.seconds, isolate) for path, _ in named]
            clips = []
            for number, (samples, (path, text)) in enumerate(zip(sounds, named, strict=True)):

                def progress(share: float, said: str, before: int = number) -> None:
                    bar((before + share) / len(named), desc=said)

                clips.append(Clip(tell(self.judge, samples, path.name, text, ask, progress), samples))
            return self.results.render(clips)
        except EmoJudgeError as error:
            sentence = str(error)
            for path, _ in named:
                sentence = sentence.replace(str(path), path.name)
            return f'<p class="error" role="alert">{escape(sentence)}</p>'


def _gradio() -> Any:
    """Gradio, told to report nothing, and to keep uploads in a folder that nobody else may look into."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    if "emojudge-" not in os.environ.get("GRADIO_TEMP_DIR", ""):
        os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="emojudge-")
        atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)
    try:
        import gradio
    except ImportError:
        raise MissingExtra("The page", "web") from None
    return gradio


def _recording(gr: Any, judge: EmoJudge, which: str) -> list[Any]:
    """Where a recording is dropped or made, and its words; the later of both counts."""
    kinds = ["audio", "video", *sorted(streams.SUFFIXES)]
    with gr.Row(equal_height=True):
        file = gr.File(label="Drop a recording or a video", file_types=kinds, height=150, min_width=280, elem_id=which)
        spoken = gr.Audio(
            label="or record one", sources=["microphone"], type="filepath", min_width=280, elem_id=f"{which}-spoken"
        )
    words = gr.Textbox(
        label="What is said (optional)",
        info="Left empty, it is transcribed. With words, the recording is taken as one utterance.",
        max_length=TEXT,
        visible="text" in judge.config.modalities,
    )
    for one in (file, spoken):
        one.async_move_resource_to_block_cache = _uploaded
    file.upload(None, None, spoken, js="() => null", api_visibility="private")
    spoken.stop_recording(None, None, file, js="() => null", api_visibility="private")
    return [file, spoken, words]


async def _uploaded(path: str | Path | None) -> str | None:
    """In place of Gradio's own step, which in a mounted page takes any path of this machine, and fetches any URL.

    Raises:
        gradio.Error: the path is that of no upload.
    """
    if path is None or Path(path).resolve().is_relative_to(Path(os.environ["GRADIO_TEMP_DIR"]).resolve()):
        return str(path) if path else None
    raise _gradio().Error("This recording was not uploaded here; choose it again.", print_exception=False)


def _judged(judge: EmoJudge) -> bool:
    return judge.config.judge.judge != "none" and "emotions" in judge.config.tasks


def _intro(judge: EmoJudge, seconds: float) -> str:
    """What the page does, what it must not be used for, and what becomes of recordings."""
    reads = " and ".join({"audio": "the voice", "text": "the words"}[one] for one in judge.config.modalities)
    return template("page_intro.html.jinja").render(
        lead=f"Emotion in speech, from {reads}, moment by moment. Drop or record up to {seconds:.0f} seconds.",
        run=judge.config.name,
        judged=_judged(judge),
        notice=judge.notice,
        minutes=KEPT // 60,
    )


def _theme(gr: Any) -> Any:
    """The report's palette in Gradio's places; fonts are those of the system, so that none is fetched."""
    places = {
        "body_background_fill": "page",
        "body_text_color": "ink",
        "body_text_color_subdued": "muted",
        "background_fill_primary": "surface",
        "background_fill_secondary": "soft",
        "block_background_fill": "surface",
        "block_border_color": "rule",
        "block_label_background_fill": "surface",
        "block_label_text_color": "muted",
        "block_title_text_color": "muted",
        "border_color_primary": "rule",
        "input_background_fill": "page",
        "input_border_color": "rule",
        "button_primary_background_fill": "audio",
        "button_primary_background_fill_hover": "audio",
        "button_primary_text_color": "page",
        "button_secondary_background_fill": "soft",
        "button_secondary_text_color": "ink",
        "loader_color": "audio",
        "link_text_color": "audio",
    }
    colours = {f"{place}{mode}": f"var(--{name})" for place, name in places.items() for mode in ("", "_dark")}
    plain = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return plain.set(color_accent="var(--audio)", **colours)


def _cloud(judge: EmoJudge) -> list[tuple[float, float]]:
    """Valence and arousal of clips that the run did not train on, as its last system tells them."""
    said = judge.models.part.read_predictions("attributes", judge.models.last("attributes")) or {}
    return [(one.scores["valence"], one.scores["arousal"]) for one in said.values() if set(AXES) <= set(one.scores)]
