"""Launchers that are ended with their test."""

import pytest

from tests.helpers.launches import Launch


@pytest.fixture
def start(tmp_path):
    launches = []

    def start_launch(script, folder='launch', **options):
        launches.append(Launch(tmp_path / folder, script, **options))
        return launches[-1]

    yield start_launch
    for launch in launches:
        launch.close()
