"""Function tools that are programs (`--tool FILE`): what they take, and one run of one.

The arguments come as JSON on standard input, what is printed is the output. A tool gets no API key of ours, has a limit
of time and of output, and nothing of it outlives the run.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from rtcli.errors import UsageError
from rtcli.protocol.codec import JsonObject, NotJson, parse
from rtcli.records import dataclass


LIMIT = 30.0
"""Seconds for one run."""
SCHEMA_LIMIT = 10.0
"""Seconds for `FILE --schema`."""
ENDING = 2.0
"""Seconds for a program that was killed to be gone."""
LARGEST = 48 << 10
"""Bytes of an output: more does not fit into one event of a service that names no limit."""
_LARGEST_SCHEMA = 64 << 10
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OURS = re.compile(r"(OPENAI|AZURE|RTCLI)_.*KEY", re.IGNORECASE)


class ToolFailed(Exception):
    """A run gave no output; the message goes to the model and to the user."""


@dataclass(frozen=True, slots=True)
class Tool:
    path: Path
    name: str
    schema: JsonObject
    """As it stands in the session: type, name, description, parameters."""


def load(files: Iterable[str]) -> tuple[Tool, ...]:
    """Read their schemas. Raises UsageError."""
    tools = tuple(_load(name) for name in files)
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--tool: two tools have the name {name}")
    return tools


async def run(tool: Tool, arguments: str, *, limit: float = LIMIT) -> str:
    """One run. Raises ToolFailed; when cancelled, the program is killed with everything it began."""
    try:
        process = await asyncio.create_subprocess_exec(
            tool.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(os.environ),
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(f"{tool.name} can not be run: {error.strerror or error}") from None
    try:
        async with asyncio.timeout(limit):
            output = await _exchange(process, arguments)
            status = await process.wait()
    except TimeoutError:
        raise ToolFailed(f"{tool.name} took more than {limit:g} s") from None
    finally:
        await _end(process)
    if len(output) > LARGEST:
        raise ToolFailed(f"{tool.name} printed more than {LARGEST} bytes")
    if status:
        raise ToolFailed(f"{tool.name} ended with status {status}")
    return output.decode("utf-8", "replace").rstrip("\n")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Without keys for a service: neither by their names nor, under other names, by their values."""
    keys = {value for name, value in environ.items() if _OURS.fullmatch(name)}
    return {name: value for name, value in environ.items() if not _OURS.fullmatch(name) and value not in keys}


async def _exchange(process: asyncio.subprocess.Process, arguments: str) -> bytes:
    """Give the arguments, take the output up to a bit above the limit."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # it does not want them
        process.stdin.write(arguments.encode())
        await process.stdin.drain()
    process.stdin.close()
    output = bytearray()
    while len(output) <= LARGEST and (chunk := await process.stdout.read(LARGEST)):
        output += chunk
    if len(output) > LARGEST:
        await _end(process)
    return bytes(output)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it and take what it still holds: asyncio calls it over when its pipes are, and a full one never is."""
    assert process.stdout is not None
    _kill(process)
    with suppress(TimeoutError):  # something that left its group holds the pipe
        async with asyncio.timeout(ENDING):
            while await process.stdout.read(LARGEST):
                pass
            await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    """The program and what it began; one that has ended may have left something behind."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


# ---- schemas --------------------------------------------------------------------------------------------------------


@functools.cache
def _load(name: str) -> Tool:
    """Once in a run of the program: the session wants the schema, and the call the program."""
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"--tool {name}: no such file")
    if not os.access(path, os.X_OK):
        raise UsageError(f"--tool {name}: not executable (chmod +x)")
    text, where = _schema_text(path, name)
    try:
        schema = parse(text)
    except NotJson as error:
        raise UsageError(f"{where}: {error}") from None
    return Tool(path, *_checked(schema, where))


def _schema_text(path: Path, name: str) -> tuple[str | bytes, str]:
    beside = path.with_name(f"{path.name}.json")
    if beside.is_file():
        try:
            with beside.open("rb") as file:
                return file.read(_LARGEST_SCHEMA), str(beside)
        except OSError as error:
            raise UsageError(f"{beside}: {error.strerror or error}") from None
    where = f"--tool {name}: what `{path.name} --schema` prints"
    try:
        done = subprocess.run(
            [path, "--schema"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(os.environ),
            timeout=SCHEMA_LIMIT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        raise UsageError(f"--tool {name}: neither {beside.name} beside it nor a schema from --schema") from None
    return done.stdout[:_LARGEST_SCHEMA], where


def _checked(schema: object, where: str) -> tuple[str, JsonObject]:
    """Name and schema. The nested `function` of other APIs is taken too."""
    if isinstance(schema, dict) and isinstance(schema.get("function"), dict):
        schema = schema["function"]
    if not isinstance(schema, dict):
        raise UsageError(f"{where} is no object")
    name, parameters = schema.get("name"), schema.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{where}: the name is no word of letters, digits, _ and -")
    if not isinstance(parameters, dict):
        raise UsageError(f"{where}: parameters is no JSON Schema")
    description = str(schema.get("description", ""))
    return name, {"type": "function", "name": name, "description": description, "parameters": parameters}


def failure(message: str) -> str:
    """What the model gets instead of an output."""
    return json.dumps({"error": message})
