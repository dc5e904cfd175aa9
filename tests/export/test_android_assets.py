"""What is put into the demo app is one set of files. A converter that crashes takes no good one out."""

from pathlib import Path

from pmsi_export.contract.schema import Contract, seal
from pmsi_export.formats.registry import FORMATS, container
from pmsi_export.jobs.android_assets import put_into_app
from pmsi_export.jobs.job import Exported, Job
from pmsi_export.jobs.subprocesses import Failure
from tests.export.test_contract import contract as any_contract
from tests.export.test_embed import plain_model

PRECISIONS = ("fp32", "int8-dynamic", "fp16", "int8")


def test_what_is_put_into_the_app_is_one_set(tmp_path):
    models = tmp_path / "app/src/main/assets/models"
    models.mkdir(parents=True)
    contract = any_contract().model_copy(update={"format": "tflite"})
    old = contract.model_copy(update={"checkpoint_sha256": "1" * 64})

    def model(path: Path, of: Contract) -> Path:
        plain_model("tflite", path)
        module = container(FORMATS["tflite"])
        digest = module.extract(path).content_sha256
        module.embed(path, seal(of.model_copy(update={"content_sha256": digest})))
        return path

    for name, of in (
        ("ckpt-int8.tflite", old),
        ("ckpt-fp16.tflite", contract),
        ("ckpt.onnx.tflite", old),
        ("ckpt-int8-dynamic.tflite", contract),
        ("other.tflite", old),
    ):
        model(models / name, of)
    failed = contract.model_copy(update={"parity": contract.parity.model_copy(update={"status": "failed"})})
    jobs = [Job(tmp_path / "ckpt.pt", "tflite", precision, tmp_path, "ckpt") for precision in PRECISIONS]
    model(jobs[0].target, contract)
    jobs[0].golden.write_bytes(b"golden")
    outcomes = [
        Exported(jobs[0].target, 1, contract, 1.0),
        Exported(jobs[1].target, 1, failed, 1.0),
        Failure("the converter was killed by SIGKILL"),
        Failure("the converter was killed by SIGKILL"),
    ]
    gone = put_into_app(list(zip(jobs, outcomes, strict=True)), tmp_path)
    assert gone == ["ckpt-int8-dynamic.tflite", "ckpt-int8.tflite"]
    kept = {"ckpt.tflite", "ckpt.golden.zip", "ckpt-fp16.tflite", "ckpt.onnx.tflite", "other.tflite"}
    assert {path.name for path in models.iterdir()} == kept
