"""A TCP proxy between a worker and a server, whose network can be cut: either way or both.

    pass     what comes goes on
    hold     nothing goes on, nothing is lost: a cut that TCP will have mended when it is healed in time
    drop     what comes is swallowed, and the connection is never told; also after `heal`, as where a router has forgotten it

New connections are accepted in all of these, since that is what a proxy can do; they are silent while it drops or holds."""
import socket
import struct
import threading
import time

UP, DOWN = "up", "down"  # to the server, to the client


class Strainer:
    """What a client sends to a broker one of whose queues is broken: from the first basic.consume of that queue on, the channel
    is never answered any more."""

    def __init__(self, queue):
        self.queue = queue.encode()
        self.rest = b""
        self.greeted = False
        self.stuck = set()

    def strain(self, data):
        self.rest += data
        out = b""
        if not self.greeted:
            if len(self.rest) < 8:
                return b""
            out, self.rest, self.greeted = self.rest[:8], self.rest[8:], True
        while len(self.rest) >= 7:
            kind, channel, size = struct.unpack(">BHI", self.rest[:7])
            if len(self.rest) < size + 8:
                break
            frame, self.rest = self.rest[:size + 8], self.rest[size + 8:]
            if kind == 1 and frame[7:11] == struct.pack(">HH", 60, 20) and self.queue in frame:
                self.stuck.add(channel)
            if channel not in self.stuck:
                out += frame
        return out


class Connection:
    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", proxy.target))
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lost = {UP: False, DOWN: False}
        self.strainer = Strainer(proxy.broken_queue) if proxy.broken_queue else None
        for way, source, sink in ((UP, self.client, self.server), (DOWN, self.server, self.client)):
            threading.Thread(target=self.pump, args=(way, source, sink), daemon=True).start()

    def pump(self, way, source, sink):
        try:
            while True:
                data = source.recv(65536)
                mode = self.proxy.wait_to_pass(way)
                if mode == "drop" or self.lost[way]:
                    self.lost[way] = True
                    if not data:
                        return  # the other end never hears of it
                elif not data:
                    break
                else:
                    if self.proxy.rate:
                        time.sleep(len(data) / self.proxy.rate)
                    sink.sendall(self.strainer.strain(data) if way == UP and self.strainer else data)
        except OSError:
            if self.lost[way] or self.proxy.modes[way] == "drop":
                return
        self.close()

    def close(self, reset=False):
        for end in (self.client, self.server):
            try:
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
            except OSError:
                pass


class Proxy:
    def __init__(self, target):
        self.target = target
        self.changed = threading.Condition()
        self.modes = {UP: "pass", DOWN: "pass"}
        self.rate = 0  # bytes a second; 0: as fast as it goes
        self.broken_queue = None  # for connections to come
        self.connections = []
        self.listener = None
        self.port = 0
        self.listen()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                self.connections.append(Connection(self, client))
            except OSError:
                client.close()  # the server is not there

    def wait_to_pass(self, way):
        with self.changed:
            self.changed.wait_for(lambda: self.modes[way] != "hold")
            return self.modes[way]

    def set(self, up, down):
        with self.changed:
            self.modes = {UP: up, DOWN: down}
            self.changed.notify_all()

    def cut(self, up="drop", down="drop"):
        self.set(up, down)

    def heal(self):
        self.set("pass", "pass")

    def reset(self):
        """Ends all connections, as a router does that comes back with an empty table."""
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.close(reset=True)

    def refuse(self):
        """Nobody listens any more, until `accept_again`."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.reset()

    def accept_again(self):
        self.listen()

    def close(self):
        self.heal()
        self.refuse()
