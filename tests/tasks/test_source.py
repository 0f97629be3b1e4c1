import numpy as np

from quickstudy.tasks.source import generator


def test_numbers_depend_on_each_argument_only():
    first = generator(3, "train", 17).random(4)
    generator(3, "train", 18).random(1000)
    np.testing.assert_array_equal(first, generator(3, "train", 17).random(4))
    others = [generator(4, "train", 17), generator(3, "test", 17), generator(3, "train", 18)]
    for other in others:
        assert not np.isin(other.random(4), first).any()


def test_numbers_are_the_same_on_every_machine():
    np.testing.assert_allclose(generator(0, "train", 1).random(3), GOLDEN, rtol=0, atol=1e-15)


def test_streams_of_neighbouring_tasks_do_not_overlap():
    long = generator(0, "train", 0).random(4096)
    assert not np.isin(generator(0, "train", 1).random(64), long).any()


GOLDEN = [0.7965269639147382, 0.1826828071559634, 0.9577180786057646]
