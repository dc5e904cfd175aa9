"""What several files of tests train on."""

import pytest

from pmsi_mobile.data.birds import write_birds


@pytest.fixture(scope="session")
def birds(tmp_path_factory):
    """Drawn birds of three species: 8 training, 2 validation and 2 test photos of each. Nobody changes them."""
    root = tmp_path_factory.mktemp("data") / "birds"
    write_birds(root, species=3, train=8, val=2, test=2, size=72, seed=0)
    return root
