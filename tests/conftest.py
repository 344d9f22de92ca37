"""Fixtures for all tests: no network but loopback, and the real data where it is."""

import socket
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any connection that would leave the machine fails the test."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def shared():
    """Folder of the real data; tests that need it are skipped where it is absent."""
    if not SHARED.exists():
        pytest.skip(f"real data absent: {SHARED}")
    return SHARED
