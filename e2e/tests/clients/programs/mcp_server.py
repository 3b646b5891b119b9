"""Serves MCP over HTTPS at argv[1]:argv[2], with the certificate argv[3] and the key argv[4]. Prints
each call of a tool."""

import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings

host, port, certificate, key = sys.argv[1:]
server = MCPServer("files")


@server.tool()
async def read_file(name: str, context: Context) -> str:
    print("read_file", name, flush=True)
    if name.startswith("legacy"):
        # Within a session the server asks its client something, too, and waits for the answer.
        await context.session.send_ping()
    return f"content of {name}"


@server.tool()
def delete_file(name: str) -> str:
    print("delete_file", name, flush=True)
    return "deleted"


names = TransportSecuritySettings(allowed_hosts=["mcp.example.com"])
app = server.streamable_http_app(transport_security=names)
uvicorn.run(
    app, host=host, port=int(port), ssl_certfile=certificate, ssl_keyfile=key, log_level="warning"
)
