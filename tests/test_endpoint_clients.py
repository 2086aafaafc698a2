"""The endpoints as programs reach them, by the documented script and by a real MCP client."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Iterator
from pathlib import Path

import fake_engine
import pytest
from page_server import Script, served

from steer_core.ui.api import NAMES

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
DESCRIBED = {
    "decode": ("steer", "baseline_text"),
    "sweep": ("accuracy", "random"),
    "lens": ("vocabulary", "entropy"),
    "swap": ("positive control", "followed"),
    "models": ("latent", "layers"),
}
"""Words without which a model would not know what a tool is for and what it returns."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    with served(fake_engine.explorer(), tmp_path_factory.mktemp("runs"), mcp=True) as script:
        yield script


def test_the_documented_script_runs(page: Script, capsys: pytest.CaptureFixture[str]):
    address = str(page.http.base_url)
    runpy.run_path(str(EXAMPLES / "client.py"), run_name="client")["main"](address)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert " -> " in lines[0]
    assert lines[2].startswith("last layer says: ")


def test_a_model_is_told_what_each_tool_does(page: Script):
    """The tools of a real MCP client, with a description and a type for every argument."""
    tools = asyncio.run(listed(page))
    assert {name for name in NAMES if any(each.endswith(name) for each in tools)} == set(NAMES)
    for name, words in DESCRIBED.items():
        (tool,) = (tool for each, tool in tools.items() if each.endswith(name))
        assert all(word in tool.description for word in words), tool.description
        arguments = tool.inputSchema["properties"]
        assert "request" not in arguments
        for argument, schema in arguments.items():
            assert schema.get("description"), f"{name} does not say what {argument} is"
            assert {"type", "oneOf", "anyOf"} & set(schema), f"{name}: {argument}"


def test_tools_answer_and_refuse_in_one_line(page: Script):
    good, bad = asyncio.run(called(page))
    assert not good.isError
    assert "baseline_text" in good.content[0].text
    assert bad.isError
    assert "give a number from -3 to 3" in bad.content[0].text
    assert "Traceback" not in bad.content[0].text


async def session_of(page: Script):
    from mcp.client.streamable_http import streamablehttp_client

    return streamablehttp_client(f"{page.http.base_url}gradio_api/mcp/")


async def listed(page: Script) -> dict:
    from mcp import ClientSession

    async with await session_of(page) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        return {tool.name: tool for tool in (await session.list_tools()).tools}


async def called(page: Script) -> list:
    from mcp import ClientSession

    async with await session_of(page) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        asked = {"model": "tiny-llama", "question": "What is 2 + 2?"}
        wanted = ({**asked, "alpha": alpha} for alpha in (1.0, 99.0))
        return [await session.call_tool("decode", arguments) for arguments in wanted]
