"""A server and a client of MCP over Streamable HTTP by the SDK that the protocol's authors publish,
its first or second major version."""

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager


def app():
    from mcp.server.transport_security import TransportSecuritySettings

    off = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    try:
        from mcp.server.mcpserver import Context, MCPServer

        server = MCPServer("files")
        make = lambda: server.streamable_http_app(transport_security=off)
    except ImportError:
        from mcp.server.fastmcp import Context, FastMCP

        server = FastMCP("files", transport_security=off)
        make = server.streamable_http_app

    @server.tool()
    async def read_file(name: str, context: Context) -> str:
        # The server asks its client something, too, and waits for the answer.
        await context.session.send_ping()
        return f"content of {name}"

    @server.tool()
    def delete_file(name: str) -> str:
        return "deleted"

    return make()


def server():
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app(), log_level="error")).run(sockets=[listening])


@asynccontextmanager
async def session(port):
    url = f"http://host.openshell.internal:{port}/mcp"
    try:
        from mcp import Client
    except ImportError:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(url) as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                yield session
        return
    async with Client(url) as session:
        yield session


async def read(port):
    async with session(port) as opened:
        tools = await opened.list_tools()
        print(sorted(tool.name for tool in tools.tools), flush=True)
        answer = await opened.call_tool("read_file", {"name": "a"})
        print(answer.content[0].text, flush=True)


async def delete(port):
    async with session(port) as opened:
        async with asyncio.timeout(5):
            answer = await opened.call_tool("delete_file", {"name": "a"})
        print(answer, flush=True)


if sys.argv[1] == "server":
    server()
else:
    _, _, proxy, port = sys.argv
    os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = f"http://127.0.0.1:{proxy}"
    asyncio.run(read(port))
    try:
        asyncio.run(delete(port))
    except Exception:
        # How the SDK tells of a refused call is its own affair.
        print("denied", flush=True)
