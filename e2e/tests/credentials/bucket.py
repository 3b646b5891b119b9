"""A server that speaks as much of S3 as the tests ask for. Each request is held against the signature
that botocore makes of it with the real keys; whatever else it says is told in a line of JSON."""

import hashlib
import http.server
import json
import os
import re
import ssl
import sys
import urllib.parse
from email.utils import formatdate

from awscli.botocore.auth import S3SigV4Auth
from awscli.botocore.awsrequest import AWSRequest
from awscli.botocore.credentials import Credentials

address, certificate, key = sys.argv[1:4]
KEYS = Credentials(os.environ["KEY_ID"], os.environ["SECRET"], os.environ["TOKEN"])
REGION = os.environ["REGION"]
SCOPE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/s3/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
objects = {}


def entity(packed):
    """The body behind a chunk's size each, with a checksum at the end that nobody signed."""
    whole = b""
    while True:
        size, _, packed = packed.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return whole
        whole, packed = whole + packed[:length], packed[length + 2 :]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def content(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        whole = b""
        while length := int(self.rfile.readline(), 16):
            whole += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def fault(self, body):
        """Why the request is not what its signature says."""
        said = SCOPE.fullmatch(self.headers.get("authorization", ""))
        if not said or said[1] != KEYS.access_key or said[2] != REGION:
            return "InvalidAccessKeyId"
        if self.headers["x-amz-security-token"] != KEYS.token:
            return "InvalidToken"
        signed = {name: self.headers[name] for name in said[3].split(";")}
        orders = [name.lower() for name in self.headers if name.lower().startswith("x-amz-")]
        if not set(orders) <= set(signed):
            return "AccessDenied"
        url = f"https://{self.headers['host']}{self.path}"
        request = AWSRequest(method=self.command, url=url, headers=signed)
        request.context["timestamp"] = self.headers["x-amz-date"]
        maker = S3SigV4Auth(KEYS, "s3", REGION)
        text = maker.string_to_sign(request, maker.canonical_request(request))
        if maker.signature(text, request) != said[4]:
            return "SignatureDoesNotMatch"
        digest = self.headers["x-amz-content-sha256"]
        if len(digest) == 64 and hashlib.sha256(body).hexdigest() != digest:
            return "XAmzContentSHA256Mismatch"
        return None

    def answer(self, status, body=b"", **fields):
        self.send_response(status)
        fields.setdefault("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        body = self.content()
        fault = self.fault(body)
        digest = self.headers.get("x-amz-content-sha256", "")
        line = {"method": self.command, "path": self.path, "fault": fault, "digest": digest}
        print(json.dumps(line), flush=True)
        if fault:
            return self.answer(403, f"<Error><Code>{fault}</Code></Error>".encode())
        if digest == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            body = entity(body)
        path, _, query = self.path.partition("?")
        path, query = urllib.parse.unquote(path), urllib.parse.parse_qs(query)
        if self.command == "PUT":
            objects[path] = body
            return self.answer(200, ETag='"1"')
        if "list-type" in query:
            start = path.rstrip("/") + "/"
            prefix = start + query.get("prefix", [""])[0]
            items = "".join(
                f"<Contents><Key>{urllib.parse.quote(name[len(start):])}</Key>"
                f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{len(held)}</Size>"
                "</Contents>"
                for name, held in objects.items()
                if name.startswith(prefix)
            )
            text = f"<ListBucketResult><EncodingType>url</EncodingType>{items}</ListBucketResult>"
            return self.answer(200, text.encode(), Content_Type="application/xml")
        if path not in objects:
            return self.answer(404)
        at = {"Last_Modified": formatdate(0, usegmt=True), "ETag": '"1"'}
        return self.answer(200, objects[path], **at)

    do_GET = do_HEAD = do_PUT = serve


server = http.server.ThreadingHTTPServer((address, 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
