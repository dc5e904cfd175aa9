"""What is known of a network's confidence: it travels in checkpoints and in contracts."""

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answers(_Part):
    """A promise: of the answers whose first probability is `threshold` or more, at least the share `right` is right.
    Of the photos that it was made from, the share `coverage` has such an answer."""

    right: float = Field(gt=0, lt=1)
    threshold: float = Field(ge=0, le=1)
    coverage: float = Field(ge=0, le=1)


class Confidence(_Part):
    """What was found for one prediction of a network on photos that its training did not see."""

    temperature: float = Field(1.0, gt=0)
    """What its logits are divided by."""
    photos: int = Field(0, ge=0)
    """That it was calibrated on; 0: it was not."""
    answers: tuple[Answers, ...] = ()
    """The promises that the photos support."""

    def threshold(self, right: float) -> float | None:
        """From which first probability on that share of answers is right; None where nothing is promised."""
        return next((answers.threshold for answers in self.answers if answers.right == right), None)


NOT_CALIBRATED = Confidence()
