"""What is known of a network's confidence: it travels in checkpoints and in contracts."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answers(_Part):
    """A promise: of the answers whose first probability is `threshold` or more, at least the share `right` is right.
    Of the photos that it was made from, the share `coverage` has such an answer."""

    right: float = Field(gt=0, lt=1)
    threshold: float = Field(ge=0, le=1)
    coverage: float = Field(ge=0, le=1)


class Unknown(_Part):
    """From where on a photo shows none of the classes: when its unknown score (`pmsi_mobile.confidence.unknown`) is
    above `threshold`. A photo of a class is kept with a probability of `kept` at least, where it comes from where those
    came from that the threshold was found on."""

    kept: float = Field(gt=0, lt=1)
    threshold: float


class Confidence(_Part):
    """What was found for one prediction of a network on photos that its training did not see."""

    temperature: float = Field(1.0, gt=0)
    """What its logits are divided by."""
    photos: int = Field(0, ge=0)
    """That it was calibrated on; 0: it was not."""
    answers: tuple[Answers, ...] = ()
    """The promises that the photos support."""
    unknown: Unknown | None = None
    """Null where no score says that a photo is of no class."""
    wanted: int | None = Field(None, gt=0)
    """About how many photos the temperature would take to be known well; null where those that there were do."""

    def threshold(self, right: float) -> float | None:
        """From which first probability on that share of answers is right; None where nothing is promised."""
        return next((answers.threshold for answers in self.answers if answers.right == right), None)

    @property
    def too_few(self) -> str | None:
        """That the photos were too few, in words; None where they were not."""
        if self.wanted is None:
            return None
        return f"{self.photos} photos are too few for a temperature that is certain: about {self.wanted} would do"

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_null(handler(self), "unknown", "wanted")


def without_null(fields: dict[str, Any], *later: str) -> dict[str, Any]:
    """Without those of the fields `later` that are null: readers of versions that did not know them refuse them."""
    return {name: value for name, value in fields.items() if name not in later or value is not None}


NOT_CALIBRATED = Confidence()
