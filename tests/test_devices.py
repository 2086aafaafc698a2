"""Which device and precision an option means, and what a GPU's memory holds for a batch."""

from __future__ import annotations

import pytest
import torch

from steer_core import UserError
from steer_core.codi import memory, recording
from steer_core.codi.head import ALIGNED, Head
from steer_core.codi.load import pick_device, pick_dtype
from steer_core.errors import is_out_of_memory, one_line
from steer_core.ui.options import options_from

GPU = torch.device("cuda", 0)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ("auto", "cuda"),
        ("cuda", "cuda"),
        ("cuda:1", "cuda:1"),
        ("cuda:0", "cuda:0"),
        ("cpu", "cpu"),
    ],
)
def test_a_device_that_is_there_is_taken(asked: str, taken: str):
    assert str(pick_device(asked)) == taken


REFUSED = ("cuda:2", "cuda:x", "cuda:", "cuda:-1", "cuda:²", "cpu:1", "auto:0", "mps", "xpu", "tpu")


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("asked", REFUSED)
def test_any_other_is_refused_in_one_line_that_names_it(asked: str):
    with pytest.raises(UserError, match="choose") as refused:
        pick_device(asked)
    assert asked in str(refused.value)
    assert one_line(refused.value) == str(refused.value)


@pytest.mark.parametrize("asked", ["cuda", "cuda:0"])
def test_a_gpu_that_is_missing_is_refused(asked: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"'{asked}' is not available here"):
        pick_device(asked)
    assert str(pick_device("auto")) == "cpu"


@pytest.mark.parametrize("value", ["auto", "cuda", "cuda:1"])
def test_the_page_takes_the_same_devices(value: str):
    assert options_from({"STEER_DEVICE": value}).device == value


def test_the_page_names_what_it_does_not_take():
    with pytest.raises(UserError, match="STEER_DEVICE is 'mps'"):
        options_from({"STEER_DEVICE": "mps"})


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16)],
)
def test_a_gpu_without_bfloat16_computes_in_float16(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_dtype("auto", GPU) is dtype
    assert pick_dtype("float32", GPU) is torch.float32


# --- memory --------------------------------------------------------------------------------------

LACKS = (
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "HIP out of memory. Tried to allocate 2.00 GiB",
)
OTHERS = (
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    "sizes do not match",
)


@pytest.mark.parametrize("text", LACKS)
def test_memory_that_ran_out_is_known_whoever_says_so(text: str):
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("text", OTHERS)
def test_another_fault_is_not_taken_for_it(text: str):
    assert not is_out_of_memory(RuntimeError(text))


def test_a_question_that_speaks_of_memory_is_no_lack_of_it():
    assert not is_out_of_memory(UserError("the question 'out of memory' is too long; shorten it"))


def test_what_recordings_have_reserved_is_not_free(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 30)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    assert memory.free_bytes(GPU) == 1070
    segments = [{"total_size": 60, "allocated_size": 10}, {"total_size": 5, "allocated_size": 5}]
    monkeypatch.setattr(recording, "POOLS", {GPU: (0, 1)})
    monkeypatch.setattr(torch.cuda, "memory_snapshot", lambda pool: segments)
    assert memory.free_bytes(GPU) == 1020


# --- the head ------------------------------------------------------------------------------------


def test_a_head_is_filled_up_once_and_chooses_the_same():
    torch.manual_seed(0)
    weight, hidden = torch.randn(131, 8), torch.randn(5, 3, 8)
    head = Head(weight).aligned()
    assert head.wide is not None
    assert len(head.wide) % ALIGNED == 0
    assert head.weight.data_ptr() == head.wide.data_ptr()  # no memory for it twice
    assert torch.equal(head.weight, weight)
    torch.testing.assert_close(head.logits(hidden), Head(weight).logits(hidden))
    assert torch.equal(head.choice(hidden), Head(weight).choice(hidden))


def test_who_replaces_the_weight_gets_logits_of_his(monkeypatch: pytest.MonkeyPatch):
    weight, hidden = torch.randn(131, 8), torch.randn(2, 8)
    head = Head(2 * weight, wide=Head(weight).aligned().wide)
    torch.testing.assert_close(head.logits(hidden), 2 * hidden @ weight.T)
