"""A Modbus TCP server in C, by libmodbus where the system has it (Debian's libmodbus5).

Each connection has a process of its own that does nothing but ask the library for the next request and let
it answer, so that no event loop and no lock of Python's stands between two requests.
"""

import ctypes
import ctypes.util
import os
import signal
import socket
from collections.abc import Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Any

_HOST = b"127.0.0.1"
_LONGEST_REQUEST = 260


class Mapping(ctypes.Structure):
    """``modbus_mapping_t`` of modbus.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("nb_bits", "start_bits", "nb_input_bits", "start_input_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_registers", "start_input_registers")),
        *((name, ctypes.c_int) for name in ("nb_registers", "start_registers")),
        *((name, ctypes.POINTER(ctypes.c_uint8)) for name in ("tab_bits", "tab_input_bits")),
        *((name, ctypes.POINTER(ctypes.c_uint16)) for name in ("tab_input_registers", "tab_registers")),
    ]


def is_there() -> bool:
    """Whether the system has libmodbus."""
    return ctypes.util.find_library("modbus") is not None


def serve(pipe: Pipe, ports: int, words: Sequence[int], connections: int = 2) -> None:
    """Serve input registers behind free ports, which go through the pipe, until something comes back.

    So many connections to each port are served at once.
    """
    library = _library()
    mapping = library.modbus_mapping_new(0, 0, 0, len(words))
    for address, word in enumerate(words):
        mapping.contents.tab_input_registers[address] = word
    children, numbers = [], []
    for _ in range(ports):
        context = library.modbus_new_tcp(_HOST, 0)
        listening = library.modbus_tcp_listen(context, connections)
        if listening < 0:
            raise OSError("libmodbus cannot listen")
        with socket.socket(fileno=os.dup(listening)) as bound:
            numbers.append(bound.getsockname()[1])
        for _ in range(connections):
            if (child := os.fork()) == 0:
                _answer(library, context, listening, mapping)
            children.append(child)
    pipe.send(numbers)
    pipe.recv()
    for child in children:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def _answer(library: Any, context: Any, listening: int, mapping: Any) -> None:
    """Answer one connection after the other, for ever."""
    request, place = ctypes.create_string_buffer(_LONGEST_REQUEST), ctypes.c_int(listening)
    receive, reply = library.modbus_receive, library.modbus_reply
    while True:
        library.modbus_tcp_accept(context, ctypes.byref(place))
        while (size := receive(context, request)) >= 0:
            reply(context, request, size, mapping)
        library.modbus_close(context)


def _library() -> Any:
    library = ctypes.CDLL(ctypes.util.find_library("modbus"), use_errno=True)
    library.modbus_new_tcp.restype = ctypes.c_void_p
    library.modbus_new_tcp.argtypes = [ctypes.c_char_p, ctypes.c_int]
    library.modbus_tcp_listen.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.modbus_tcp_accept.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]
    library.modbus_receive.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.modbus_reply.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(Mapping)]
    library.modbus_close.argtypes = [ctypes.c_void_p]
    library.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    library.modbus_mapping_new.argtypes = [ctypes.c_int] * 4
    return library
