"""A server and a client of MCP over Streamable HTTP by the SDK that the protocol's authors publish."""

import asyncio
import os
import socket
import sys


def server():
    import uvicorn
    from mcp.server.fastmcp import Context, FastMCP
    from mcp.server.transport_security import TransportSecuritySettings

    off = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    server = FastMCP("files", transport_security=off)

    @server.tool()
    async def read_file(name: str, context: Context) -> str:
        # The server asks its client something, too, and waits for the answer.
        await context.session.send_ping()
        return f"content of {name}"

    @server.tool()
    def delete_file(name: str) -> str:
        print("deleted", name, file=sys.stderr, flush=True)
        return "deleted"

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    uvicorn.Server(config).run(sockets=[listening])


async def within(port, talk):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    url = f"http://host.openshell.internal:{port}/mcp"
    async with streamablehttp_client(url) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            await talk(session)


async def read(session):
    tools = await session.list_tools()
    print(sorted(tool.name for tool in tools.tools), flush=True)
    answer = await session.call_tool("read_file", {"name": "a"})
    print(answer.content[0].text, flush=True)


async def delete(session):
    async with asyncio.timeout(5):
        await session.call_tool("delete_file", {"name": "a"})
    print("passed", flush=True)


if sys.argv[1] == "server":
    server()
else:
    _, _, proxy, port = sys.argv
    os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = f"http://127.0.0.1:{proxy}"
    asyncio.run(within(port, read))
    try:
        asyncio.run(within(port, delete))
    except Exception:
        # How the SDK tells of a refused call is its own affair.
        print("denied", flush=True)
