"""Requests of remote write, read by protobuf's own library with the fields of the specifications, and what these demand of each.

Fields: prometheus.io, "Remote-Write 1.0" and "Remote-Write 2.0" (release candidate 4; `created_timestamp` is of candidate 3).
"""
from __future__ import annotations

import struct

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

V1 = "prometheus.WriteRequest"
V2 = "io.prometheus.write.v2.Request"
STALE = 0x7FF0000000000002

# Of each message the fields: number, name, type, and whether there are many.
MESSAGES = {
    "prometheus": {
        "WriteRequest": [(1, "timeseries", "TimeSeries", True), (3, "metadata", "MetricMetadata", True)],
        "TimeSeries": [(1, "labels", "Label", True), (2, "samples", "Sample", True), (3, "exemplars", "Exemplar", True)],
        "Label": [(1, "name", "string", False), (2, "value", "string", False)],
        "Sample": [(1, "value", "double", False), (2, "timestamp", "int64", False)],
        "Exemplar": [(1, "labels", "Label", True), (2, "value", "double", False), (3, "timestamp", "int64", False)],
        "MetricMetadata": [
            (1, "type", "int32", False), (2, "metric_family_name", "string", False), (4, "help", "string", False), (5, "unit", "string", False),
        ],
    },
    "io.prometheus.write.v2": {
        "Request": [(4, "symbols", "string", True), (5, "timeseries", "TimeSeries", True)],
        "TimeSeries": [
            (1, "labels_refs", "uint32", True), (2, "samples", "Sample", True), (4, "exemplars", "Exemplar", True),
            (5, "metadata", "Metadata", False), (6, "created_timestamp", "int64", False),
        ],
        "Sample": [(1, "value", "double", False), (2, "timestamp", "int64", False), (3, "start_timestamp", "int64", False)],
        "Exemplar": [(1, "labels_refs", "uint32", True), (2, "value", "double", False), (3, "timestamp", "int64", False)],
        "Metadata": [(1, "type", "int32", False), (3, "help_ref", "uint32", False), (4, "unit_ref", "uint32", False)],
    },
}


def classes() -> dict:
    pool = descriptor_pool.DescriptorPool()
    for package, messages in MESSAGES.items():
        file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        for name, fields in messages.items():
            message = file.message_type.add(name=name)
            for number, field, kind, many in fields:
                one = message.field.add(number=number, name=field, label=3 if many else 1)
                if kind[0].isupper():
                    one.type, one.type_name = 11, f".{package}.{kind}"
                else:
                    one.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
        pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in (V1, V2)}


CLASSES = classes()


def unpack(packed: bytes) -> bytes:
    """A block of Snappy, uncompressed: google/snappy, "format_description"."""
    at, shift, length = 0, 0, 0
    while True:
        byte = packed[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    out = bytearray()
    while at < len(packed):
        tag = packed[at]
        at += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                more = size - 59
                size = int.from_bytes(packed[at : at + more], "little")
                at += more
            out += packed[at : at + size + 1]
            at += size + 1
            continue
        if tag & 3 == 1:
            size, back = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | packed[at]
            at += 1
        else:
            wide = 2 if tag & 3 == 2 else 4
            size, back = (tag >> 2) + 1, int.from_bytes(packed[at : at + wide], "little")
            at += wide
        assert 0 < back <= len(out), "a copy from before the begin"
        for _ in range(size):
            out.append(out[-back])
    assert len(out) == length, "as long as it says"
    return bytes(out)


def bits(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


class Request:
    """What a request says, in the same words for both versions: `series` is a list of labels, samples and exemplars."""

    def __init__(self, headers: dict, body: bytes):
        assert headers["content-encoding"] == "snappy"
        kind, self.version = headers["content-type"].split(";proto=")
        assert kind == "application/x-protobuf"
        assert headers["x-prometheus-remote-write-version"] == {V1: "0.1.0", V2: "2.0.0"}[self.version]
        product, _, release = headers["user-agent"].partition("/")
        assert product == "neural-exporter" and release
        self.message = CLASSES[self.version]()
        self.message.ParseFromString(unpack(body))
        known(self.message)
        self.metadata = {one.metric_family_name: one for one in getattr(self.message, "metadata", [])}
        assert bool(self.metadata) != bool(self.message.timeseries), "samples or metadata"
        if self.version == V2:
            symbols = list(self.message.symbols)
            assert symbols[0] == "" and len(set(symbols)) == len(symbols)
        self.series = [self.one(series) for series in self.message.timeseries]

    def pairs(self, of) -> list:
        if self.version == V1:
            return [(label.name, label.value) for label in of.labels]
        texts = [self.message.symbols[ref] for ref in of.labels_refs]
        assert len(texts) % 2 == 0
        return list(zip(texts[::2], texts[1::2]))

    def one(self, series) -> tuple:
        pairs = self.pairs(series)
        names = [name for name, _ in pairs]
        assert names == sorted(set(names)), "sorted, and each once"
        assert all(name and value for name, value in pairs), f"empty: {pairs}"
        labels = dict(pairs)
        assert labels["__name__"]
        times = [sample.timestamp for sample in series.samples]
        assert times and times == sorted(set(times)), "in order, and each once"
        assert all(1e12 < at < 1e13 for at in times), "milliseconds"
        exemplars = [(dict(self.pairs(one)), one.value, one.timestamp) for one in series.exemplars]
        for own, _, at in exemplars:
            assert 1e12 < at < 1e13 and sum(len(key) + len(value) for key, value in own.items()) <= 128
        if self.version == V2:
            starts = [sample.start_timestamp for sample in series.samples]
            for start, sample in zip(starts, series.samples):
                assert start == 0 or (1e12 < start <= sample.timestamp and bits(sample.value) != STALE)
            assert series.created_timestamp in (0, starts[0])
            assert series.metadata.type or not series.metadata.help_ref
        return labels, [(sample.timestamp, sample.value) for sample in series.samples], exemplars, series


def known(message) -> None:
    """That every field of it is one of the specification's."""
    assert not len(UnknownFieldSet(message)), f"{message.DESCRIPTOR.full_name} has fields of its own"
    for field, value in message.ListFields():
        if field.message_type:
            for one in value if field.is_repeated else [value]:
                known(one)
