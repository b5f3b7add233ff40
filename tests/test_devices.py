"""Where and in which precision is computed: what is said beats the environment, and the environment what is found here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from legato import cli, devices
from legato.devices import asked_threads, auto_precision, choose
from legato.errors import Mistake
from made_runs import arguments, train
from stopped_runs import resume, stopping_after

CPU = torch.device("cpu")


@pytest.mark.parametrize("here", ["float32", "bfloat16"])
@pytest.mark.parametrize("asked", ["", "auto", "float32", "bfloat16"])
def test_the_precision_is_the_environments_else_the_chips(here, asked, monkeypatch):
    monkeypatch.setattr(devices, "native_precision", lambda device: here)
    monkeypatch.setenv("LEGATO_PRECISION", asked)
    assert auto_precision(CPU) == (asked if asked in devices.PRECISIONS else here)


@pytest.mark.parametrize("said", ["auto", "float32", "bfloat16"])
@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_a_run_records_the_precision_that_was_said_or_asked_for_and_a_resume_keeps_it(
    said, asked, sources, tmp_path, monkeypatch
):
    monkeypatch.setenv("LEGATO_PRECISION", asked)
    out, expected = tmp_path / "r", asked if said == "auto" else said
    with stopping_after(2):
        assert cli.run([*arguments("vae", sources["grey"], out, steps=4), "--precision", said]) == 143
    other = "float32" if expected == "bfloat16" else "bfloat16"
    monkeypatch.setenv("LEGATO_PRECISION", other)
    assert resume(out) == 0
    assert json.loads((out / "training.json").read_text())["precision"] == expected
    whole, unlike = (train("vae", sources, tmp_path / p, steps=4, precision=p).run.model for p in (expected, other))
    assert (out / whole.name).read_bytes() == whole.read_bytes() != unlike.read_bytes()


@pytest.mark.parametrize("there", [True, False])
def test_the_device_is_the_one_said_else_the_environments_else_a_gpu_if_there_is_one(there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if there else 0)
    found = "cuda" if there else "cpu"
    for asked, expected in (("", found), ("auto", found), ("cpu", "cpu")):
        monkeypatch.setenv("LEGATO_DEVICE", asked)
        assert choose() == torch.device(expected)
    monkeypatch.setenv("LEGATO_DEVICE", "cuda:1")
    assert choose("cpu") == CPU
    if there:
        assert choose() == torch.device("cuda:1")
        assert choose("cuda:0") == torch.device("cuda:0")
    else:
        with pytest.raises(
            Mistake, match=r"^LEGATO_DEVICE: `cuda:1` was asked for, and torch sees no GPU .* LEGATO_DEVICE=cpu"
        ):
            choose()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LEGATO_PRECISION", "float16", "LEGATO_PRECISION must be auto, float32, tf32 or bfloat16, got `float16`"),
        ("LEGATO_DEVICE", "gpu", "LEGATO_DEVICE: no device is named `gpu`: expected auto, cpu, cuda, cuda:N or mps"),
        ("LEGATO_DEVICE", "meta", "LEGATO_DEVICE: `meta` is no device that Legato computes on: expected auto"),
    ],
)
def test_a_wrong_word_is_one_line_that_names_the_variable(variable, value, told, sources, tmp_path, monkeypatch, capsys):
    words = arguments("vae", sources["grey"], tmp_path / "r")
    at = words.index("--device")
    monkeypatch.setenv(variable, value)
    assert cli.run([*words[:at], *words[at + 2 :]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"legato: {told}")
    assert not (tmp_path / "r").exists()


# ------------------------------------------------------------------------------------------------ batches of inference


@pytest.mark.parametrize(
    ("memory", "values", "expected"),
    [
        (80 << 30, 784, 65_536),
        (80 << 30, 3 * 64 * 64, 4_096),
        (16 << 30, 784, 16_384),
        (80 << 30, 3 * 256 * 256, 256),
        (80 << 30, 0, 65_536),
        (1 << 30, 10**9, 1),
    ],
)
def test_a_gpu_computes_as_many_examples_at_once_as_a_quarter_of_its_memory_holds(memory, values, expected, monkeypatch):
    monkeypatch.setattr(devices, "memory_of_card", lambda card: memory)
    assert devices.together(torch.device("cuda:1"), values, 2048) == expected
    assert 4 * 64 * 4 * values * expected <= memory or expected == 1
    for other in ("cpu", "mps"):
        assert devices.together(torch.device(other), values, 2048) == 2048


# ------------------------------------------------------------------------------------------------ Apple's GPU


@pytest.fixture
def apple(monkeypatch) -> None:
    """A machine in which torch sees one."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_apples_gpu_is_refused_where_there_is_none(sources, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert cli.run(arguments("vae", sources["grey"], tmp_path / "r", device="mps")) == 2
    assert capsys.readouterr().err == ("legato: `mps` was asked for, and torch sees no GPU of Apple's here: use --device cpu\n")
    assert not (tmp_path / "r").exists()
    monkeypatch.setenv("LEGATO_DEVICE", "mps")
    with pytest.raises(Mistake, match=r"^LEGATO_DEVICE: `mps` was asked for, .* use LEGATO_DEVICE=cpu$"):
        choose()


def test_apples_gpu_is_taken_by_name_alone(apple, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("LEGATO_DEVICE", "")
    assert choose() == CPU
    assert choose("mps") == torch.device("mps")
    with pytest.raises(Mistake, match=r"^`mps:1` was asked for, and torch sees 1 GPU of Apple's here"):
        choose("mps:1")


def test_what_torch_lacks_on_apples_gpu_is_told_where_nothing_falls_back(apple, monkeypatch, capsys):
    monkeypatch.setenv(devices.FALLBACK, "1")
    choose("mps")
    assert capsys.readouterr().err == ""
    monkeypatch.delenv(devices.FALLBACK)
    choose("mps")
    (line,) = capsys.readouterr().err.splitlines()
    assert "set PYTORCH_ENABLE_MPS_FALLBACK=1 before Python starts" in line


def test_the_command_lets_it_fall_back_before_torch_is_imported():
    code = (
        "import builtins, os, sys; from legato.__main__ import main\n"
        "assert 'torch' not in sys.modules; real = builtins.__import__\n"
        "def seen(name, *rest, **more):\n"
        "    if name == 'torch': assert os.environ['PYTORCH_ENABLE_MPS_FALLBACK'] == '1'; print('seen')\n"
        "    return real(name, *rest, **more)\n"
        "builtins.__import__ = seen; sys.argv = ['legato', 'sample', 'nowhere']; main()"
    )
    done = child("-c", code, threads="1")
    assert done.returncode == 2
    assert "seen" in done.stdout


def test_apples_gpu_trains_in_float32_alone(apple):
    gpu = torch.device("mps")
    assert devices.native_precision(gpu) == "float32"
    devices.check_precision(gpu, "float32")
    devices.check_precision(CPU, "bfloat16")
    with pytest.raises(Mistake, match=r"^`mps` trains in float32 alone, and bfloat16 was asked for: --precision float32, or"):
        devices.check_precision(gpu, "bfloat16")


def test_the_widest_float_of_a_device(apple):
    assert [devices.widest(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [torch.double, torch.double, torch.float]


def on_a_device_without_doubles(*words: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("fake_device.py")
    return subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)


def test_no_recipe_makes_a_double_on_a_device_that_has_none(tmp_path):
    """Training, validation, codes, decoding, scores: by a device whose tensors refuse float64, NumPy and other generators."""
    done = on_a_device_without_doubles(str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_that_law_can_fail(tmp_path):
    done = on_a_device_without_doubles(str(tmp_path), "--double", "vae", "geco_vae")
    assert done.returncode == 2
    assert done.stderr.count("TypeError: a tensor on `apple` would be float64") == 2


@pytest.mark.parametrize(("value", "expected"), [("", None), ("1", 1), ("12", 12)])
def test_a_count_of_threads_is_read(value, expected, monkeypatch):
    monkeypatch.setenv("LEGATO_THREADS", value)
    assert asked_threads() == expected


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", " "])
def test_what_is_no_count_of_threads_is_refused(value, monkeypatch):
    monkeypatch.setenv("LEGATO_THREADS", value)
    with pytest.raises(Mistake, match="LEGATO_THREADS must be a whole number, 1 or more"):
        asked_threads()


def child(*words: str, threads: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "LEGATO_THREADS": threads, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, check=False)


def test_threads_that_were_said_beat_the_environments_and_stay_and_these_beat_torchs_own():
    """In processes of their own, for the variable is read once: `threads=`, or a worker's one thread, outlasts what follows."""
    code = (
        "import torch; told = [torch.get_num_threads()]\n"
        "from legato.devices import choose; told.append(torch.get_num_threads())\n"
        "for threads in (None, 2, None): choose('cpu', threads); told.append(torch.get_num_threads())\n"
        "print(*told)"
    )
    own, *told = child("-c", code, threads="3").stdout.split()
    assert told == ["3", "3", "2", "2"]
    assert child("-c", code, threads="").stdout.split() == [own, own, own, "2", "2"]
    assert own != "3"


def test_a_wrong_count_of_threads_ends_a_command_in_one_line(tmp_path):
    done = child("-m", "legato", "sample", str(tmp_path), threads="many")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "legato: LEGATO_THREADS must be a whole number, 1 or more, got `many`\n"
