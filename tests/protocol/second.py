#!/usr/bin/env python3
"""A second implementation of docs/protocol.md, written from that document alone. The tests hold the first one to it.

second.py pinned               the heartbeat of the document in each method, in hexadecimal
second.py judge                for each line `CLUSTER METHOD KEY SECRET PACKET` (hexadecimal): `ok` and the packet made
                               anew from what was read, or the word by which it is refused
second.py frame                for each line, a packet in hexadecimal: its frame on a serial line
second.py node CLUSTER NAME SECRET LOCAL REMOTE PORT
                               is a node without a group, signing with key 1 of sha256: a line for each change
"""

import hashlib
import hmac
import os
import socket
import struct
import sys
import time
import unicodedata
import zlib

SHA256, MD5, CRC = 1, 2, 3
MAX_PACKET = 9216


class Refused(Exception):
    """A packet is refused; its text is the word it is counted by."""


def fnv(bits, name):
    value, prime = {32: (0x811C9DC5, 0x01000193), 64: (0xCBF29CE484222325, 0x100000001B3)}[bits]
    for byte in name.encode():
        value = (value ^ byte) * prime % (1 << bits)
    return value


# Writing

def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def block(data):
    return varint(len(data)) + data


def text(words):
    return block(words.encode())


def u32(number):
    return struct.pack(">I", number)


def u64(number):
    return struct.pack(">Q", number)


STATES = ["joining", "up", "leaving", "left"]
GROUP_STATES = ["stopped", "starting", "started", "stopping", "released", "blocked"]


def put_echo(echo):
    out = u32(echo["node"]) + u64(echo["boot"]) + varint(echo["incarnation"]) + varint(echo["links"])
    return out + varint(echo["heard"]) if echo.get("heard") else out


def put_group(group):
    bits = GROUP_STATES.index(group["state"])
    for bit, name in ((3, "able"), (4, "failed"), (5, "declined")):
        bits |= group[name] << bit
    bits |= (group["to"] is not None) << 6 | (group["failures"] != 0) << 7
    out = u32(group["id"]) + bytes([bits]) + varint(group["epoch"])
    if group["failures"]:
        out += varint(group["failures"])
    if group["to"] is not None:
        out += u32(group["to"])
    more = {None: 0, 0: 1, 1: 3}[group["fence"]] | group["wrong"] << 2
    if more:
        out += bytes([more])
    return out


def put_order(order):
    out = varint(order["id"]) + u32(order["target"]) + bytes([order["kind"]]) + text(order["by"])
    return out + b"".join(u32(order[name]) for name in ORDER_FIELDS[order["kind"]])


def put_ack(ack):
    out = u32(ack["issuer"]) + varint(ack["id"])
    return out + (b"\0" if ack["refused"] is None else b"\1" + text(ack["refused"]))


def put_config_ask(ask):
    return u32(ask["target"]) + varint(ask["page"])


def put_config_page(page):
    return u32(page["issuer"]) + varint(page["page"]) + varint(page["pages"])


def put_config_entry(entry):
    return text(entry["name"]) + u32(entry["fingerprint"])


ORDER_FIELDS = {1: [], 2: [], 3: ["group", "to"], 4: [], 5: ["group"]}
SECTIONS = [("echoes", put_echo), ("groups", put_group), ("orders", put_order), ("acks", put_ack),
            ("config ask", put_config_ask), ("config page", put_config_page), ("config entries", put_config_entry)]


def body(message):
    flags = STATES.index(message["state"]) | message["standby"] << 2 | message["maintenance"] << 3
    out = text(message["name"]) + varint(message["incarnation"]) + u64(message["boot"])
    out += varint(message["sequence"]) + bytes([flags]) + varint(message["version"])
    out += u64(message["config"]) + bytes(message["pings"])
    for number, (name, put) in enumerate(SECTIONS, 1):
        if message[name]:
            records = b"".join(block(put(record)) for record in message[name])
            out += bytes([number]) + block(records)
    return out


def tag(method, secret, data):
    if method == CRC:
        return u32(zlib.crc32(data))
    return hmac.new(secret, data, {SHA256: hashlib.sha256, MD5: hashlib.md5}[method]).digest()[:16]


def seal(cluster, method, key, secret, message):
    packet = b"hb" + bytes([0x10, method, key]) + u64(cluster) + body(message)
    return packet + tag(method, secret, packet)


# Reading

class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, count):
        if count > len(self.data):
            raise Refused("malformed")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def byte(self):
        return self.take(1)[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.take(8))[0]

    def varint(self, most=2**64 - 1):
        number, shift = 0, 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
            shift += 7
            if shift > 63:
                raise Refused("malformed")
        if number > most or (byte == 0 and shift > 0):
            raise Refused("malformed")
        return number

    def block(self):
        return Reader(self.take(self.varint()))

    def text(self, most):
        data = self.block().data
        try:
            words = data.decode()
        except UnicodeDecodeError:
            raise Refused("malformed") from None
        if len(data) > most or any(unicodedata.category(c) == "Cc" for c in words):
            raise Refused("malformed")
        return words


def read_echo(r):
    echo = {"node": r.u32(), "boot": r.u64(), "incarnation": r.varint(), "links": r.varint()}
    echo["heard"] = r.varint(2**32 - 1) if r.data else 0
    return echo


def read_group(r):
    group = {"id": r.u32()}
    bits = r.byte()
    if bits & 7 >= len(GROUP_STATES):
        raise Refused("malformed")
    group["state"] = GROUP_STATES[bits & 7]
    for bit, name in ((3, "able"), (4, "failed"), (5, "declined")):
        group[name] = bits >> bit & 1
    group["epoch"] = r.varint()
    group["failures"] = r.varint(65535) if bits >> 7 & 1 else 0
    group["to"] = r.u32() if bits >> 6 & 1 else None
    more = r.byte() if r.data else 0
    group["fence"] = more >> 1 & 1 if more & 1 else None
    group["wrong"] = more >> 2 & 1
    return group


def read_order(r):
    order = {"id": r.varint(2**32 - 1), "target": r.u32(), "kind": r.byte(), "by": r.text(32)}
    if order["kind"] not in ORDER_FIELDS:
        return None
    for name in ORDER_FIELDS[order["kind"]]:
        order[name] = r.u32()
    return order


def read_ack(r):
    ack = {"issuer": r.u32(), "id": r.varint(2**32 - 1), "refused": None}
    verdict = r.byte()
    if verdict > 1:
        return None
    if verdict == 1:
        ack["refused"] = r.text(120)
    return ack


def read_config_ask(r):
    return {"target": r.u32(), "page": r.varint(65535)}


def read_config_page(r):
    return {"issuer": r.u32(), "page": r.varint(65535), "pages": r.varint(65535)}


def read_config_entry(r):
    return {"name": r.text(100), "fingerprint": r.u32()}


READERS = {1: ("echoes", read_echo, 15), 2: ("groups", read_group, 255), 3: ("orders", read_order, 8), 4: ("acks", read_ack, 8),
           5: ("config ask", read_config_ask, 1), 6: ("config page", read_config_page, 1),
           7: ("config entries", read_config_entry, 8)}


def read_body(data):
    r = Reader(data)
    message = {"name": r.text(63)}
    if not message["name"]:
        raise Refused("malformed")
    message["incarnation"], message["boot"], message["sequence"] = r.varint(), r.u64(), r.varint()
    flags = r.byte()
    message["state"], message["standby"], message["maintenance"] = STATES[flags & 3], flags >> 2 & 1, flags >> 3 & 1
    message["version"], message["config"] = r.varint(2**32 - 1), r.u64()
    message["pings"] = [r.byte(), r.byte()]
    message.update({name: [] for name, _, _ in READERS.values()})
    last = 0
    while r.data:
        number = r.byte()
        if number <= last:
            raise Refused("malformed")
        last, section = number, r.block()
        name, read, most = READERS.get(number, (None, None, None))
        count = 0
        while name and section.data:
            count += 1
            if count > most:
                raise Refused("malformed")
            record = read(section.block())
            if record is not None:
                message[name].append(record)
    return message


def open_packet(cluster, keys, packet):
    """`keys`: for each key's number its method and secret."""
    if len(packet) > MAX_PACKET:
        raise Refused("too_long")
    if len(packet) < 13:
        raise Refused("too_short")
    if packet[:2] != b"hb":
        raise Refused("magic")
    if packet[2] >> 4 != 1:
        raise Refused("version")
    if packet[5:13] != u64(cluster):
        raise Refused("foreign_cluster")
    if packet[4] not in keys:
        raise Refused("unknown_key")
    method, secret = keys[packet[4]]
    if packet[3] != method:
        raise Refused("method")
    length = 4 if method == CRC else 16
    if len(packet) < 13 + length:
        raise Refused("too_short")
    signed, its = packet[:-length], packet[-length:]
    if not hmac.compare_digest(tag(method, secret, signed), its):
        raise Refused("tag")
    return read_body(signed[13:])


# Serial lines

def frame(packet):
    data = packet + u32(zlib.crc32(packet))
    runs = data.split(b"\0")
    out = bytearray(b"\0")
    for number, run in enumerate(runs):
        last = number == len(runs) - 1
        while len(run) > 254 or (len(run) == 254 and not last):
            # A full run implies no 00; one that stands before a 00 is followed by an empty run that does.
            out += b"\xff" + run[:254]
            run = run[254:]
        if len(run) == 254:
            out += b"\xff" + run
        else:
            out += bytes([len(run) + 1]) + run
    return bytes(out + b"\0")


# What the tests call

def blank(name):
    return {"name": name, "incarnation": 1, "boot": 0, "sequence": 0, "state": "up", "standby": 0, "maintenance": 0,
            "version": 0, "config": 0, "pings": [0, 0], **{name: [] for name, _ in SECTIONS}}


def pinned():
    message = dict(blank("midas"), incarnation=7, boot=0x0123456789ABCDEF, sequence=1000, version=2,
                   config=0xFEDCBA9876543210, pings=[1, 2])
    message["echoes"] = [{"node": fnv(32, "estepe"), "boot": 0x1122334455667788, "incarnation": 5, "links": 0b11}]
    message["groups"] = [{"id": fnv(32, "director"), "state": "started", "epoch": 3, "failures": 0, "able": 1,
                          "failed": 0, "declined": 0, "to": None, "fence": None, "wrong": 0}]
    cluster = fnv(64, "lvs")
    for method, key, secret in ((SHA256, 1, b"the quick brown fox"), (MD5, 3, b"Hello!"), (CRC, 1, b"")):
        print(seal(cluster, method, key, secret, message).hex())


def judge():
    for line in sys.stdin:
        cluster, method, key, secret, packet = line.rstrip("\n").split(" ")
        cluster, method, key = int(cluster, 16), int(method, 16), int(key, 16)
        secret = bytes.fromhex(secret)
        try:
            message = open_packet(cluster, {key: (method, secret)}, bytes.fromhex(packet))
            print("ok", seal(cluster, method, key, secret, message).hex())
        except Refused as why:
            print(why)


def node(cluster, name, secret, local, remote, port):
    """Proves itself to the peer, hears it, and says what it sees; has no group and takes none."""
    keepalive = 0.1
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    link = socket.socket(family, socket.SOCK_DGRAM)
    link.bind((local, int(port)))
    cluster, secret = fnv(64, cluster), secret.encode()
    me = dict(blank(name), boot=int.from_bytes(os.urandom(8), "big"))
    peer, session, newest, due = None, None, 0, time.monotonic()
    while True:
        link.settimeout(max(due - time.monotonic(), 0.001))
        try:
            packet = link.recv(MAX_PACKET + 1)
            peer = open_packet(cluster, {1: (SHA256, secret)}, packet)
        except (TimeoutError, socket.timeout):
            me["sequence"] += 1
            due = time.monotonic() + keepalive
            link.sendto(seal(cluster, SHA256, 1, secret, me), (remote, int(port)))
            continue
        except Refused as why:
            print("refused", why, flush=True)
            continue
        mine = [echo for echo in peer["echoes"] if echo["node"] == fnv(32, name)]
        proof = [echo for echo in mine if echo["boot"] == me["boot"]]
        proven = bool(proof)
        if proven:
            # The peer knows a newer incarnation, or another life of ours that has this one.
            known = proof[0]["incarnation"]
            if known > me["incarnation"] or (known == me["incarnation"] and mine[0] != proof[0]):
                me["incarnation"] = known + 1
        life = (peer["incarnation"], peer["boot"])
        if proven and life != session and peer["incarnation"] >= newest:
            session, newest = life, peer["incarnation"]
            print("hears", peer["name"], flush=True)
        me["echoes"] = [{"node": fnv(32, peer["name"]), "boot": peer["boot"],
                         "incarnation": newest, "links": int(life == session)}]
        me["config"] = peer["config"]


def main(words):
    match words:
        case ["pinned"]:
            pinned()
        case ["judge"]:
            judge()
        case ["frame"]:
            for line in sys.stdin:
                print(frame(bytes.fromhex(line.strip())).hex())
        case ["node", *rest] if len(rest) == 6:
            node(*rest)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
