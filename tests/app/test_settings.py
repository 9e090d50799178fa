"""Settings come from the environment, checked."""

import pytest

from twinface.app.settings import MOST_THREADS, Settings, hub_endpoint
from twinface.errors import TwinFaceError


def test_an_empty_environment_gives_the_shipped_models_on_the_cpu():
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.model, settings.detector, settings.threads) == ("twin-r29", "scout", 0)
    assert settings.providers == ("CPUExecutionProvider",)


def test_every_variable_is_read():
    found = Settings.from_environment(
        {
            "TWINFACE_MODEL": "other.json",
            "TWINFACE_DETECTOR": "yunet:face.onnx",
            "TWINFACE_PROVIDERS": " CUDAExecutionProvider , CPUExecutionProvider ,",
            "TWINFACE_THREADS": "3",
            "TWINFACE_UNHEARD_OF": "1",
        }
    )
    assert found == Settings(
        "other.json", "yunet:face.onnx", ("CUDAExecutionProvider", "CPUExecutionProvider"), threads=3
    )


def test_empty_variables_count_as_unset():
    names = ("TWINFACE_MODEL", "TWINFACE_DETECTOR", "TWINFACE_PROVIDERS", "TWINFACE_THREADS")
    assert Settings.from_environment(dict.fromkeys(names, "")) == Settings()


def test_the_process_environment_is_the_default(scrubbed):
    scrubbed.setenv("TWINFACE_THREADS", "2")
    assert Settings.from_environment().threads == 2


@pytest.mark.parametrize("threads", ["-1", "two", "1.5", "²", " 3"])
def test_threads_must_be_a_whole_number(threads):
    with pytest.raises(TwinFaceError, match=r"^TWINFACE_THREADS must be a whole number from 0 up, got "):
        Settings.from_environment({"TWINFACE_THREADS": threads})


@pytest.mark.parametrize("threads", [-1, MOST_THREADS + 1, 10**12])
def test_threads_beyond_reason_are_refused_before_onnx_runtime_starts_them(threads):
    with pytest.raises(TwinFaceError, match=rf"threads must be a number from 0 to {MOST_THREADS}, got {threads}"):
        Settings(threads=threads)


def test_the_hubs_address():
    assert hub_endpoint({}) is hub_endpoint({"HF_ENDPOINT": ""}) is None
    assert hub_endpoint({"HF_ENDPOINT": "https://hub.example"}) == "https://hub.example"
