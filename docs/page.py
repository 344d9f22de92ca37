"""docs/page.png: the page on synthetic speech. `python docs/page.py runs/demo` serves it, asks Chromium, and saves what it shows.

Needs the demo's run and corpus (`make demo`), the extras `web` and `dev`, and /usr/bin/chromium.
"""

import io
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile
import uvicorn
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import sync_playwright

from emojudge import EmoJudge
from emojudge.web import page

CLIPS = ("speaker_23_07", "speaker_23_12", "speaker_23_09", "speaker_23_15")
"""Of one speaker of the test split, played with 0.6 s between; chosen because the demo's models tell them apart."""
PAUSE = 0.6


def recording(corpus: Path, path: Path) -> None:
    """The clips as one recording."""
    parts = []
    for clip in CLIPS:
        samples, rate = soundfile.read(corpus / "wav" / f"{clip}.wav")
        parts += [np.zeros(round(PAUSE * rate)), samples]
    soundfile.write(path, np.concatenate([*parts, parts[0]]), rate)


def serve(judge: EmoJudge) -> str:
    """The page on loopback, in a thread; its address."""
    app = FastAPI()
    page.mount(app, page.page(judge))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    threading.Thread(target=server.run, args=([listening],), daemon=True).start()
    while not server.started:
        time.sleep(0.1)
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def main(run: str, out: Path) -> None:
    """Drop the recording, listen, and save the picture with 256 colours."""
    judge = EmoJudge.load(run)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        sound = Path(folder) / "synthetic.wav"
        recording(Path(judge.config.data.root or ""), sound)
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
        tab.goto(serve(judge))
        tab.set_input_files("#first input[type=file]", sound)
        tab.wait_for_selector("#first .file-preview")
        tab.click("button:has-text('Listen')")
        tab.wait_for_selector(".results", timeout=600_000)
        tab.wait_for_timeout(1000)
        picture = Image.open(io.BytesIO(tab.screenshot(full_page=True)))
        picture.convert("RGB").quantize(256).save(out, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/demo", Path(__file__).parent / "page.png")
