"""What the demo app writes when its benchmark is started over adb."""

from pydantic import BaseModel, ConfigDict, ValidationError

from pmsi_mobile.errors import MeasurementError


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AppMemory(_Record):
    """Of the app's process."""

    rss_before_bytes: int | None
    rss_peak_bytes: int | None


class AppDevice(_Record):
    """As the app sees the phone."""

    manufacturer: str
    model: str
    soc: str | None
    android: str
    sdk: int
    abi: str


class AppResult(_Record):
    """One benchmark. With `error` every measured field may be null."""

    schema_version: int
    app_version: str
    model: str
    model_sha256: str | None
    runtime: str
    runtime_version: str | None
    delegate: str
    """What it really ran on."""
    delegate_note: str | None
    """Why that is not what was asked for."""
    threads: int
    load_ms: float | None
    first_inference_ms: float | None
    warmup: int
    latencies_ns: list[int] | None
    memory: AppMemory | None
    thermal_status_before: int | None
    thermal_status_after: int | None
    device: AppDevice
    golden: list[list[float]] | None
    """Probabilities of the golden samples, in their order; null where the app has none for the model."""
    error: str | None


_SCHEMA_VERSION = 1


def parse_app_result(text: bytes) -> AppResult:
    """Read the app's JSON. Raises MeasurementError for another schema, or with the error that the app reports."""
    try:
        result = AppResult.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MeasurementError(
            f"the app's result cannot be read ({where or 'JSON'}: {first['msg']}): install the app of this version"
        ) from None
    if result.schema_version != _SCHEMA_VERSION:
        raise MeasurementError(
            f"the app writes results of version {result.schema_version}, this pmsi-bench reads version "
            f"{_SCHEMA_VERSION}: install the app of this version"
        )
    if result.error:
        raise MeasurementError(f"the app says: {result.error}")
    return result
