"""`pmsi-export`: a checkpoint to checked model files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmsi_export.formats.choice import choose
from pmsi_export.formats.registry import COMPRESSED, FORMATS, INT8_WEIGHTS, PRECISIONS, get_format
from pmsi_export.graph.variant import Variant
from pmsi_export.jobs.job import Exported, Job
from pmsi_export.jobs.subprocesses import Failure, export_apart, prepare_int8_apart, silence_tracker, stop_all
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_export.checks.photos import EvaluationPhotos

CONVERTER_BYTES = 3 << 30
"""Memory that one converter takes at most."""


def export(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT",
            help="ckpt.pt of pmsi-train; with --info or --diagnose files of pmsi-export, with --web too; "
            "with --serve a folder that --web made.",
        ),
    ],
    formats: Annotated[
        list[str],
        typer.Option("--format", help=f"{', '.join(FORMATS)}, or all. May be given several times."),
    ] = ["tflite"],  # noqa: B006 (typer copies it)
    precisions: Annotated[
        list[str],
        typer.Option("--precision", help=f"{', '.join(PRECISIONS)}, or all. May be given several times."),
    ] = ["fp32"],  # noqa: B006
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photos for int8 and compressed weights "
            "[default: those that pmsi-train kept beside the checkpoint]."
        ),
    ] = None,
    head: Annotated[
        str,
        typer.Option(help="mix: all classifiers together; concat: Eq. 7's classifier alone, which is less work."),
    ] = "mix",
    size: Annotated[
        int | None,
        typer.Option(help="Side of the input in pixels, a multiple of 32 [default: as in training]."),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1, help="Give the K largest probabilities and their indices [default: all; MediaPipe needs all]."
        ),
    ] = None,
    unknown_score: Annotated[
        bool,
        typer.Option(
            "--unknown-score",
            help="A second output: how little the photo is like any class [default: none; MediaPipe takes one output].",
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Folder for the files [default: beside the checkpoint].")] = None,
    android: Annotated[
        Path | None,
        typer.Option(
            metavar="android_demo", help="Folder of the demo app: put the files that it can open into it too."
        ),
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Make a page that runs the .tflite files in any browser, a phone's too: files for a web server.",
        ),
    ] = None,
    web_runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder with the page's runtime, as npm pack gives it [default: fetched from npm once]."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Fetch the page's runtime without asking.")] = False,
    served: Annotated[
        bool, typer.Option("--serve", help="Only serve a folder that --web made, on this machine.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of --serve.")] = 8000,
    name: Annotated[
        str | None, typer.Option(help="Name of the files without suffix [default: the checkpoint's].")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of labelled photos: the gate is applied to its test or val split as well "
            "[default for all but fp32: the validation photos of the run, where they still are]."
        ),
    ] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Skip the parity gate; the contract says so.")] = False,
    info: Annotated[bool, typer.Option("--info", help="Only print the contract inside a file of pmsi-export.")] = False,
    diagnosis: Annotated[
        bool,
        typer.Option(
            "--diagnose",
            help="Only print what is in files or checkpoints: operators, where they run, work; "
            "with --precision int8 what each layer of a checkpoint loses.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Convert CHECKPOINT and check each file against the training network."""
    import json
    import shlex

    if diagnosis:
        from pmsi_export.commands._diagnose import show_diagnosis

        show_diagnosis(checkpoints, "int8" in precisions, calibration, as_json)
        return
    if web and all(path.suffix == get_format("tflite").suffix for path in checkpoints):
        from pmsi_export.commands._web import next_step, prepare_page
        from pmsi_export.web.site import write_site

        write_site(checkpoints, prepare_page(web, [get_format("tflite")], web_runtime, yes), web)
        say(next_step(web))
        return
    if len(checkpoints) > 1:
        raise PmsiError(f"one at a time: {checkpoints[1]} is one too many")
    checkpoint = checkpoints[0]
    if info:
        from pmsi_export.commands._info import show

        show(checkpoint, as_json)
        return
    if served:
        from pmsi_export.commands._web import serve_page

        serve_page(checkpoint, port)
        return
    from pmsi_export.commands._export_output import print_table, row, why_not
    from pmsi_export.contract.schema import write_labels
    from pmsi_export.jobs.android_assets import check_app, put_into_app
    from pmsi_export.jobs.model_card import write_card
    from pmsi_mobile.files import check_photo_folder, check_writable
    from pmsi_mobile.tensor_check import check_tensors

    if no_verify and data:
        raise PmsiError("--no-verify measures nothing: leave out --data")
    variant = _variant(head, size, top_k, unknown_score)
    chosen, refused = choose(formats, precisions, top_k, unknown_score)
    if not checkpoint.is_file():
        raise PmsiError(f"checkpoint {checkpoint} does not exist")
    calibrating: list[Path] = []
    if any(precision in (*INT8_WEIGHTS, *COMPRESSED) for _, precision in chosen):
        from pmsi_export.checks.photos import calibration_photos

        needed = any(precision == "int8" for _, precision in chosen)
        calibrating = calibration_photos(calibration, checkpoint, needed=needed)
    if android:
        check_app(android, [known for known, _ in chosen])
    runtime = None
    if web:
        from pmsi_export.commands._web import next_step, prepare_page
        from pmsi_export.web.site import WEB_FORMAT, write_site

        runtime = prepare_page(web, [known for known, _ in chosen], web_runtime, yes)
    check_tensors(checkpoint)
    if data:
        check_photo_folder(data)
    folder = output or checkpoint.parent
    check_writable(folder, data)
    exact = all(precision == "fp32" for _, precision in chosen)
    photos = None if no_verify or (exact and not data) else _evaluation_photos(data, checkpoint, variant)
    stem = name or f"{checkpoint.stem}{variant}"
    jobs = [
        Job(
            checkpoint,
            known.name,
            precision,
            folder,
            stem,
            not no_verify,
            photos,
            variant=variant,
            calibration=tuple(calibrating) if precision in COMPRESSED else (),
        )
        for known, precision in chosen
    ]
    outcomes = _run(jobs, calibrating)
    made = [(job, outcome) for job, outcome in outcomes if not isinstance(outcome, Failure)]
    if made:
        write_labels(made[0][1].contract.classes, folder / f"{stem}.labels.txt")
        if note := write_card(*made[0]):
            say(f"note: {note}", err=True)
        confidence = made[0][1].contract.confidence
        if unknown_score and not (confidence and confidence.unknown):
            remedy = "the checkpoint's is not that of another --size" if size else "pmsi-calibrate makes it"
            say(f"note: the files have no threshold of the unknown score: {remedy}", err=True)
    good = [job for job, outcome in outcomes if not why_not(outcome)]
    if android:
        for name in put_into_app(outcomes, android):
            say(f"note: removed {name} from the app: it is of another checkpoint, or was rejected now", err=True)

    runnable = [job.target for job in good if runtime and job.format == WEB_FORMAT]
    if web and runtime and runnable:
        write_site(runnable, runtime, web)

    if as_json:
        typer.echo(json.dumps([row(job, outcome) for job, outcome in outcomes]))
    else:
        print_table(outcomes)
        for reason, names in refused.items():
            say(f"{', '.join(names)} cannot be written {reason}")
        if android and good:
            say(f"next: open {android} in Android Studio and press Run")
        elif web and runnable:
            say(next_step(web))
        elif good:
            say(f"next: pmsi-bench {shlex.join(str(job.target) for job in good)}")
    failed = [f"{job.target.name} ({why})" for job, outcome in outcomes if (why := why_not(outcome))]
    if failed:
        raise MeasurementError(f"{len(failed)} of {len(jobs)} files failed: {', '.join(failed)}")


def _variant(head: str, size: int | None, top_k: int | None, unknown_score: bool) -> Variant:
    if head not in ("mix", "concat"):
        raise PmsiError(f"unknown head '{head}': choose mix or concat")
    if size is not None and (size < 32 or size % 32):
        raise PmsiError(f"--size {size} is not a multiple of 32, the stride of the last stage")
    if top_k and unknown_score:
        raise PmsiError("--unknown-score and --top-k each add an output, and clients take two at most: leave one out")
    return Variant(head, size, top_k, unknown_score)


def _evaluation_photos(folder: Path | None, checkpoint: Path, variant: Variant) -> "EvaluationPhotos | None":
    from pmsi_mobile.console.progress import loading_pytorch, progress

    loading_pytorch()
    from pmsi_export.checks.photos import evaluation_photos

    with progress("training network") as report:
        photos, notes = evaluation_photos(folder, checkpoint, variant, report)
    for note in notes:
        say(f"note: {note}", err=True)
    return photos


def _run(jobs: list[Job], calibration: list[Path]) -> list[tuple[Job, Exported | Failure]]:
    """All jobs, each in its own process, as many at a time as there are cores and memory."""
    import tempfile
    import time
    from concurrent.futures import Future, ThreadPoolExecutor, as_completed
    from dataclasses import replace

    from pmsi_mobile.console.progress import progress

    silence_tracker()
    with (
        tempfile.TemporaryDirectory(prefix="pmsi-export-") as scratch,
        ThreadPoolExecutor(_side_by_side()) as pool,
        progress("exporting") as report,
    ):
        prepared = {paired: Path(scratch) / f"quantised-{paired}.pt" for paired in (False, True)}
        # Those that wait for the preparation come last.
        order = sorted(range(len(jobs)), key=lambda index: jobs[index].precision in INT8_WEIGHTS)
        futures: dict[int, Future[Exported | Failure]] = {}
        preparations: dict[bool, Future[Failure | None]] = {}

        def work(job: Job) -> Exported | Failure:
            paired = job.known.paired_sums
            if paired not in preparations or job.precision not in INT8_WEIGHTS:
                return export_apart(job)
            return preparations[paired].result() or export_apart(replace(job, quantised=prepared[paired]))

        try:
            wanted = {job.known.paired_sums for job in jobs if job.precision in INT8_WEIGHTS} if calibration else ()
            # Submitted first, so that the jobs that wait for them cannot keep them from running.
            for paired in sorted(wanted):
                preparations[paired] = pool.submit(
                    prepare_int8_apart, jobs[0].checkpoint, jobs[0].variant, calibration, prepared[paired], paired
                )
            for index in order:
                futures[index] = pool.submit(work, jobs[index])
            for done, _ in enumerate(as_completed(futures.values()), start=1):
                report(done, len(jobs))
        except BaseException:
            # Interrupted: what has not begun does not begin, what has stops. More than once, for a thread may be about
            # to start its process.
            pool.shutdown(wait=False, cancel_futures=True)
            while stop_all() or not all(future.done() for future in futures.values()):
                time.sleep(0.05)
            raise
    return [(job, futures[index].result()) for index, job in enumerate(jobs)]


def _side_by_side() -> int:
    """How many converters this machine has cores and memory for."""
    import os

    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return 2  # Neither macOS nor Windows says.
    return max(1, min(os.cpu_count() or 1, free // CONVERTER_BYTES))


main = entry_point(export)
