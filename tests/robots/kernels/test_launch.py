"""Launches of Warp kernels on torch tensors, and their gradients, against the same function in torch."""

from __future__ import annotations

import threading

import pytest
import torch
from support.tiny_kernels import square_in_torch, square_kernel
from torch import Tensor

OFFSET = torch.tensor([0.5, -0.5], dtype=torch.float64)
TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def numbers(rows: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """(B, 2) normal."""
    return torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def square(x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    return square_kernel(x.dtype)(x, w, shared=(OFFSET.to(x.dtype),))


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads for torch, also where the machine has one."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


@TYPES
@pytest.mark.parametrize("rows", [1, 7, 2047, 2048, 5001])
@pytest.mark.parametrize("shared_row", [False, True], ids=["own rows", "one row for all"])
@pytest.mark.usefixtures("two_threads")
def test_a_launch_equals_torch(rows: int, shared_row: bool, dtype: torch.dtype) -> None:
    x, w = numbers(rows, 0, dtype), numbers(1 if shared_row else rows, 1, dtype)
    y, positive = square(x, w)
    expected = square_in_torch(x, w, OFFSET.to(dtype))
    torch.testing.assert_close(y, expected, rtol=1e-5 if dtype == torch.float32 else 1e-14, atol=1e-6)
    assert torch.equal(positive, y[:, 0] > 0.0)
    assert not y.requires_grad


def test_one_kernel_serves_batches_of_any_size() -> None:
    kernel = square_kernel()
    for rows in (5, 1, 3000, 2, 0, 700, 5):
        x, w = numbers(rows, rows), numbers(rows, rows + 1)
        y, _ = kernel(x, w, shared=(OFFSET,))
        torch.testing.assert_close(y, square_in_torch(x, w, OFFSET), rtol=1e-14, atol=1e-14)


def test_no_rows_give_no_rows_and_a_gradient() -> None:
    x, w = numbers(0).requires_grad_(), numbers(0)
    y, positive = square(x, w)
    assert (y.shape, positive.shape, positive.dtype) == ((0, 2), (0,), torch.bool)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.shape == (0, 2)


@pytest.mark.parametrize("rows", [6, 2048])
@pytest.mark.usefixtures("two_threads")
def test_inputs_may_lie_anywhere_in_memory(rows: int) -> None:
    """Transposed, sliced, repeated without memory, and shared arrays with strides."""
    wide = numbers(2 * rows).reshape(2, 2 * rows)
    x, w = wide.t()[::2].requires_grad_(), numbers(1).expand(rows, 2)
    offset = torch.stack((OFFSET, OFFSET), dim=1)[:, 0]
    assert not any(v.is_contiguous() for v in (x, w, offset))
    y, _ = square_kernel()(x, w, shared=(offset,))
    expected = square_in_torch(x, w, OFFSET)
    torch.testing.assert_close(y, expected, rtol=1e-14, atol=1e-14)
    given = numbers(rows, 3).t().contiguous().t()
    (a,), (b,) = torch.autograd.grad(y, x, given), torch.autograd.grad(expected, x, given)
    torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("x", "w", "offset"),
    [
        (numbers(4, dtype=torch.float32), numbers(4), OFFSET),
        (numbers(4), numbers(4, dtype=torch.float32), OFFSET),
        (numbers(4), numbers(4), OFFSET.float()),
        (numbers(4), torch.ones(4, 2, dtype=torch.int64), OFFSET),
        (numbers(4), numbers(3), OFFSET),
        (numbers(4), numbers(5), OFFSET),
        (numbers(4), numbers(0), OFFSET),
    ],
    ids=["type of x", "type of w", "type of the shared array", "integers", "3 rows", "5 rows", "no row"],
)
def test_a_tensor_that_does_not_fit_raises(x: Tensor, w: Tensor, offset: Tensor) -> None:
    """In the first launch and in a later one; the kernel would read other memory."""
    used = square_kernel()
    used(numbers(4), numbers(4), shared=(OFFSET,))
    for kernel in (square_kernel(), used):
        with pytest.raises(ValueError, match="a kernel takes"):
            kernel(x, w, shared=(offset,))
        with pytest.raises(ValueError, match="a kernel takes"):
            kernel(x.requires_grad_(x.is_floating_point()), w, shared=(offset,))


@pytest.mark.parametrize("width", [1, 3])
def test_rows_of_another_size_raise(width: int) -> None:
    """An input of vectors in the first launch as well; one of numbers has the size of the first launch."""
    used, other = square_kernel(), torch.zeros(4, width, dtype=torch.float64)
    used(numbers(4), numbers(4), shared=(OFFSET,))
    for kernel, x, w in ((square_kernel(), other, numbers(4)), (used, other, numbers(4)), (used, numbers(4), other)):
        with pytest.raises(ValueError, match=rf"2 numbers .*{width}\)"):
            kernel(x, w, shared=(OFFSET,))


@pytest.mark.parametrize("rows", [1, 7, 4096])
@pytest.mark.usefixtures("two_threads")
def test_gradients_equal_those_of_torch(rows: int) -> None:
    x, w = numbers(rows, 0).requires_grad_(), numbers(rows, 1).requires_grad_()
    given, kept = numbers(rows, 2), numbers(rows, 2)
    y, positive = square(x, w)
    assert y.requires_grad
    assert not positive.requires_grad
    for _ in range(2):  # the gradients of one launch do not stay for the next
        own = torch.autograd.grad(y, (x, w), given, retain_graph=True)
        for a, b in zip(own, torch.autograd.grad(square_in_torch(x, w, OFFSET), (x, w), given), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-14)
    assert torch.equal(given, kept)
    assert torch.equal(x, numbers(rows, 0))
    assert x.grad is None


def test_gradients_are_right_after_one_row_of_a_wider_tensor() -> None:
    """Torch calls such a row contiguous, whatever its stride."""
    used = square_kernel()
    row = torch.cat((numbers(1), numbers(1), numbers(1)), dim=1)[:, 2:4].requires_grad_()
    assert row.is_contiguous()
    assert row.stride(0) == 6
    used(row, numbers(1), shared=(OFFSET,))[0].sum().backward()
    x, w = numbers(64, 0).requires_grad_(), numbers(64, 1)
    (own,) = torch.autograd.grad(used(x, w, shared=(OFFSET,))[0].sum(), x)
    (expected,) = torch.autograd.grad(square_in_torch(x, w, OFFSET).sum(), x)
    torch.testing.assert_close(own, expected, rtol=1e-14, atol=1e-14)


def test_only_wanted_gradients_are_computed() -> None:
    x, w = numbers(5, 0), numbers(5, 1).requires_grad_()
    square(x, w)[0].sum().backward()
    assert x.grad is None
    torch.testing.assert_close(w.grad, 3.0 * x * x, rtol=1e-14, atol=1e-14)


def test_gradients_add_up_over_launches() -> None:
    x = numbers(5, 0).requires_grad_()
    w = numbers(5, 1)

    def twice(f: object) -> Tensor:
        y = f(x, w)  # type: ignore[operator]
        return f(y, x).sum()  # type: ignore[operator]

    (own,) = torch.autograd.grad(twice(lambda a, b: square(a, b)[0]), x)
    (expected,) = torch.autograd.grad(twice(lambda a, b: square_in_torch(a, b, OFFSET)), x)
    torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-12)


def test_nothing_is_recorded_without_gradients() -> None:
    x = numbers(5).requires_grad_()
    with torch.no_grad():
        y, _ = square(x, numbers(5, 1))
    assert not y.requires_grad


def test_a_gradient_with_a_graph_of_its_own_raises() -> None:
    x = numbers(5).requires_grad_()
    with pytest.raises(RuntimeError, match="create_graph"):
        torch.autograd.grad(square(x, numbers(5, 1))[0].sum(), x, create_graph=True)


def test_one_row_for_all_has_no_gradient() -> None:
    x, w = numbers(5), numbers(1, 1).requires_grad_()
    y, _ = square(x, w)
    with pytest.raises(ValueError, match="one row"):
        y.sum().backward()


@pytest.mark.usefixtures("two_threads")
def test_threads_may_launch_one_kernel_at_once() -> None:
    """Two threads with batches of different sizes, forwards and backwards."""
    kernel, wrong = square_kernel(), []
    begin = threading.Barrier(2)

    def launch(rows: int) -> None:
        x, w = numbers(rows, 0).requires_grad_(), numbers(rows, 1)
        expected = square_in_torch(x, w, OFFSET)
        (slope,) = torch.autograd.grad(expected.sum(), x)
        begin.wait()
        for _ in range(200):
            y, _ = kernel(x, w, shared=(OFFSET,))
            (own,) = torch.autograd.grad(y.sum(), x)
            if not (torch.allclose(y, expected) and torch.allclose(own, slope)):
                wrong.append(rows)

    threads = [threading.Thread(target=launch, args=(rows,)) for rows in (50, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
