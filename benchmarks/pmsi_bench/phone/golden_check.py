"""The golden samples as the phone computes them, judged on the host by the gates of the export."""

from collections.abc import Callable

from pmsi_bench.phone.burst import Job
from pmsi_export.checks.gates import GATES, agreement, not_measured
from pmsi_export.contract.schema import Parity
from pmsi_export.runtime.runner import Image, Probabilities, Runner


def judge_golden(job: Job, probabilities: Callable[[Image], Probabilities], runtime: str) -> Parity:
    """Run the model's golden samples through `probabilities` and judge the outputs. runtime: for the record.

    An fp32 file on the GPU is judged as fp16: GPUs compute in half precision unless told otherwise. A model without
    golden samples beside it, or outputs of another shape, are not measured. Golden samples are few: a verdict on a
    quantised file says so.
    """
    precision = job.contract.precision
    golden = job.golden
    if golden is None:
        return not_measured(precision, f"no golden samples are beside {job.model.name}: pmsi-export writes them")
    gate = "fp16" if (precision, job.delegate) == ("fp32", "gpu") else precision
    try:
        measured = agreement(
            Runner(prepare=lambda image: image, run=probabilities), golden.images, golden.probabilities
        )
    except ValueError as error:
        return not_measured(gate, str(error))
    misses = GATES[gate].misses(measured)
    few = [f"on {measured.images} golden samples only"] if GATES[gate].sqnr_db is not None else []
    return Parity(
        status="failed" if misses else "passed",
        gate=str(GATES[gate]),
        reason=", ".join([*misses, *few]) or None,
        runtime=runtime,
        golden=measured,
    )
