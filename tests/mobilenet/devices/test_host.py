"""The host as a device."""

import socket

import pytest

from mobilenet.devices.host import HostDevice
from mobilenet.errors import Failure


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen(1)
        address = f'127.0.0.1:{taken.getsockname()[1]}'
        device = HostDevice(['127.0.0.1:1', address], 1)
        with pytest.raises(Failure, match=f'rank 1 cannot listen on {address}: .*taken'):
            with device.session(1, 2):
                pass
