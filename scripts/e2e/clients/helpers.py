"""What stands around other people's clients in the tests: a line that loses answers, a receiver of webhooks, and the commands of a page of documentation."""

import collections
import contextlib
import http.client
import http.server
import queue
import re
import threading
import time

# How a block of code begins on a page: its language, and the file that it is, if it is one.
FENCE = re.compile(r"^```(\w+)(?: (\S+))?$")
# Of one connection and not of the message.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Quiet(http.server.BaseHTTPRequestHandler):
    """A handler that takes in whole bodies and does not write to the terminal."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving(handler):
    """Serves with this class of handlers on a port of its own; the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Lossy:
    """A line to a server on which the first answer to each idempotency key is lost: the server has done what was asked, and the client sees a closed connection."""

    def __init__(self, host):
        self.host, self.lost = host, set()
        self.lock = threading.Lock()
        # The bodies and idempotency keys that came through, and the statuses that went back, lost or not.
        self.asked, self.statuses = [], []

    def is_lost(self, key):
        with self.lock:
            first = key not in self.lost
            self.lost.add(key)
            return first

    def serve(self):
        """A context manager of the line's address."""
        line = self

        class Handler(Quiet):
            def do_POST(self):
                key, body = self.headers.get("idempotency-key"), self.body()
                with line.lock:
                    line.asked.append((key, body))
                upstream = http.client.HTTPConnection(line.host, timeout=180)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                upstream.request("POST", self.path, body, headers)
                answer = upstream.getresponse()
                content = answer.read()
                with line.lock:
                    line.statuses.append(answer.status)
                if line.is_lost(key):
                    self.close_connection = True
                    return
                self.answer(answer.status, content, [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP])

        return serving(Handler)


Delivery = collections.namedtuple("Delivery", "headers body status")


class Receiver:
    """Takes webhooks in. The first of them are answered with these statuses, and later ones with 204."""

    def __init__(self, *first):
        self.first = collections.deque(first)
        self.lock = threading.Lock()
        self.came = queue.Queue()

    def serve(self):
        """A context manager of the receiver's address."""
        receiver = self

        class Handler(Quiet):
            def do_POST(self):
                body = self.body()
                with receiver.lock:
                    status = receiver.first.popleft() if receiver.first else 204
                self.answer(status)
                receiver.came.put(Delivery({name.lower(): value for name, value in self.headers.items()}, body, status))

        return serving(Handler)

    def until(self, enough, seconds):
        """What comes, until that is `enough`."""
        end, found = time.monotonic() + seconds, []
        while not enough(found):
            try:
                found.append(self.came.get(timeout=max(0.0, end - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"of {len(found)} webhooks within {seconds} s some are missing: {found}") from None
        return found


Block = collections.namedtuple("Block", "line language file text")


def blocks(page):
    """The blocks of code of a page in Markdown, in their order, each with the number of its first line."""
    found, block = [], None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if block is None and fence:
            block = Block(number + 1, fence[1], fence[2], [])
        elif line == "```":
            found.append(block._replace(text="\n".join(block.text) + "\n"))
            block = None
        elif block is not None:
            block.text.append(line)
    if block is not None:
        raise AssertionError(f"{page}: the block of line {block.line} has no end")
    return found
