"""A server in the manner of httpbin: it answers with the head that it was asked with, in several ways,
and prints what authenticates each request."""
import base64, gzip, http.server, json, ssl, sys

address, certificate, key = sys.argv[1:4]

first = []

class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        own = self.headers.get("authorization", "-")
        print(own, flush=True)
        first.append(own)
        said = json.dumps({"headers": dict(self.headers)}, indent=2).encode()
        way = self.path.split("?")[0].rsplit("/", 1)[-1]
        self.send_response(200)
        if way == "chunked":
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for octet in said:
                self.wfile.write(b"1\r\n%c\r\n" % octet)
            self.wfile.write(b"0\r\n\r\n")
            return
        if way == "field":
            self.send_header("x-echo", own)
            self.send_header("set-cookie", "session=%s; HttpOnly" % own.split(" ")[-1])
            said = b"told"
        if way == "kept":
            said = first[0].encode()
        if way == "base64":
            said = base64.b64encode(said)
        if way == "gzip":
            said = gzip.compress(said)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

server = http.server.ThreadingHTTPServer((address, 443), Echo)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
