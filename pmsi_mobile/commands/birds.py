"""`pmsi-birds`: draw a fine-grained data set to try the toolkit with, without a download."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say


def birds(
    output: Annotated[Path, typer.Argument(help="New folder for the data set.")],
    species: Annotated[int, typer.Option(help="Number of species, 2 to 64.")] = 6,
    train: Annotated[int, typer.Option(min=1, help="Training photos per species.")] = 40,
    val: Annotated[int, typer.Option(min=0, help="Validation photos per species.")] = 10,
    test: Annotated[int, typer.Option(min=0, help="Test photos per species.")] = 10,
    size: Annotated[int, typer.Option(min=32, help="Side of a photo in pixels.")] = 160,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the species and of every photo.")] = 0,
) -> None:
    """Draw birds whose species differ in small parts only: beak, eye ring, wing bars, crest, tail."""
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.data.birds import write_birds

    with progress("drawing birds") as report:
        drawn = write_birds(
            output, species=species, train=train, val=val, test=test, size=size, seed=seed, progress=report
        )
    for bird in drawn:
        typer.echo(bird.name)
    say(f"wrote {output}: {train} training, {val} validation, {test} test photos of each species")
    say(f"next: pmsi-train {shlex.quote(str(output))}")


main = entry_point(birds)

if __name__ == "__main__":
    main()
