"""Call the tools of a page that was started with STEER_MCP=yes."""

import asyncio
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

QUESTION = "Mia has 3 boxes. Each box holds 4 pencils. How many pencils are there?"


async def main(address: str, model: str) -> None:
    tools = f"{address.rstrip('/')}/gradio_api/mcp/"
    async with (
        streamablehttp_client(tools) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        for tool in (await session.list_tools()).tools:
            print(tool.name, sorted(tool.inputSchema["properties"]))
        asked = {"model": model, "question": QUESTION, "alpha": 1.0}
        print((await session.call_tool("decode", asked)).content[0].text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
