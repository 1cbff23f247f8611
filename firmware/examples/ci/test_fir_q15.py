import numpy as np
import pytest


@pytest.mark.parametrize(("n", "n_taps"), [(256, 32), (255, 6)])
def test_fir(m7, n, n_taps):
    rng = np.random.default_rng(7)
    x = rng.integers(-32768, 32768, n + n_taps - 1, dtype=np.int16)
    taps = rng.integers(-65000 // n_taps, 65000 // n_taps, n_taps, dtype=np.int16)
    y = np.zeros(n, np.int16)
    result = m7.build("fir_q15.c").call("fir_q15", y, x, taps, n, n_taps)
    sums = np.correlate(x.astype(np.int64), taps.astype(np.int64))
    assert np.array_equal(y, ((sums + (1 << 14)) >> 15).clip(-32768, 32767))
    m7.check(result)
