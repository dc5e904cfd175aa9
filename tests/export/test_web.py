"""The page of `pmsi-export --web`: what is in the folder, and what its modules compute. No browser, no runtime."""

import base64
import hashlib
import io
import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pmsi_export.commands import export
from pmsi_export.commands._web import prepare_page
from pmsi_export.contract.schema import seal
from pmsi_export.contract.zip_trailer import embed, extract
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_export.jobs.job import Exported, Job
from pmsi_export.web import npm
from pmsi_export.web.server import HEADERS, serve
from pmsi_export.web.site import PAGE, write_site
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.resizes import eval_pixels
from pmsi_mobile.errors import MeasurementError, PmsiError
from tests.android_demo.fixtures import write_judgements
from tests.export.conftest import draw_picture, run_command
from tests.export.test_contract import contract as any_contract
from tests.export.test_embed import plain_model
from tests.export.test_integrity import CHANGES

V1 = Path(__file__).parent / "fixtures" / "v1"
TOOLS = Path(__file__).parent / "web" / "node_modules"

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no Node.js here: apt-get install nodejs")
needs_tools = pytest.mark.skipif(
    not TOOLS.is_dir(), reason="TypeScript and ESLint are missing: npm ci --prefix tests/export/web"
)


def in_node(code: str, given: object) -> Any:
    """What a module, which begins where the page does, makes of `given`; it ends with `give(...)`."""
    before = "import { readFileSync } from 'node:fs'; const given = JSON.parse(readFileSync(0, 'utf8'));"
    give = "const give = (value) => process.stdout.write(JSON.stringify(value));"
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", before + give + code],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=PAGE,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A folder with small tarballs in the place of npm's."""
    folder, packages = tmp_path / "npm", []
    folder.mkdir()
    for package in npm.PACKAGES:
        with tarfile.open(folder / package.tarball, "w:gz") as archive:
            for name in package.needed:
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(name)
                archive.addfile(member, io.BytesIO(name.encode()))
        content = (folder / package.tarball).read_bytes()
        packages.append(replace(package, integrity=base64.b64encode(hashlib.sha512(content).digest()).decode()))
    monkeypatch.setattr(npm, "PACKAGES", tuple(packages))
    return folder


@pytest.fixture
def site(tmp_path, runtime):
    write_site([V1 / "ckpt.tflite", V1 / "ckpt-int8.tflite"], runtime, tmp_path / "site")
    return tmp_path / "site"


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_page_has_the_models_their_golden_samples_and_the_runtime(site):
    described = json.loads((site / "site.json").read_text())
    golden = "ckpt.golden.zip"
    assert described["models"] == [{"file": name, "golden": golden} for name in ("ckpt.tflite", "ckpt-int8.tflite")]
    for name in ("ckpt.tflite", "ckpt-int8.tflite", golden):
        assert (site / "models" / name).read_bytes() == (V1 / name).read_bytes()
    for package in npm.PACKAGES:
        assert all((site / "runtime" / package.folder / name).is_file() for name in package.needed)


def test_what_works_without_a_network_is_all_but_the_builds_of_the_runtime(site):
    kept = set(json.loads(re.search(r"FILES = (\[.*\])", (site / "files.js").read_text(), re.DOTALL)[1]))
    builds = {f"runtime/core/{name}" for name in npm.PACKAGES[0].needed if name.startswith("wasm/")}
    assert kept == files_of(site) - builds - {"index.html", "sw.js", "files.js"} | {"./"}


def test_a_page_that_is_made_again_is_new_to_browsers_and_has_nothing_of_the_old_one(site, runtime):
    before = (site / "files.js").read_text()
    write_site([V1 / "ckpt.tflite", V1 / "ckpt-int8.tflite"], runtime, site)
    assert (site / "files.js").read_text() == before
    (site / "CNAME").write_text("birds.example")
    write_site([V1 / "ckpt-fp16.tflite"], runtime, site)
    assert (site / "files.js").read_text() != before
    assert {path.name for path in (site / "models").iterdir()} == {"ckpt-fp16.tflite", "ckpt.golden.zip"}
    assert (site / "CNAME").is_file()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, runtime):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(PmsiError, match="is not empty and no page of pmsi-export"):
        write_site([V1 / "ckpt.tflite"], runtime, tmp_path)


def test_nothing_comes_from_elsewhere_and_nothing_is_sent():
    index = (PAGE / "index.html").read_text()
    policy = re.search(r'content="(default-src[^"]*)"', index)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    import_map = re.search(r'<script type="importmap">(.*?)</script>', index, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    assert rules.pop("script-src") == f"'self' 'wasm-unsafe-eval' 'sha256-{digest}'"
    assert set(rules.values()) == {"'self'", "'none'"}
    for path in PAGE.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".webmanifest"):
            assert not re.search(r"https?:|[\"'(]//", path.read_text()), path


def test_the_manifest_names_icons_of_their_sizes():
    manifest = json.loads((PAGE / "manifest.webmanifest").read_text())
    for icon in manifest["icons"]:
        with Image.open(PAGE / icon["src"]) as picture:
            assert icon["sizes"] == f"{picture.width}x{picture.height}"
    assert any(icon.get("purpose") == "maskable" for icon in manifest["icons"])


@needs_node
@needs_tools
@pytest.mark.slow
@pytest.mark.parametrize("project", ["tsconfig.json", "tsconfig.worker.json"])
def test_the_modules_have_the_types_that_they_say(project):
    command = ["node", TOOLS / "typescript" / "bin" / "tsc", "--project", PAGE.parent / project]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


@needs_node
@needs_tools
@pytest.mark.slow
def test_the_modules_are_linted():
    command = ["node", TOOLS / "eslint" / "bin" / "eslint.js", "--config", TOOLS.parent / "eslint.config.mjs", "."]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=PAGE)
    assert done.returncode == 0, done.stdout + done.stderr


SIZES = [(96, 80), (640, 480), (480, 640), (60, 45), (77, 333), (333, 77), (146, 146), (1, 1), (900, 1), (300, 1200)]


@needs_node
@pytest.mark.parametrize(("resize", "crop"), [(72, 64), (73, 64), (146, 128)])
def test_a_picture_is_resized_bit_by_bit_as_pillow_does(resize, crop):
    pictures = [draw_picture(number).resize(size, Image.Resampling.BICUBIC) for number, size in enumerate(SIZES)]
    given = {
        "resize": resize,
        "crop": crop,
        "pictures": [
            {
                "width": picture.width,
                "height": picture.height,
                "data": base64.b64encode(picture.convert("RGBA").tobytes()).decode(),
            }
            for picture in pictures
        ],
    }
    code = """
        import { Resizer } from "./js/image/resize.js";
        const resizer = new Resizer(given.resize, given.crop);
        const decoded = (picture) => ({ ...picture, data: Buffer.from(picture.data, "base64") });
        give(given.pictures.map((picture) => Buffer.from(resizer.pixels(decoded(picture))).toString("base64")));
    """
    for picture, pixels in zip(pictures, in_node(code, given), strict=True):
        expected = eval_pixels(picture, Preprocessing(resize=resize, crop=64 if crop == 64 else 128))
        found = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(expected.shape)
        assert np.array_equal(found, expected), picture.size


READ = """
    import { readContract } from "./js/contract/contract.js";
    const read = (path) => readContract(new Uint8Array(readFileSync(path))).catch((error) => error.message);
    give(await Promise.all(given.map(read)));
"""


@needs_node
def test_the_contract_of_every_file_is_read():
    models = sorted(V1.glob("*.tflite"))
    for model, described in zip(models, in_node(READ, [str(model) for model in models]), strict=True):
        assert described["contract"] == json.loads(extract(model).text)
        # Those of 0.1.0 have no digest of themselves.
        assert described["sealed"] is False


def sealed_model(path: Path, text: str | None = None, **changes: object) -> Path:
    plain_model("tflite", path)
    contract = any_contract().model_copy(update={"content_sha256": extract(path).content_sha256, **changes})
    embed(path, text or seal(contract))
    return path


@needs_node
def test_a_contract_with_a_digest_of_itself_is_protected(tmp_path):
    (described,) = in_node(READ, [str(sealed_model(tmp_path / "model.tflite"))])
    assert described["sealed"] is True
    assert described["contract"]["classes"] == ["käna", "teal, green"]


@needs_node
def test_what_changed_or_does_not_fit_together_is_refused_with_its_reason(tmp_path):
    model = sealed_model(tmp_path / "model.tflite")
    text = extract(model).text
    expected = {}

    def case(name: str, reason: str, path: Path) -> None:
        expected[str(path.rename(tmp_path / f"{name}.tflite"))] = reason

    for name, change in CHANGES.items():
        case(name, "its contract has changed", sealed_model(tmp_path / "changed", change(text)))
    case("other content", "has changed since it was exported", sealed_model(tmp_path / "a", content_sha256="0" * 64))
    case("newer", "has contract version 2", sealed_model(tmp_path / "b", schema_version=2))
    case("another format", "it is that of a onnx file", sealed_model(tmp_path / "c", format="onnx"))
    case("precision", "does not fit the precision int8", sealed_model(tmp_path / "d", precision="int8"))
    output = any_contract().output.model_copy(update={"shape": (1, 3)})
    case("output", "does not fit 2 classes", sealed_model(tmp_path / "e", output=output))
    whole = model.read_bytes()
    for name, content, reason in (
        ("cut off", whole[:-30], "has no contract"),
        ("plain", whole[: whole.index(b"PK")], "has no contract"),
        ("a letter", whole.replace(b"teal, green\n", b"teal, grain\n"), "its entry labels.txt has changed"),
        ("directory", whole[:-100] + bytes(78) + whole[-22:], "cut off or damaged"),
    ):
        (tmp_path / "f").write_bytes(content)
        case(name, reason, tmp_path / "f")
    for path, found in zip(expected, in_node(READ, list(expected)), strict=True):
        assert expected[path] in found, (path, found)


@needs_node
def test_golden_samples_are_read_also_when_they_are_deflated(tmp_path):
    with_other = tmp_path / "deflated.golden.zip"
    with (
        zipfile.ZipFile(V1 / "ckpt.golden.zip") as stored,
        zipfile.ZipFile(with_other, "w", zipfile.ZIP_DEFLATED) as zip,
    ):
        for name in stored.namelist():
            zip.writestr(name, stored.read(name))
    code = """
        import { readGolden, belongsTo } from "./js/measure/golden.js";
        import { readContract } from "./js/contract/contract.js";
        const bytes = (path) => new Uint8Array(readFileSync(path));
        const { contract } = await readContract(bytes(given.model));
        const found = await Promise.all(given.golden.map((path) => readGolden(bytes(path))));
        give(found.map((golden) => [belongsTo(golden, contract), belongsTo({ ...golden, side: 32 }, contract),
            golden.samples.map(({ png, probabilities }) => [png.length, probabilities])]));
    """
    given = {"model": str(V1 / "ckpt-int8.tflite"), "golden": [str(V1 / "ckpt.golden.zip"), str(with_other)]}
    stored, deflated = in_node(code, given)
    assert stored == deflated
    assert stored[:2] == [True, False]
    assert [probabilities for _, probabilities in stored[2]] == np.load(V1 / "golden.npz")["probabilities"].tolist()


@needs_node
@pytest.mark.parametrize("side", [32, 64000])
def test_golden_samples_of_another_size_are_not_even_decoded(tmp_path, side):
    damaged = tmp_path / "ckpt.golden.zip"
    with zipfile.ZipFile(V1 / "ckpt.golden.zip") as whole, zipfile.ZipFile(damaged, "w") as archive:
        for name in whole.namelist():
            size = struct.pack(">II", side, side)
            content = whole.read(name)
            archive.writestr(name, content[:16] + size + content[24:] if name == "3.png" else content)
    code = """
        import { readGolden } from "./js/measure/golden.js";
        give(await readGolden(new Uint8Array(readFileSync(given))).catch((error) => error.message));
    """
    assert in_node(code, str(damaged)) == "It is damaged: 3.png is not 64 x 64 pixels."


@needs_node
def test_the_gates_are_those_of_pmsi_export(tmp_path):
    write_judgements(tmp_path)
    precisions = ("fp32", "fp16", "int8", "int8-dynamic")
    given = {**json.loads((tmp_path / "judgements.json").read_text()), "precisions": precisions}
    code = """
        import { agreement, gateOf, misses } from "./js/measure/gate.js";
        const judged = given.cases.map(({ top_k, outputs }) => agreement(outputs, given.reference, top_k !== null));
        const missed = (measured) => given.precisions.map((name) => misses(gateOf(name), measured).length);
        give(judged.map((measured) => ({ measured, misses: missed(measured) })));
    """
    for case, found in zip(given["cases"], in_node(code, given), strict=True):
        measured, expected = found["measured"], case["agreement"]
        assert measured["maxAbsDifference"] == pytest.approx(expected["max_abs_difference"], abs=1e-7)
        assert measured["sqnrDb"] == pytest.approx(expected["sqnr_db"], abs=1e-4)
        for here, there in (
            ("top1Agreement", "top1_agreement"),
            ("confidentAgreement", "confident_agreement"),
            ("confidentImages", "confident_images"),
        ):
            assert measured[here] == pytest.approx(expected[there])
        assert found["misses"] == [len(case["misses"][precision]) for precision in precisions]


@needs_node
@pytest.mark.parametrize(
    ("confidence", "answer"),
    [
        (None, {"sure": True, "text": "b"}),
        ({"answers": []}, {"sure": True, "text": "b"}),
        ({"answers": [{"right": 0.9, "threshold": 0.9}]}, {"sure": True, "text": "b"}),
        ({"answers": [{"right": 0.95, "threshold": 0.6}]}, {"sure": True, "text": "b"}),
        ({"answers": [{"right": 0.95, "threshold": 0.61}]}, {"sure": False, "text": "Not sure: b or c"}),
        ({"answers": [{"right": 0.95, "threshold": None}]}, {"sure": True, "text": "b"}),
    ],
)
def test_below_the_threshold_the_page_is_not_sure(confidence, answer):
    code = """
        import { answer, ranking } from "./js/network/answer.js";
        give(answer(given, ranking(given, [0.1, 0.6, 0.3])));
    """
    assert in_node(code, {"classes": ["a", "b", "c"], "confidence": confidence}) == answer


@needs_node
@pytest.mark.parametrize(
    ("score", "unknown", "text"),
    [
        (-3.0, {"kept": 0.95, "threshold": -2.0}, "b"),
        (-2.0, {"kept": 0.95, "threshold": -2.0}, "b"),
        (-1.0, {"kept": 0.95, "threshold": -2.0}, "None of these"),
        (-1.0, None, "b"),
    ],
)
def test_above_the_threshold_of_its_unknown_score_a_photo_is_none_of_these(score, unknown, text):
    code = """
        import { answer, ranking } from "./js/network/answer.js";
        import { Classifier } from "./js/network/classifier.js";
        const [first, second] = [[0.1, 0.6, 0.3], [given.score]].map((values) => new Float32Array(values));
        const outputs = { probabilities: first, unknown_score: second };
        const classifier = new Classifier(given, { run: async () => outputs, close: () => undefined });
        const picture = { width: 1, height: 1, data: new Uint8ClampedArray(4) };
        const { probabilities, unknownScore } = await classifier.classify(picture);
        give(answer(given, ranking(given, probabilities), unknownScore).text);
    """
    contract = {
        "classes": ["a", "b", "c"],
        "confidence": {"answers": []} | ({"unknown": unknown} if unknown else {}),
        "input": {"dtype": "uint8", "shape": [1, 1, 1, 3]},
        "output": {"shape": [1, 3], "unknown_score": "negative of the largest logit"},
        "preprocessing": {"resize": 1, "crop": 1},
    }
    assert in_node(code, contract | {"score": score}) == text


def test_the_runtime_has_to_be_what_npm_has(tmp_path, runtime):
    tarball = runtime / npm.PACKAGES[0].tarball
    whole = tarball.read_bytes()
    tarball.write_bytes(whole + b"\0")
    with pytest.raises(PmsiError, match="is not @litertjs/core"):
        write_site([V1 / "ckpt.tflite"], runtime, tmp_path / "site")
    tarball.unlink()
    with pytest.raises(PmsiError, match="is missing: run `npm pack @litertjs/core@"):
        write_site([V1 / "ckpt.tflite"], runtime, tmp_path / "site")


def test_what_is_downloaded_is_held_against_its_digest_before_it_is_kept(tmp_path, runtime, monkeypatch):
    elsewhere = {package.url: (runtime / package.tarball).read_bytes() for package in npm.PACKAGES}
    monkeypatch.setattr(npm.urllib.request, "urlopen", lambda request, timeout: io.BytesIO(elsewhere[request.full_url]))
    monkeypatch.setattr(npm, "cache_folder", lambda: tmp_path / "cache")
    assert prepare_page(tmp_path / "site", [FORMATS["tflite"]], None, yes=True) == tmp_path / "cache"
    assert npm.missing(tmp_path / "cache") == []
    (tmp_path / "cache" / npm.PACKAGES[1].tarball).unlink()
    elsewhere[npm.PACKAGES[1].url] = b"something else"
    with pytest.raises(PmsiError, match="is not @litertjs/wasm-utils"):
        prepare_page(tmp_path / "site", [FORMATS["tflite"]], None, yes=True)
    assert npm.missing(tmp_path / "cache") == [npm.PACKAGES[1]]


def test_nothing_is_downloaded_unasked(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(npm, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(npm, "download", lambda packages, folder: pytest.fail("it downloads"))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(PmsiError, match="has to be fetched from npm once: --yes fetches it"):
        prepare_page(tmp_path / "site", [FORMATS["tflite"]], None, yes=False)


def test_a_page_for_files_that_no_browser_runs_is_refused(tmp_path):
    with pytest.raises(PmsiError, match="the page runs no onnx files: choose --format tflite"):
        prepare_page(tmp_path / "site", [FORMATS["onnx"]], tmp_path, yes=False)


def test_the_page_of_a_checkpoint_has_the_tflite_files_that_passed(tmp_path, runtime, monkeypatch, capsys):
    (tmp_path / "models").mkdir()

    def run(jobs: list[Job], calibration: list[Path]) -> list[tuple[Job, Exported]]:
        outcomes = []
        for job in jobs:
            shutil.copy(V1 / job.target.name, job.target)
            shutil.copy(V1 / "ckpt.golden.zip", job.golden)
            contract = read_contract(job.target)
            if job.precision == "int8-dynamic":
                parity = contract.parity.model_copy(update={"status": "failed", "reason": "missed"})
                contract = contract.model_copy(update={"parity": parity})
            outcomes.append((job, Exported(job.target, 1, contract, 1.0)))
        return outcomes

    monkeypatch.setattr(export, "_run", run)
    with pytest.raises(MeasurementError, match="1 of 3 files failed"):
        export.export(
            [V1 / "ckpt.pt"],
            precisions=["fp32", "fp16", "int8-dynamic"],
            output=tmp_path / "models",
            web=tmp_path / "site",
            web_runtime=runtime,
            no_verify=True,
        )
    models = {path.name for path in (tmp_path / "site" / "models").iterdir()}
    assert models == {"ckpt.tflite", "ckpt-fp16.tflite", "ckpt.golden.zip"}
    assert capsys.readouterr().out.endswith(f"next: pmsi-export --serve {tmp_path / 'site'}\n")


def test_the_command_says_what_is_wrong(tmp_path):
    for arguments, reason in (
        (("--serve", tmp_path), "is no page: make one with pmsi-export --web"),
        (("--web", tmp_path / "site", "--web-runtime", tmp_path, V1 / "ckpt.tflite"), "is missing: run `npm pack"),
    ):
        result = run_command("pmsi-export", *arguments)
        assert result.status == 2, result
        assert reason in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "site").exists()


def test_serving_says_how_a_phone_gets_at_it_and_ends_with_ctrl_c(site):
    command = [Path(sys.executable).with_name("pmsi-export"), "--serve", site, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        address, phone = server.stdout.readline(), server.stdout.readline()
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=60)
    port = re.match(r"http://localhost:(\d+)/", address)[1]
    assert f"adb reverse tcp:{port} tcp:{port}" in phone
    assert (server.returncode, errors) == (0, "")


def test_the_page_is_served_with_what_browsers_insist_on(site):
    ports: list[int] = []
    threading.Thread(target=serve, args=(site, 0, ports.append), daemon=True).start()
    while not ports:
        pass
    types = {
        "": "text/html; charset=utf-8",
        "js/app.js": "text/javascript; charset=utf-8",
        "app.css": "text/css; charset=utf-8",
        "manifest.webmanifest": "application/manifest+json",
        "runtime/core/wasm/litert_wasm_internal.wasm": "application/wasm",
        "models/ckpt.tflite": "application/octet-stream",
    }
    for name, kind in types.items():
        with urllib.request.urlopen(f"http://localhost:{ports[0]}/{name}", timeout=20) as response:
            assert response.read()
            assert response.headers["Content-Type"] == kind
            assert all(response.headers[header] == value for header, value in HEADERS.items())
    with pytest.raises(PmsiError, match=f"port {ports[0]} cannot be had"):
        serve(site, ports[0], ports.append)
