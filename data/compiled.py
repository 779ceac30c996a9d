"""Plain Python loops compiled by numba, without Python's lock while they run."""

import numba

# No pixel is NaN or infinite. Nothing else is relaxed: the same bits whatever the compiler does.
OPTIONS = {'nogil': True, 'error_model': 'numpy', 'fastmath': {'nnan', 'ninf', 'nsz'}}


def compiled(function):
    """Decorator. The machine code is kept next to the file or in the user's cache folder."""
    try:
        return numba.njit(function, cache=True, **OPTIONS)
    except RuntimeError:  # neither can be written to: compiled anew, some 5 s at the start
        return numba.njit(function, **OPTIONS)
