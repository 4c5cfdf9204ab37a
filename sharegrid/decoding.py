"""JSON and TOML from outside: whatever is wrong with the bytes is one kind of error.

msgspec and tomllib have an error of their own for what they can name, and let others through: of a nest
beyond Python's stack, of bytes that are no UTF-8, of a number with more digits than Python converts.
"""

import tomllib
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_TOO_LONG = "a number in it has too many digits"
# As far as a float goes; decimal digits beyond 4,300 are refused by Python, other ones are not.
_MOST_BITS = 1024


@overload
def decode_json(data: bytes | str, kind: type[T]) -> T: ...
@overload
def decode_json(data: bytes | str) -> Any: ...
def decode_json(data: bytes | str, kind: Any = Any) -> Any:
    """Value of a JSON text, held against a type.

    Raises
    ------
    msgspec.DecodeError
        It is none; ``msgspec.ValidationError`` where it is JSON, but not of this type.
    """
    try:
        return msgspec.json.decode(data, type=kind)  # noqa: TID251
    except UnicodeDecodeError:
        raise msgspec.DecodeError("a text in it is no UTF-8") from None
    except RecursionError:
        raise msgspec.DecodeError("it nests too deep") from None


@overload
def decode_toml(data: bytes | str, kind: type[T]) -> T: ...
@overload
def decode_toml(data: bytes | str) -> dict[str, Any]: ...
def decode_toml(data: bytes | str, kind: Any = Any) -> Any:
    """Value of a TOML text, held against a type; raises as `decode_json`."""
    try:
        found = tomllib.loads(data.decode() if isinstance(data, bytes) else data)  # noqa: TID251
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"byte {error.start + 1:,} is no UTF-8") from None
    except RecursionError:
        raise msgspec.DecodeError("it nests too deep") from None
    except tomllib.TOMLDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
    except ValueError:
        raise msgspec.DecodeError(_TOO_LONG) from None
    if _holds_long_number(found):
        raise msgspec.DecodeError(_TOO_LONG)
    return found if kind is Any else msgspec.convert(found, kind)


def _holds_long_number(found: dict[str, Any]) -> bool:
    """Whether a number stands anywhere in it that Python could not put into words."""
    rest: list[Any] = [found]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            return True
    return False
