"""Examples in documents: fenced blocks, carried out in their order on one ledger.

A block ```graphql is sent with the ```json variables below it, a block ```sh is carried out (curl, gzip, ledger), a
block with `file=NAME` is put into a file, and what follows as ```json answer or ```text answer must be the answer.
`...` in an answer stands for anything. Blocks ```console are for people only.
"""

import asyncio
import gzip
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.edges import Edge

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(?P<told>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?=curl |gzip |ledger )", re.MULTILINE)
ANYTHING = "..."


class Block(NamedTuple):
    """A fenced block of a document: the words after the fence, the text in it, and where the text begins."""

    language: str
    words: tuple[str, ...]
    text: str
    at: int

    def option(self, name: str) -> str | None:
        """The value of `name=value` among the words."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found = []
    for match in FENCE.finditer(path.read_text()):
        language, *words = match["told"].split() or [""]
        found.append(Block(language, tuple(words), match["text"], match.start("text")))
    return found


@dataclass
class Story:
    """Carries out a document's examples in their order on one ledger, and keeps what was answered last."""

    edge: Edge
    folder: Path
    environ: Mapping[str, str]
    said: str | None = None

    async def tell(self, told: list[Block]) -> list[tuple[Block, str]]:
        """Every block that shows an answer, with the answer that there was."""
        answers = []
        for block, following in zip(told, [*told[1:], None], strict=True):
            if block.language == "graphql":
                is_given = following is not None and following.words == ("variables",)
                await self.ask(block, json.loads(following.text) if following and is_given else None)
            elif block.language == "sh":
                for command in COMMAND.split(block.text):
                    await self.carry_out(command, block)
            elif name := block.option("file"):
                (self.folder / name).write_text(block.text)
            elif block.words == ("answer",):
                assert self.said is not None, f"nothing was asked that this answers: {block.text}"
                answers.append((block, self.said))
                self.said = None
        return answers

    async def ask(self, block: Block, variables: dict[str, Any] | None) -> None:
        response = await self.edge.client.post(
            "/graphql",
            json={"query": block.text, "variables": variables},
            headers={"authorization": f"Bearer {await self.key(block)}"},
        )
        await self._settle(response.text)

    async def carry_out(self, command: str, block: Block) -> None:
        text = command.replace("\\\n", " ").replace("$LEDGER", str(self.edge.client.base_url).rstrip("/"))
        match shlex.split(text.replace("$KEY", await self.key(block)), comments=True):
            case []:
                return
            case ["curl", *options]:
                response = await self.edge.client.request(**curl(options, self.folder))
                await self._settle(response.text)
            case ["gzip", "--keep", name]:
                (self.folder / f"{name}.gz").write_bytes(gzip.compress((self.folder / name).read_bytes()))
            case ["ledger", *arguments]:
                await self._settle(await ledger(arguments, self.folder, self.environ))
            case other:
                raise AssertionError(f"nobody knows how to run {other}")

    async def key(self, block: Block) -> str:
        """The admin's key, or that of `as=ROLE` or `as=ROLE:ACCOUNT`, a machine's without `person=NAME`."""
        role, _, account = (block.option("as") or "admin").partition(":")
        return await self.edge.key(role, account=account or None, person=block.option("person"))

    async def _settle(self, said: str) -> None:
        self.said = said
        await self.edge.follower.refresh()
        await self.edge.project()


def curl(options: list[str], folder: Path) -> dict[str, Any]:
    """The request that curl would make of its options."""
    request: dict[str, Any] = {"method": "GET", "headers": {}}
    words = iter(options)
    for word in words:
        if word == "-H":
            name, _, text = next(words).partition(": ")
            request["headers"][name] = text
        elif word in ("-d", "--data-binary"):
            told = next(words)
            request["method"] = "POST"
            request["content"] = (folder / told[1:]).read_bytes() if told.startswith("@") else told.encode()
        elif word != "-sS":
            assert "url" not in request, f"curl is given {word}, which is no option that we know"
            request["url"] = word
    return request


async def ledger(arguments: list[str], folder: Path, environ: Mapping[str, str]) -> str:
    """What the command prints."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ledger", *arguments),
        cwd=folder,
        env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT), **environ},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await program.communicate()
    return printed.decode()


def is_as_shown(shown: object, actual: object, *, shifting: frozenset[str] = frozenset()) -> bool:
    """Whether an answer is the one that is shown; the numbers called as in `shifting` may be others."""
    if shown == ANYTHING:
        return True
    if isinstance(shown, dict) and isinstance(actual, dict):
        return shown.keys() == actual.keys() and all(
            (name in shifting and isinstance(actual[name], int))
            or is_as_shown(shown[name], actual[name], shifting=shifting)
            for name in shown
        )
    if isinstance(shown, list) and isinstance(actual, list):
        return len(shown) == len(actual) and all(
            is_as_shown(one, other, shifting=shifting) for one, other in zip(shown, actual, strict=True)
        )
    return type(shown) is type(actual) and shown == actual
