"""Values between two processes that do not trust each other.

A frame is a JSON header followed by raw buffers: structure and small values in the header, the bytes of tensors and
arrays behind it. Nothing is ever pickled, so reading a frame can build plain values and nothing else.

    frame = 4 bytes: length of the header | header | buffer 0 | buffer 1 | ...

Types are matched exactly (`type(x) is list`): a subclass with an `__eq__` of its own never arrives as the real thing.
"""

import json
import math
import struct

import numpy as np
import torch
from torch import nn

MAX_BYTES = 64 * 2**20  # one frame; a larger value is refused on both sides
MAX_HEADER = 8 * 2**20
MAX_DEPTH = 32
MAX_NODES = 200_000

_DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]  # of both libraries
_TORCH_DTYPES = {name: getattr(torch, name) for name in [*_DTYPES, "bfloat16"]}
_NUMPY_DTYPES = {name: np.dtype(name).newbyteorder("<") for name in [*_DTYPES, "uint16", "uint32", "uint64"]}

# The modules that a grader may send, each with the arguments that build it again. Weights, running statistics, which of
# them are frozen, and the mode travel beside these; modules that hold others bring them along.
_MODULES = {
    nn.Conv2d: "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode",
    nn.ConvTranspose2d: "in_channels out_channels kernel_size stride padding output_padding groups bias dilation",
    nn.Linear: "in_features out_features bias",
    nn.BatchNorm1d: "num_features eps momentum affine track_running_stats",
    nn.BatchNorm2d: "num_features eps momentum affine track_running_stats",
    nn.MaxPool2d: "kernel_size stride padding dilation return_indices ceil_mode",
    nn.MaxUnpool2d: "kernel_size stride padding",
    nn.AvgPool2d: "kernel_size stride padding ceil_mode count_include_pad divisor_override",
    nn.AdaptiveAvgPool2d: "output_size",
    nn.Upsample: "size scale_factor mode align_corners",
    nn.Flatten: "start_dim end_dim",
    nn.Dropout: "p inplace",
    nn.Dropout2d: "p inplace",
    nn.ReLU: "inplace",
    nn.ReLU6: "inplace",
    nn.Tanh: "",
    nn.Sigmoid: "",
    nn.Softmax: "dim",
    nn.Identity: "",
    nn.Sequential: "",
    nn.ModuleList: "",
}
_CONTAINERS = (nn.Sequential, nn.ModuleList)
_MODULES_BY_NAME = {cls.__name__: cls for cls in _MODULES}


class Unsendable(TypeError):
    """The value is not one that may cross; the message says what it is, for people."""


class Malformed(Exception):
    """The bytes are not a frame that this module wrote."""


class Reference:
    """Something that stays on its own side and is only pointed at: a kept object (a network or not), or a callback."""

    def __init__(self, kind: str, number: int, type_name: str = "", is_module: bool = False):
        self.kind, self.number, self.type_name, self.is_module = kind, number, type_name, is_module


def pack(value, refer=None) -> bytes:
    """Write a value as one frame.

    `refer(value)` is asked about everything that is not plain; it returns a `Reference`, or None to refuse.
    Raises `Unsendable` for a value that cannot cross, and for one of more than `MAX_BYTES`.
    """
    writer = _Writer(refer)
    header = json.dumps(writer.node(value, 0), separators=(",", ":")).encode()
    frame = b"".join([struct.pack("<I", len(header)), header, *writer.buffers])
    if len(frame) > MAX_BYTES:
        raise Unsendable(f"a value of {len(frame):,} bytes; at most {MAX_BYTES:,} can be sent")
    return frame


def unpack(frame: bytes, resolve=None, *, modules: bool = False):
    """Read one frame.

    `resolve(reference)` turns a `Reference` into what it stands for; without it, a reference is malformed. `modules`:
    whether networks may be built, which only the student's side does: a few bytes can ask for a network of any size.
    Raises `Malformed` for anything that `pack` does not write.
    """
    if len(frame) > MAX_BYTES or len(frame) < 4:
        raise Malformed(f"a frame of {len(frame):,} bytes")
    (size,) = struct.unpack_from("<I", frame)
    if size > MAX_HEADER:
        raise Malformed(f"a header of {size:,} bytes")
    try:
        header = json.loads(bytes(frame[4 : 4 + size]))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the header is not JSON: {error}") from None
    try:
        return _Reader(memoryview(frame)[4 + size :], resolve, modules).value(header, 0)
    except Malformed:
        raise
    except Exception as error:  # a header of the right shape and wrong content, whatever it is
        raise Malformed(f"{type(error).__name__}: {error}") from None


class _Writer:
    def __init__(self, refer):
        self.refer = refer
        self.buffers: list[bytes] = []
        self.bytes = self.nodes = self.offset = 0
        self.modules: dict[int, int] = {}  # a module that is in two places is sent once

    def node(self, value, depth):
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise Unsendable(f"a value nested deeper than {MAX_DEPTH} or of more than {MAX_NODES:,} parts")
        kind = type(value)
        if value is None or kind in (bool, str, float):
            return value
        if kind is int:
            if value.bit_length() > 64:
                raise Unsendable(f"an integer of {value.bit_length()} bits")
            return value
        if kind is list:
            return [self.node(item, depth + 1) for item in value]
        if kind in (tuple, torch.Size):
            return {"is": "tuple", "items": [self.node(item, depth + 1) for item in value]}
        if kind is dict or (isinstance(value, dict) and kind.__module__ == "collections"):
            pairs = [[self.node(k, depth + 1), self.node(v, depth + 1)] for k, v in value.items()]
            return {"is": "dict", "items": pairs}
        if kind in (torch.Tensor, nn.Parameter):
            return self.tensor(value)
        if kind is np.ndarray or isinstance(value, np.generic):
            return self.array(value)
        if isinstance(value, Reference):
            return {"is": value.kind, "number": value.number, "type": value.type_name, "module": value.is_module}
        reference = self.refer(value) if self.refer else None
        if reference is not None:
            return self.node(reference, depth)
        if kind in _MODULES:
            return self.module(value, depth)
        raise Unsendable(f"a value of type {kind.__module__}.{kind.__qualname__}")

    def tensor(self, value):
        dtype = str(value.dtype).removeprefix("torch.")
        if dtype not in _TORCH_DTYPES or value.layout is not torch.strided or value.device.type != "cpu":
            raise Unsendable(f"a tensor of dtype {dtype}, layout {value.layout}, on {value.device}")
        self.room(value.numel() * value.element_size(), tuple(value.shape))
        # A fresh tensor: of one element with an odd stride, `contiguous` would keep the stride and `view` refuse it.
        flat = torch.empty(value.numel(), dtype=value.dtype).copy_(value.detach().reshape(-1))
        raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        return {"is": "tensor", **self.buffer(dtype, value.shape, raw), "grad": value.requires_grad}

    def array(self, value):
        if value.dtype.name not in _NUMPY_DTYPES:
            raise Unsendable(f"a numpy value of dtype {value.dtype}")
        self.room(value.nbytes, value.shape)
        raw = np.ascontiguousarray(value, _NUMPY_DTYPES[value.dtype.name]).tobytes()
        return {
            "is": "array" if type(value) is np.ndarray else "scalar",
            **self.buffer(value.dtype.name, value.shape, raw),
        }

    def module(self, value, depth):
        if id(value) in self.modules:
            return {"is": "module again", "number": self.modules[id(value)]}
        kind = type(value)
        arguments = {name: getattr(value, name) for name in _MODULES[kind].split()}
        if "bias" in arguments:  # the argument says whether there is one, the attribute is what it is
            arguments["bias"] = value.bias is not None
        node = {"is": "module", "class": kind.__name__, "training": value.training}
        node["arguments"] = self.node(arguments, depth + 1)
        if kind in _CONTAINERS:
            node["children"] = [[name, self.node(child, depth + 1)] for name, child in value._modules.items()]
        else:
            node["state"] = self.node(value.state_dict(keep_vars=True), depth + 1)  # keeps who trains and who is frozen
        self.modules[id(value)] = len(self.modules)
        return node

    def buffer(self, dtype, shape, raw):
        self.buffers.append(raw)
        self.offset += len(raw)
        return {"dtype": dtype, "shape": [int(n) for n in shape], "at": self.offset - len(raw)}

    def room(self, extra, shape):
        self.bytes += extra
        if self.bytes > MAX_BYTES:
            raise Unsendable(f"values of {self.bytes:,} bytes and more (shape {tuple(shape)}); at most {MAX_BYTES:,}")


class _Reader:
    def __init__(self, buffers, resolve, modules):
        self.buffers, self.resolve, self.may_build = buffers, resolve, modules
        self.nodes = self.offset = 0
        self.modules: list[nn.Module] = []

    def value(self, node, depth):
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise Malformed("nested too deeply, or too many parts")
        if type(node) is int and node.bit_length() > 64:
            raise Malformed(f"an integer of {node.bit_length()} bits")
        if node is None or type(node) in (bool, str, int, float):
            return node
        if type(node) is list:
            return [self.value(item, depth + 1) for item in node]
        kind = node["is"]
        if kind == "tuple":
            return tuple(self.value(item, depth + 1) for item in node["items"])
        if kind == "dict":
            return {self.value(k, depth + 1): self.value(v, depth + 1) for k, v in node["items"]}
        if kind == "tensor":
            dtype = _TORCH_DTYPES[node["dtype"]]
            raw = self.raw(node, dtype.itemsize)
            tensor = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
            tensor = tensor.reshape(node["shape"])
            return tensor.requires_grad_() if node["grad"] is True and dtype.is_floating_point else tensor
        if kind in ("array", "scalar"):
            dtype = _NUMPY_DTYPES[node["dtype"]]
            array = np.frombuffer(self.raw(node, dtype.itemsize), dtype).reshape(node["shape"])
            array = array.astype(dtype.newbyteorder("="), copy=False)
            return array if kind == "array" else array[()]
        if kind == "module":
            return self.module(node, depth)
        if kind == "module again":
            return self.modules[node["number"]]
        if kind in ("handle", "callback") and self.resolve is not None:
            is_module = node["module"] is True
            return self.resolve(Reference(kind, int(node["number"]), str(node["type"])[:100], is_module))
        raise Malformed(f"a node of kind {kind!r}")

    def module(self, node, depth):
        if not self.may_build:
            raise Malformed("a module where only plain values are read")
        cls = _MODULES_BY_NAME[node["class"]]
        if cls in _CONTAINERS:
            module = cls()
            for name, child in node["children"]:
                module.add_module(name, self.value(child, depth + 1))
        else:
            module = cls(**self.value(node["arguments"], depth + 1))
            state = self.value(node["state"], depth + 1)
            module.load_state_dict(state, assign=True)  # assigned, not copied: a float64 network stays one
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(state[name].requires_grad)
        module.training = node["training"]  # not train(mode), which would set the layers inside as well
        self.modules.append(module)
        return module

    def raw(self, node, itemsize):
        shape, at = node["shape"], node["at"]
        if type(shape) is not list or any(type(n) is not int or n < 0 for n in shape) or len(shape) > MAX_DEPTH:
            raise Malformed(f"a shape of {shape!r:.80}")
        size = math.prod(shape) * itemsize
        if math.prod(max(n, 1) for n in shape) * itemsize > MAX_BYTES:  # an empty one may still have huge sides
            raise Malformed(f"a shape of {shape!r:.80}")
        if type(at) is not int or at != self.offset or at + size > len(self.buffers):  # in order, each byte once
            raise Malformed(f"a buffer of {size:,} bytes that is not there")
        self.offset += size
        return bytearray(self.buffers[at : at + size])
