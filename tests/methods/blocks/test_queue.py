import pytest
import torch

from methods.blocks.queue import Queue


def batch(start, rows=2, width=3):
    values = torch.arange(start, start + rows, dtype=torch.float32)
    return values.unsqueeze(1).expand(rows, width).clone()


def test_it_starts_with_unit_rows_that_are_state():
    queue = Queue(6, 3)
    torch.testing.assert_close(queue.rows.norm(dim=1), torch.ones(6))
    assert set(queue.state_dict()) == {"rows", "position"}
    assert not list(queue.parameters())


def test_the_oldest_rows_are_replaced_round_and_round():
    queue = Queue(6, 3)
    kept = []
    for step in range(8):
        kept = [*kept, 2 * step, 2 * step + 1][-6:]
        queue.enqueue(batch(2 * step))
        assert set(kept) <= set(queue.rows[:, 0].tolist())
    assert sorted(queue.rows[:, 0].tolist()) == sorted(kept)


def test_batches_of_different_sizes_replace_the_oldest_too():
    queue = Queue(6, 3)
    queue.enqueue(batch(0, 2))
    queue.enqueue(batch(2, 3))
    queue.enqueue(batch(5, 3))
    assert sorted(queue.rows[:, 0].tolist()) == [2, 3, 4, 5, 6, 7]


def test_a_restored_queue_goes_on_where_it_was():
    queue, other = Queue(6, 3), Queue(6, 3)
    queue.enqueue(batch(0))
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.enqueue(batch(2))
    assert torch.equal(queue.rows, other.rows)


def test_rows_enter_without_gradient():
    queue = Queue(4, 3)
    queue.enqueue(batch(0).requires_grad_())
    assert not queue.rows.requires_grad


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (batch(0, 4), "queue: expected a size that the batch of 4 divides, got 6; change"),
        (batch(0, 7), "queue: expected a size that the batch of 7 divides, got 6"),
        (batch(0, 0), "queue: expected a size that the batch of 0 divides, got 6"),
        (batch(0, 2, 4), r"rows: expected shape \(b, 3\), got \(2, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_the_queue(rows, message):
    queue = Queue(6, 3)
    before = queue.rows.clone()
    with pytest.raises(ValueError, match=message):
        queue.enqueue(rows)
    assert torch.equal(queue.rows, before)
    assert queue.position.item() == 0


def test_an_empty_queue_is_refused():
    with pytest.raises(ValueError, match="queue: expected an integer of at least 1, got 0"):
        Queue(0, 3)
