"""Dumps of tensors as files, and two of them compared. numpy only."""

from mobilenet import environment

environment.require()
