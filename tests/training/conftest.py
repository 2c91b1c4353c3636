import pytest
import torch

from training.motion_folder import load_folders
from training.prepare import PrepareConfig, stock_of

from . import synthetic


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def motion_folder(tmp_path_factory):
    return synthetic.motion_folder(tmp_path_factory.mktemp("motion"))


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory):
    return synthetic.speech_folder(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="session")
def stock(motion_folder):
    return stock_of(load_folders([motion_folder]), PrepareConfig(variations=1))
