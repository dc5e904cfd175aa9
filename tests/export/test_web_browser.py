"""The page of `pmsi-export --web` in a real browser, with the real runtime."""

import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from pmsi_export.checks.gates import GATES, agreement
from pmsi_export.contract.schema import FileConfidence, seal
from pmsi_export.contract.zip_trailer import embed
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.runtime.preprocess import load_images
from pmsi_export.runtime.runner import Runner
from pmsi_export.web import npm
from pmsi_export.web.server import serve
from pmsi_export.web.site import write_site
from pmsi_mobile.confidence.record import Answers
from pmsi_mobile.data.birds import choose_species, draw_bird
from tests.benchmarks.browser import needs_browser
from tests.export.devtools import Page, chromium

V1 = Path(__file__).parent / "fixtures" / "v1"
RUNTIME = Path(os.environ.get("PMSI_WEB_RUNTIME") or npm.cache_folder())
AXE = Path(__file__).parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = ((128, 128), (320, 240), (240, 320), (640, 480), (500, 120))
READY = "document.documentElement.dataset.offline !== undefined || document.getElementById('notice')?.textContent"

pytestmark = [
    needs_browser,
    pytest.mark.skipif(
        bool(npm.missing(RUNTIME)),
        reason="the page's runtime is neither in PMSI_WEB_RUNTIME nor fetched by pmsi-export --web",
    ),
]


class Served(NamedTuple):
    folder: Path
    address: str


def serve_apart(folder: Path) -> str:
    ports: list[int] = []
    threading.Thread(target=serve, args=(folder, 0, ports.append), daemon=True).start()
    while not ports:
        time.sleep(0.01)
    return f"http://localhost:{ports[0]}/"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Served:
    """A page with two precisions, and photos of many kinds beside it."""
    folder = tmp_path_factory.mktemp("web") / "site"
    write_site([V1 / "ckpt.tflite", V1 / "ckpt-int8.tflite"], RUNTIME, folder)
    write_photos(folder / "photos")
    return Served(folder, serve_apart(folder))


def write_photos(folder: Path) -> None:
    folder.mkdir()
    generator = np.random.default_rng(0)
    species = choose_species(6, seed=0)
    birds = [Image.fromarray(draw_bird(species[number % 6], generator, 96).image) for number in range(18)]
    for number in range(54):
        photo = birds[number % len(birds)].resize(SIZES[number % len(SIZES)], Image.Resampling.LANCZOS)
        if number < 8:
            exif = Image.Exif()
            exif[0x0112] = number + 1
            photo.save(folder / f"{number:02}.jpg", exif=exif)
        elif number < 30:
            photo.save(folder / f"{number:02}.jpg", quality=90, subsampling=number % 3)
        elif number < 33:
            photo.putalpha(Image.linear_gradient("L").resize(photo.size))
            photo.save(folder / f"{number:02}.png")
        elif number < 36:
            photo.convert("L").save(folder / f"{number:02}.png")
        else:
            photo.save(folder / f"{number:02}.png")


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), "--use-fake-device-for-media-stream") as new_page:
        yield new_page


@pytest.fixture(scope="module")
def page(browser, site) -> Page:
    """The page, open, with all of it kept for later."""
    page = browser()
    page.open(site.address)
    page.wait_for(READY)
    assert page.text("#notice") == ""
    return page


def choose_model(page: Page, name: str) -> None:
    if page.evaluate("import('/js/app.js').then(({ session }) => session.opened.name)") == name:
        return
    chooser = "document.getElementById('model')"
    page.evaluate(f"{chooser}.value = {json.dumps(name)}; {chooser}.dispatchEvent(new Event('change'))")
    page.wait_for(f"import('/js/app.js').then(({{ session }}) => session.opened.name === {json.dumps(name)})")


PREDICT = """
(async () => {
    const { session } = await import("/js/app.js");
    const { readPhoto } = await import("/js/image/photo.js");
    const { Resizer } = await import("/js/image/resize.js");
    const { resize, crop } = session.opened.contract.preprocessing;
    const found = [];
    for (const name of %s) {
        const photo = await readPhoto(await (await fetch(`photos/${name}`)).blob());
        const pixels = new Resizer(resize, crop).pixels(photo);
        const { probabilities } = await session.opened.classifier.classify(photo);
        found.push([[...pixels], [...probabilities]]);
    }
    return found;
})()
"""


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt-int8.tflite"])
def test_pixels_and_probabilities_are_those_of_python(page, site, name):
    choose_model(page, name)
    model, photos = V1 / name, sorted((site.folder / "photos").iterdir())
    assert len(photos) >= 50
    contract = read_contract(model)
    images = load_images(photos, contract.preprocessing.for_network())
    found = page.evaluate(PREDICT % json.dumps([photo.name for photo in photos]))
    pixels = np.array([pixels for pixels, _ in found], np.int64).reshape(images.shape)
    assert np.abs(pixels - images).mean(axis=(1, 2, 3)).max() <= 1
    runner = load_file(model)
    here = np.stack([runner.predict(image) for image in images])
    rows = iter(np.array([probabilities for _, probabilities in found], np.float32))
    measured = agreement(Runner(lambda image: image, lambda _: next(rows)), images, here)
    assert GATES[contract.precision].misses(measured) == []
    # On the same pixels the two are the same.
    same = (pixels == images).all(axis=(1, 2, 3))
    assert same.sum() >= 40
    differences = np.abs(np.array([row for _, row in found])[same] - here[same]).max(axis=1)
    assert differences.max() <= (1e-4 if contract.precision == "fp32" else 0.02)


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt-int8.tflite"])
def test_the_self_check_passes(page, name):
    choose_model(page, name)
    page.click("nav [aria-controls=check]")
    page.click("#check-button")
    page.wait_for("document.getElementById('check-table').textContent")
    assert page.text("#check-verdict") == f"Passed the gate of {read_contract(V1 / name).precision}."


def test_the_benchmark_gives_a_latency(page):
    page.click("nav [aria-controls=benchmark]")
    page.click("#benchmark-button")
    page.wait_for("document.getElementById('benchmark-table').textContent")
    assert page.text("#benchmark-median").endswith(" ms")


def test_the_camera_is_classified_until_the_screen_is_left(page):
    page.click("nav [aria-controls=camera]")
    page.click("#camera-button")
    page.wait_for("document.getElementById('camera-time').textContent.includes('a frame')")
    assert len(page.text("#camera-ranking").splitlines()) == 10
    video = "document.getElementById('camera-video').srcObject"
    tracks = f"{video}.getTracks().map((track) => track.readyState)"
    assert page.evaluate(tracks) == ["live"]
    page.click("nav [aria-controls=details]")
    assert page.evaluate(video) is None
    page.click("nav [aria-controls=camera]")
    page.wait_for(f"{video} && {tracks}[0] === 'live'")
    page.click("#camera-button")
    assert page.evaluate(video) is None


def test_a_camera_that_does_not_open_is_told(page):
    refuse = "async () => { throw new DOMException('Permission denied', 'NotAllowedError'); }"
    page.evaluate(f"void (navigator.mediaDevices.getUserMedia = {refuse})")
    page.click("nav [aria-controls=camera]")
    page.click("#camera-button")
    page.wait_for("document.getElementById('camera-verdict').textContent.includes('Permission denied')")
    assert page.text("#camera-button") == "Start the camera"
    page.evaluate("delete navigator.mediaDevices.getUserMedia")


def test_a_chosen_photo_is_named(page, site):
    choose_model(page, "ckpt.tflite")
    photo = site.folder / "photos" / "40.png"
    page.choose("#photo-input", photo)
    page.wait_for("document.getElementById('photo-verdict').textContent")
    contract = read_contract(V1 / "ckpt.tflite")
    (image,) = load_images([photo], contract.preprocessing.for_network())
    probabilities = load_file(V1 / "ckpt.tflite").predict(image)
    page.click("nav [aria-controls=photo]")
    assert page.text("#photo-verdict") == contract.classes[probabilities.argmax()]
    assert f"{100 * probabilities.max():.1f} %" in page.text("#photo-ranking")


DROP = """
(() => {
    const dropped = new DataTransfer();
    for (const [name, content] of %s) {
        dropped.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
    }
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
})()
"""


def drop(page: Page, *files: Path) -> None:
    import base64

    page.evaluate(DROP % json.dumps([(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]))


def test_files_may_be_dropped(page, tmp_path):
    drop(page, V1 / "ckpt-fp16.tflite")
    page.wait_for("document.getElementById('model').value === 'ckpt-fp16.tflite'")
    assert "fp16" in page.evaluate("document.getElementById('details-table').textContent")
    drop(page, V1 / "ckpt.onnx")
    page.wait_for("document.getElementById('notice').textContent.includes('This page runs .tflite files')")
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes((V1 / "ckpt.tflite").read_bytes().replace(b'"resize":72', b'"resize":73'))
    shutil.copy(damaged, tmp_path / "x.tflite")
    drop(page, damaged)
    page.wait_for("document.getElementById('notice').textContent.startsWith('damaged.tflite: It is damaged')")
    drop(page, V1 / "ckpt.golden.zip")
    page.wait_for("!document.getElementById('check').hidden && !document.getElementById('notice').textContent")
    (tmp_path / "notes.txt").write_text("no photo")
    drop(page, tmp_path / "notes.txt")
    page.wait_for("document.getElementById('photo-verdict').textContent.includes('cannot read it as a photo')")
    # What was open is open still.
    assert page.evaluate("import('/js/app.js').then(({ session }) => session.opened.name)") == "ckpt-fp16.tflite"


def test_below_the_promised_threshold_a_photo_is_not_named(page, site, tmp_path):
    described = read_contract(V1 / "ckpt.tflite")
    promise = Answers(right=0.95, threshold=1.0, coverage=0.01)
    confidence = FileConfidence(temperature=2.0, photos=400, answers=(promise,))
    model = tmp_path / "unsure.tflite"
    with zipfile.ZipFile(V1 / "ckpt.tflite") as archive:
        labels = archive.getinfo("labels.txt").header_offset
    model.write_bytes((V1 / "ckpt.tflite").read_bytes()[:labels])
    embed(model, seal(described.model_copy(update={"confidence": confidence})))
    drop(page, model)
    page.wait_for("document.getElementById('model').value === 'unsure.tflite'")
    page.choose("#photo-input", site.folder / "photos" / "41.png")
    page.wait_for("document.getElementById('photo-verdict').textContent.startsWith('Not sure: ')")
    assert " or " in page.evaluate("document.getElementById('photo-verdict').textContent")
    details = page.evaluate("document.getElementById('details-table').textContent")
    assert "at least 95.0 % of such answers are right" in details
    assert "unchanged since it was exported" in details


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is missing: npm ci --prefix tests/export/web")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen_is_accessible(page, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", features=features)
    page.evaluate(AXE.read_text())
    for screen in ("camera", "photo", "benchmark", "details", "check"):
        page.click(f"nav [aria-controls={screen}]")
        found = page.evaluate("axe.run().then(({ violations }) => violations)")
        assert found == [], [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def test_nothing_was_asked_of_another_origin_and_the_console_is_clean(page, site):
    assert page.requests()
    assert all(address.startswith((site.address, "blob:", "data:")) for address in page.requests())
    assert page.complaints() == []


def test_a_page_that_was_made_again_arrives_and_works_when_its_server_is_gone(browser, tmp_path):
    write_site([V1 / "ckpt-fp16.tflite"], RUNTIME, tmp_path / "site")
    page = browser()
    address = serve_apart(tmp_path / "site")
    page.open(address)
    page.wait_for(READY)
    write_site([V1 / "ckpt.tflite", V1 / "ckpt-int8.tflite"], RUNTIME, tmp_path / "site")
    (before,) = page.evaluate("caches.keys()")
    # The first visit brings what was kept, and the new page meanwhile.
    page.open(address)
    page.wait_for(f"caches.keys().then((names) => names.length === 1 && names[0] !== {json.dumps(before)})")
    page.open(address)
    page.wait_for(READY)
    assert page.evaluate("document.getElementById('model').value") == "ckpt.tflite"
    assert page.evaluate("document.documentElement.dataset.offline") == "true"
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    shutil.rmtree(tmp_path / "site")
    page.open(address)
    page.wait_for(READY)
    assert page.text("#notice") == ""
    for name in ("ckpt.tflite", "ckpt-int8.tflite"):
        choose_model(page, name)
        page.click("nav [aria-controls=check]")
        page.click("#check-button")
        page.wait_for("document.getElementById('check-verdict').textContent.startsWith('Passed')")


def test_another_model_may_be_chosen_while_one_is_measured(page):
    choose_model(page, "ckpt.tflite")
    page.click("#benchmark-button")
    choose_model(page, "ckpt-int8.tflite")
    page.wait_for("!document.getElementById('benchmark-button').disabled")
    assert page.evaluate("document.getElementById('benchmark-median').textContent") == ""
    assert page.text("#notice") == ""
