"""One rank of the two-process test: train, then save this rank's parameters."""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from pmsi_mobile.config import load_config
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.training.loop import Trainer


class Silent:
    def step(self, *arguments: object) -> None:
        pass

    def epoch(self, row: dict[str, float]) -> None:
        pass


birds, folder, overrides = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
accelerator = Accelerator(cpu=True, kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
assert accelerator.num_processes == 2
(folder / "run").mkdir(exist_ok=True)
trainer = Trainer(
    load_config("mobile-rmg", overrides),
    open_data(birds, val_fraction=0, test_fraction=0, seed=0),
    folder / "run",
    accelerator,
)
trainer.fit(Silent())
parameters = {name: value.detach() for name, value in trainer.network.named_parameters()}
torch.save(parameters, folder / f"rank{accelerator.process_index}.pt")
accelerator.end_training()
