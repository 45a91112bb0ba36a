"""A port that is kept for an engine."""

import socket

import pytest

from tuning.deployers.ports import CAN_SHARE, HeldPort


def test_a_held_port_is_given_to_nobody_else() -> None:
    """Pitfall A14b: ports by bind and release were given away twice."""
    with HeldPort("127.0.0.1") as held:
        others = [HeldPort("127.0.0.1") for _ in range(50)]
        assert len({held.number, *(other.number for other in others)}) == 51
        for other in others:
            other.close()
        with socket.socket() as careless, pytest.raises(OSError, match="in use"):
            careless.bind(("127.0.0.1", held.number))


@pytest.mark.skipif(not CAN_SHARE, reason="this system does not let two sockets bind one port")
@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_server_can_take_the_port_while_it_is_held(reuse_port: bool) -> None:
    """The socket options of asyncio, uvicorn and vLLM."""
    with HeldPort("127.0.0.1") as held, socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", held.number))
        server.listen()
        socket.create_connection(("127.0.0.1", held.number)).close()


def test_a_port_can_be_given_up_twice() -> None:
    held = HeldPort("127.0.0.1")
    held.close()
    held.close()
    with socket.socket() as server:
        server.bind(("127.0.0.1", held.number))
