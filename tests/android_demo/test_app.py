"""The demo app without the Android SDK: its sources compiled, its own tests run on the JVM, its style checked."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.android_demo.fixtures import write_fixtures

APP = Path(__file__).parents[2] / "android_demo"
POM = "{http://maven.apache.org/POM/4.0.0}"

missing = [tool for tool in ("java", "mvn", "aapt2") if not shutil.which(tool)]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: JDK 17, Maven and aapt are needed"),
    pytest.mark.timeout(3600),
]


@dataclass(frozen=True)
class Case:
    """One test of the app as Surefire reports it."""

    name: str
    outcome: str
    """passed, skipped or failed."""
    message: str


@dataclass(frozen=True)
class Build:
    """One run of the app's proof."""

    status: int
    output: str
    cases: tuple[Case, ...]


def read_report(path: Path) -> Iterator[Case]:
    for case in ET.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name')}"
        for outcome, tags in (("failed", ("failure", "error")), ("skipped", ("skipped",))):
            found = next((part for tag in tags if (part := case.find(tag)) is not None), None)
            if found is not None:
                yield Case(name, outcome, (found.text or found.get("message") or "").strip())
                break
        else:
            yield Case(name, "passed", "")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`mvn verify` to its end: a failing test does not keep the linters from running."""
    fixtures = tmp_path_factory.mktemp("app") / "fixtures"
    write_fixtures(fixtures)
    target = APP / "target" / "app"
    shutil.rmtree(target, ignore_errors=True)
    options = ("-Dmaven.test.failure.ignore=true", f"-Dpmsi.fixtures={fixtures}")
    run = subprocess.run(
        ["mvn", "-q", "-f", APP / "pom.xml", "verify", *options],
        env=os.environ | {"LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    reports = sorted((target / "surefire-reports").glob("TEST-*.xml"))
    return Build(run.returncode, run.stdout + run.stderr, tuple(case for path in reports for case in read_report(path)))


def test_sources_compile_and_pass_ktlint_and_detekt(build: Build) -> None:
    assert build.status == 0, build.output[-8000:]


def test_the_apps_own_tests_pass(build: Build, subtests: pytest.Subtests) -> None:
    assert build.cases, f"no test of the app ran:\n{build.output[-4000:]}"
    for case in build.cases:
        with subtests.test(case.name):
            if case.outcome == "skipped":
                pytest.skip(case.message or "skipped")
            assert case.outcome == "passed", case.message


missing_for_apk = [tool for tool in ("apksigner", "zipalign", "npm") if not shutil.which(tool)]


@pytest.mark.skipif(bool(missing_for_apk), reason=f"{', '.join(missing_for_apk)} not installed")
def test_an_apk_is_assembled_signed_and_verified(build: Build) -> None:
    assert build.status == 0, "the build failed"
    run = subprocess.run(
        [sys.executable, APP / "proof/apk.py", "--no-build", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout)
    assert report["package"] == "org.pmsi.mobile.demo"
    assert (report["min_sdk"], report["target_sdk"]) == ("26", "36")
    assert report["permissions"] == ["android.permission.CAMERA"]
    # What every phone has; no camera, nor its autofocus, is needed for photos.
    assert report["required_features"] == ["android.hardware.faketouch"]
    assert report["optional_libraries"] == ["libOpenCL.so", "libOpenCL-pixel.so", "libOpenCL-car.so"]
    assert report["signatures"] == ["v2", "v3"]
    pages = {name.rpartition("/")[2]: library["page"] for name, library in report["libraries"].items()}
    assert pages["libonnxruntime.so"] == 16384
    # The newest TensorFlow Lite of Maven Central; LiteRT, which Gradle takes, has pages of 16 KB.
    assert pages["libtensorflowlite_jni.so"] == 4096


def test_sentences_for_people_are_in_the_resources() -> None:
    """What is said in Kotlin can be translated by nobody; those excepted are for programmers."""
    literal = re.compile(r'"(?:[^"\\]|\\.)*"')
    words = re.compile(r"[a-z]{2,} [a-z]{2,}")
    excepted = re.compile(r"require\(|JSONException\(|IllegalArgumentException\(|^\s*(//|\*|/\*)")
    lines = [
        f"{path.name}: {line.strip()}"
        for path in (APP / "app" / "src").rglob("*.kt")
        if "test" not in path.relative_to(APP / "app" / "src").parts
        for line in path.read_text().splitlines()
        if any(map(words.search, literal.findall(line))) and not excepted.search(line)
    ]
    assert lines == []


def test_gradle_and_maven_build_the_same_app() -> None:
    catalogue = tomllib.loads((APP / "gradle/libs.versions.toml").read_text())["versions"]
    pom = ET.parse(APP / "pom.xml").getroot()

    def maven(name: str) -> str | None:
        return pom.findtext(f"{POM}properties/{POM}{name}")

    assert pom.findtext(f"{POM}version") == catalogue["versionName"]
    assert maven("app.versionCode") == catalogue["versionCode"]
    assert maven("app.minSdk") == catalogue["minSdk"]
    assert maven("app.targetSdk") == catalogue["targetSdk"]
    assert maven("robolectric.version") == catalogue["robolectric"]
    assert maven("onnxruntime.version") == catalogue["onnxruntime"]
