"""Call the tools of a page that was started with STEER_MCP=yes."""

import asyncio
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(address: str) -> None:
    async with (
        streamablehttp_client(f"{address.rstrip('/')}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        for tool in (await session.list_tools()).tools:
            print(tool.name, sorted(tool.inputSchema["properties"]))
        names = {
            tool.name.rpartition("_")[2]: tool.name for tool in (await session.list_tools()).tools
        }
        models = await session.call_tool(names["models"], {})
        print(models.content[0].text)
        asked = {"model": sys.argv[2], "question": "What is 2 + 2?", "alpha": 1.0}
        print((await session.call_tool(names["decode"], asked)).content[0].text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
