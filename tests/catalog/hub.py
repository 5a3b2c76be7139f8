"""A Hugging Face hub of one process, for `luthier weights pull`: it knows the models it is given."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REVISION = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(models: Mapping[str, Mapping[str, bytes]], asked: list[str]) -> Iterator[str]:
    """Serves {model: {file: bytes}} and notes the paths asked for; yields the address that HF_ENDPOINT takes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            asked.append(self.path)
            model, _, rest = self.path.lstrip("/").partition("/resolve/")
            file = rest.partition("/")[2].partition("?")[0]
            data = models.get(model, {}).get(file)
            self.send_response(200 if data is not None else 404)
            if data is None:
                self.send_header("X-Error-Code", "EntryNotFound" if model in models else "RepoNotFound")
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", f'"{hash(data):x}"')
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            if body and data:
                self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
