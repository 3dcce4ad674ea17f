"""An authorization service for tries: whoever shows the key of the example gets in, and is Alice."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        known = self.headers.get("Authorization") == "Bearer key-of-alice"
        body = b"" if known else b"this gateway knows Alice alone\n"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-user" if known else "WWW-Authenticate", "alice" if known else "Bearer")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
