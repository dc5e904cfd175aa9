"""`pmsi-data`: unpack a benchmark data set from the files that its authors publish."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import PmsiError


def data(
    name: Annotated[str, typer.Argument(metavar="cub|cars|aircraft", help="Which data set.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE... FOLDER",
            help="The downloaded files (cars: cars_train.tgz cars_test.tgz car_devkit.tgz "
            "cars_test_annos_withlabels.mat, or car_ims.tgz cars_annos.mat), and a new folder at the end.",
        ),
    ],
) -> None:
    """Unpack CUB-200-2011, Stanford Cars or FGVC-Aircraft for pmsi-train; sums and counts are checked.

    Nothing is downloaded.
    """
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.data.official_archives import unpack_official

    *sources, folder = files
    if not sources:
        raise PmsiError("the files or the new folder are missing: pmsi-data cub CUB_200_2011.tgz photos/cub")
    listing, notes = unpack_official(name, sources, folder, progress)
    for note in notes:
        say(f"note: {note}", err=True)
    photos = {split: sum(map(len, by_class.values())) for split, by_class in listing.splits.items()}
    say(
        f"wrote {folder}: {listing.layout}, {len(listing.classes)} classes, {photos['train']} training and "
        f"{photos['test']} test photos, as published"
    )
    say(f"next: pmsi-train {shlex.quote(str(folder))} --preset paper")


main = entry_point(data)

if __name__ == "__main__":
    main()
