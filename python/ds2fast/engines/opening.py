"""The engine that a user asked for."""

from __future__ import annotations

import socket
from importlib.util import find_spec

from ds2fast.arguments import check_choice
from ds2fast.engines.engine import ENGINES, Engine
from ds2fast.engines.local import LocalEngine
from ds2fast.errors import InputError, InputTypeError, MissingExtraError

_PATIENCE = 10.0  # seconds until who listens at an address has answered


def open_engine(engine: str = "local", address: str | None = None) -> Engine:
    """Open an engine; use what it gives as a context manager.

    Parameters
    ----------
    engine : {"local", "ray"}
        "local" runs in this process, "ray" on a Ray cluster (the extra `ray`).
    address : str, optional
        With "ray", the cluster that this machine is a node of: "auto" or host:port.
        None starts one on this machine, with all its cores, for as long as the engine is open.

    Returns
    -------
    Engine
        It joins the cluster when it is entered.

    Raises
    ------
    InputError, InputTypeError
        Another engine, or an address without "ray".
    MissingExtraError
        Ray is not installed.

    Examples
    --------
    >>> with open_engine("local") as engine:
    ...     engine.graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], 1).num_rows
    3
    """
    check_engine(engine, address)
    if engine == "local":
        return LocalEngine()
    from ds2fast.engines.ray import RayEngine

    return RayEngine(address)


def check_engine(engine: str, address: str | None) -> None:
    """Refuse what `open_engine` cannot open, before anything is read.

    An address where nobody listens is found out here; whether it is a cluster, when it is joined.

    Raises
    ------
    InputError, InputTypeError, MissingExtraError
        As `open_engine` does.
    """
    check_choice(engine, "engine", ENGINES)
    if address is not None and not isinstance(address, str):
        raise InputTypeError(f"address: expected a str or None, got {type(address).__name__}")
    if address is not None and engine != "ray":
        raise InputError(f"address: expected None with engine={engine!r}, got {address!r}")
    if address is not None and (not address.strip() or address.strip().startswith("ray://")):
        raise InputError(
            "address: expected 'auto' or host:port, of a cluster that this machine is a node of "
            f"(Ray Data knows no way through a Ray client), got {address!r}"
        )
    if engine == "ray":
        check_extra()
        knock(address)


def check_extra() -> None:
    """Refuse to begin without the packages of the extra `ray`.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    """
    if find_spec("ray") is None:
        raise MissingExtraError("engine 'ray' needs the package ray: pip install 'ds2fast[ray]'")


def knock(address: str | None, patience: float = _PATIENCE) -> None:
    """Refuse an address where nobody listens: Ray would try for most of a minute.

    Raises
    ------
    InputError
        Nobody does.
    """
    host, _, port = (address or "").strip().rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=patience).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"address: expected a Ray cluster that can be joined, got {address!r}: {error}"
        ) from error
