"""Megabytes that want all memory or time of who reads them; without it a reader could be slow in a way nobody met.

`python -m tests.integrations.fuzz.bombs READER BYTES [NAME]` prints a line of JSON for each: its name, the seconds of
processor time and the megabytes that reading it took. Each is read in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping

from tests.integrations.fuzz.readers import READERS

Bomb = Callable[[int], bytes]  # of how many bytes
ISA = b"ISA*00*          *00*          *ZZ*THEM           *ZZ*US             *260101*1200*^*00501*000000001*0*T*:~"
SET = ISA + b"GS*HP*A*B*20260101*1200*1*X*005010X221A1~ST*835*0001~BPR*I*1*C*ACH~TRN*1*1*1512345678~LX*1~"
MSH = b"MSH|^~\\&|LIS|LAB|CR|CLINIC|20260302||ORU^R01|1|P|2.5.1\rPID|1||1^^^C^MR||A^B||19500101|F\rOBR|1||F1|1^A^LN\r"


def filled(size: int, start: bytes, piece: bytes) -> bytes:
    return start + piece * ((size - len(start)) // len(piece))


X12: Mapping[str, Bomb] = {
    "no segment ends": lambda size: filled(size, ISA, b"A"),
    "empty segments": lambda size: filled(size, ISA, b"~"),
    "one segment of elements": lambda size: filled(size, SET + b"CLP", b"*"),
    "one element of components": lambda size: filled(size, SET + b"SVC*", b":"),
    "headers without trailers": lambda size: filled(size, ISA, b"ST*835*0001~"),
    "interchanges": lambda size: filled(size, b"", ISA),
    "claims": lambda size: filled(size, SET, b"CLP*1*1*1*1*1*12*1~"),
    "adjustments": lambda size: filled(size, SET + b"CLP*1*1*1*1*1*12*1~", b"CAS*CO*1*1~"),
    "odd signs": lambda size: filled(
        size, ISA.replace(b"*", b"\x1d").replace(b":", b"\x1f").replace(b"~", b"\x1e"), b"\x1d\x1f\x1e"
    ),
    "ISA inside": lambda size: filled(size, SET, b"ISA"),
}
HL7: Mapping[str, Bomb] = {
    "no segment ends": lambda size: filled(size, MSH + b"OBX|1|TX|1^A^LN||", b"A"),
    "repetitions": lambda size: filled(size, MSH + b"PID|1||", b"1^^^X^MR~"),
    "components": lambda size: filled(size, MSH + b"OBX|1|CE|1^A^LN||", b"^&"),
    "fields": lambda size: filled(size, MSH + b"ZZZ", b"|"),
    "segments": lambda size: filled(size, MSH, b"NTE|1||x\r"),
    "observations": lambda size: filled(size, MSH, b"OBX|1|NM|1^A^LN||1|g|1-2|N|||F\r"),
    "escapes": lambda size: filled(size, MSH + b"OBX|1|TX|1^A^LN||", b"\\X41\\"),
    "open escapes": lambda size: filled(size, MSH + b"OBX|1|TX|1^A^LN||", b"\\"),
    "line ends": lambda size: filled(size, MSH, b"\r"),
    "heads": lambda size: filled(size, b"", MSH),
    "not text": lambda size: filled(size, MSH + b"OBX|1|TX|1^A^LN||", b"\xff\xfe\x00"),
}
STREAM: Mapping[str, Bomb] = {
    "no end": lambda size: filled(size, b"\x0bMSH", b"x"),
    "begins": lambda size: filled(size, b"", b"\x0b"),
    "ends": lambda size: filled(size, b"", b"\x1c\r"),
    "half ends": lambda size: filled(size, b"\x0b", b"\x1c"),
    "frames": lambda size: filled(size, b"", b"\x0bMSH\x1c\r"),
    "begun again": lambda size: filled(size, b"", b"\x0bMSH|"),
    "noise": lambda size: filled(size, b"", b"noise"),
}
SECONDS_EACH, MEGABYTES_EACH = 5.0, 40.0  # of a megabyte: five times what the slowest and the hungriest take
BOMBS = {"x12": X12, "hl7": HL7, "explained": HL7, "stream": STREAM}


def is_over(told: dict[str, float], megabytes: float) -> bool:
    """Return whether what reading took is no more explained by the size of what was read."""
    return told["seconds"] > 2 + SECONDS_EACH * megabytes or told["megabytes"] > 50 + MEGABYTES_EACH * megabytes


def measured(read: Callable[[bytes], None], raw: bytes) -> dict[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    read(raw)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": time.process_time() - began, "megabytes": (most - before) / 1024}


def main(reader: str, size: int, *names: str) -> None:
    for name in names or BOMBS[reader]:
        pid = os.fork()
        if not pid:
            print(json.dumps({"name": name, **measured(READERS[reader], BOMBS[reader][name](size))}), flush=True)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            print(json.dumps({"name": name, "failed": True}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
