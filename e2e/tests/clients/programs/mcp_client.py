"""Lists the tools of a server of MCP, and calls each: as the protocol has been since 2026, and with the
sessions that it had before."""

import asyncio

from mcp import Client


async def speak(mode):
    async with Client("https://mcp.example.com/mcp", mode=mode) as client:
        print(sorted(tool.name for tool in (await client.list_tools()).tools))
        answer = await client.call_tool("read_file", {"name": f"{mode} a"})
        print(answer.content[0].text)
        try:
            async with asyncio.timeout(20):
                print(await client.call_tool("delete_file", {"name": "a"}))
        except TimeoutError:
            print("no answer")
        except Exception as error:
            print("refused:", error)
        # What was refused ends nothing.
        answer = await client.call_tool("read_file", {"name": f"{mode} b"})
        print(answer.content[0].text)


for mode in ["auto", "legacy"]:
    asyncio.run(speak(mode))
