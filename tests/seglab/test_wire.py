"""Values on the wire: what goes in comes out, exact types only, and no bytes of any kind do harm."""

import json
import struct
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from seglab.bridge import wire
from seglab.bridge.student import Missing, StudentError, local_student
from seglab.bridge.wire import Malformed, Unsendable, pack, unpack
from seglab.checking.compare import Mismatch, assert_same

PLAIN = [
    None,
    True,
    False,
    0,
    -7,
    2**63 - 1,
    0.1,
    float("inf"),
    "",
    "текст \u0000",
    [],
    [1, [2.5, None]],
    (1, (2,)),
    {},
    {"a": [1], 3: (4,)},
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_come_back_the_same(value):
    back = unpack(pack(value))
    assert back == value
    assert type(back) is type(value)


def test_nan_comes_back():
    back = unpack(pack([float("nan")]))
    assert back[0] != back[0]


@pytest.mark.parametrize("dtype", wire._TORCH_DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)], ids=str)
def test_tensors_come_back_the_same(dtype, shape):
    tensor = (torch.arange(24).float() - 5)[: int(np.prod(shape))].reshape(shape).to(dtype)
    back = unpack(pack(tensor))
    assert back.dtype == dtype and back.shape == tensor.shape and torch.equal(back, tensor)


@pytest.mark.parametrize("dtype", wire._NUMPY_DTYPES)
def test_arrays_and_numpy_scalars_come_back_the_same(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    back = unpack(pack(array))
    assert back.dtype == array.dtype and np.array_equal(back, array)
    scalar = unpack(pack(array[1, 2]))
    assert type(scalar) is type(array[1, 2]) and scalar == array[1, 2]


def test_views_and_gradients():
    tensor = torch.arange(12.0).reshape(3, 4).T[::2]
    assert torch.equal(unpack(pack(tensor)), tensor)
    one_with_a_stride = torch.ones(1, 4)[:, 0]
    assert torch.equal(unpack(pack(one_with_a_stride)), one_with_a_stride)
    assert unpack(pack(torch.ones(2, requires_grad=True))).requires_grad
    assert not unpack(pack(torch.ones(2))).requires_grad


def test_what_arrives_is_a_copy():
    tensor = torch.zeros(3)
    unpack(pack(tensor)).fill_(1)
    assert tensor.sum() == 0


def across(module):
    """The module as the student's side builds it again."""
    return unpack(pack(module), modules=True)


def assert_same_network(got, expected):
    """The same modules by the same names: class, arguments, mode, weights, statistics, and what is frozen."""
    named, wanted = (
        dict(got.named_modules(remove_duplicate=False)),
        dict(expected.named_modules(remove_duplicate=False)),
    )
    assert list(named) == list(wanted)
    for name, module in wanted.items():
        assert type(named[name]) is type(module) and repr(named[name]) == repr(module), name
        assert named[name].training == module.training, name
    state = got.state_dict()
    assert list(state) == list(expected.state_dict())
    for name, value in expected.state_dict().items():
        assert state[name].dtype == value.dtype and torch.equal(state[name], value), name
    frozen = {name: one.requires_grad for name, one in expected.named_parameters()}
    assert {name: one.requires_grad for name, one in got.named_parameters()} == frozen


# Arguments that are not the usual ones; what goes in, and which size comes out.
MODULES = {
    "convolution": (nn.Conv2d(4, 6, (3, 2), 2, 1, dilation=2, groups=2, bias=False), (2, 4, 9, 8)),
    "convolution that wraps": (nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), (1, 1, 5, 6)),
    "convolution of the same size": (nn.Conv2d(1, 2, 3, padding="same"), (1, 1, 5, 6)),
    "transposed convolution": (nn.ConvTranspose2d(4, 6, (3, 4), 3, 1, output_padding=2, groups=2), (2, 4, 5, 7)),
    "dilated transposed convolution": (nn.ConvTranspose2d(2, 3, 3, 2, dilation=2, bias=False), (2, 2, 4, 5)),
    "dense": (nn.Linear(3, 2, bias=False), (4, 3)),
    "batch norm": (nn.BatchNorm2d(3, eps=0.1, momentum=0.5), (2, 3, 4, 5)),
    "batch norm of vectors": (nn.BatchNorm1d(3, affine=False), (4, 3)),
    "batch norm without statistics": (nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 4, 5)),
    "max-pooling": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 9)),
    "max-pooling with switches": (nn.MaxPool2d(2, return_indices=True), (2, 3, 5, 7)),
    "average pooling": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 3, 8, 9)),
    "average pooling with a divisor": (nn.AvgPool2d(2, divisor_override=3), (2, 3, 8, 9)),
    "adaptive pooling": (nn.AdaptiveAvgPool2d((1, None)), (2, 3, 8, 9)),
    "enlarging by a factor": (nn.Upsample(scale_factor=(2.0, 3.0), mode="bilinear", align_corners=True), (1, 2, 3, 4)),
    "enlarging to a size": (nn.Upsample(size=(7, 9)), (1, 2, 3, 4)),
    "flatten": (nn.Flatten(2), (2, 3, 4, 5)),
    "dropout": (nn.Dropout(0.3), (2, 3)),
    "dropout of maps": (nn.Dropout2d(0.3, inplace=True), (2, 3, 4, 4)),
    "ReLU in place": (nn.ReLU(inplace=True), (2, 3)),
    "ReLU6": (nn.ReLU6(), (2, 3)),
    "tanh": (nn.Tanh(), (2, 3)),
    "sigmoid": (nn.Sigmoid(), (2, 3)),
    "softmax": (nn.Softmax(1), (2, 3)),
    "identity": (nn.Identity(), (2, 3)),
}


@pytest.mark.parametrize("name", MODULES)
def test_every_kind_of_layer_comes_back_and_computes_the_same(name):
    module, shape = MODULES[name]
    for mode in (True, False):
        module.train(mode)
        back = across(module)
        assert_same_network(back, module)
        torch.manual_seed(1)
        x = torch.randn(shape)
        got, expected = [], []
        for one, results in ((back, got), (module, expected)):
            torch.manual_seed(2)  # for dropout
            results.append(one(x.clone()))
        assert_same(got, expected)
    assert_same_network(across(module), module)  # with the statistics that the run has left


def test_every_module_of_the_table_is_tried():
    tried = {type(module) for module, _ in MODULES.values()}
    assert tried | {nn.MaxUnpool2d, nn.Sequential, nn.ModuleList} == set(wire._MODULES)


def test_unpooling_puts_values_back_through_the_switches_that_crossed():
    x = torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    pool, unpool = nn.MaxPool2d((3, 2), 2, return_indices=True), nn.MaxUnpool2d((3, 2), 2, (0, 0))
    assert_same_network(across(unpool), unpool)
    values, switches = unpack(pack(pool(x)))
    assert_same(across(unpool)(values, switches, x.shape), unpool(*pool(x), x.shape))


def test_containers_keep_names_order_depth_and_modes():
    stages = nn.ModuleList([nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), nn.ModuleList([nn.MaxPool2d(2)])])
    net = nn.Sequential()
    net.add_module("encoder", stages)
    net.add_module("empty", nn.Sequential())
    net.add_module("head", nn.Sequential(nn.Dropout(), nn.ConvTranspose2d(2, 1, 2, 2)).eval())
    net.encoder[0][1].eval()
    net.encoder[0][0].weight.requires_grad_(False)
    assert_same_network(across(net), net)
    assert_same_network(across(net.eval().double()), net)
    assert isinstance(across(nn.ModuleList()), nn.ModuleList)


def test_one_layer_in_two_places_stays_one():
    shared = nn.Conv2d(2, 2, 1)
    net = nn.Sequential(shared, nn.ReLU(), nn.Sequential(shared))
    back = across(net)
    assert_same_network(back, net)
    assert back[0] is back[2][0] and len(list(back.parameters())) == 2


def test_a_module_of_somebodys_own_is_refused():
    class Own(nn.Sequential):
        pass

    for module in (Own(), nn.Sequential(Own()), nn.ModuleList([nn.LSTM(1, 1)])):
        with pytest.raises(Unsendable, match=r"Own|LSTM"):
            pack(module)


def test_networks_arrive_in_the_students_process():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.Flatten(), nn.Linear(64, 5)).eval()
    x = torch.rand(2, 3, 8, 8)
    student = local_student({"run": lambda module, value: module(value), "mode": lambda module: module.training})
    assert_same(student.run(net, x), net(x))
    assert student.mode(net) is False


class Liar(torch.Tensor):
    def __eq__(self, other):
        return True


class LyingList(list):
    def __eq__(self, other):
        return True


@pytest.mark.parametrize(
    "value",
    [
        Liar(),
        LyingList(),
        object(),
        {1, 2},
        b"bytes",
        1j,
        torch.zeros(2, dtype=torch.complex64),
        np.array(["text"]),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(1).expand(2**28),
        torch.empty(2, device="meta"),
        2**200,
        iter([1]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_everything_else_is_refused(value):
    with pytest.raises(Unsendable):
        pack(value)


def test_self_containing_and_deep_values_are_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(Unsendable):
        pack(loop)


def test_ordered_dicts_count_as_dicts():
    assert unpack(pack(OrderedDict(a=1))) == {"a": 1}


def frame(header, buffers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + buffers


TENSOR = {"is": "tensor", "dtype": "float32", "shape": [2], "at": 0, "grad": False}
BAD_FRAMES = {
    "empty": b"",
    "short": b"\x01\x00",
    "length beyond the end": struct.pack("<I", 10**6) + b"{}",
    "not json": frame(b"{{{"),
    "deep json": frame(b"[" * 100_000),
    "unknown kind": frame({"is": "code"}),
    "no kind": frame({}),
    "pickle": frame({"is": "pickle", "data": "gASVBQ=="}),
    "huge int": frame(b"9" * 10_000),
    "buffer missing": frame(TENSOR),
    "buffer too short": frame(TENSOR, b"1234567"),
    "negative shape": frame(TENSOR | {"shape": [-2]}, b"12345678"),
    "huge shape": frame(TENSOR | {"shape": [2**40, 2**40]}, b"12345678"),
    "shape no list": frame(TENSOR | {"shape": "2"}, b"12345678"),
    "offset negative": frame(TENSOR | {"at": -8}, b"12345678"),
    "offset no int": frame(TENSOR | {"at": 0.5}, b"12345678"),
    "unknown dtype": frame(TENSOR | {"dtype": "object"}, b"12345678"),
    "array of objects": frame({"is": "array", "dtype": "object", "shape": [1], "at": 0}, b"12345678"),
    "handle unasked": frame({"is": "handle", "number": 0, "type": "x", "module": True}),
    "callback unasked": frame({"is": "callback", "number": 0, "type": "x"}),
    "module unasked": frame({"is": "module", "class": "Linear", "arguments": {}, "training": True}),
    "two tensors in one buffer": frame([TENSOR, TENSOR], b"12345678"),
    "empty with a huge side": frame(TENSOR | {"shape": [2**40, 0]}),
    "module that was never sent": frame({"is": "module again", "number": 0}),
    "network in a reply": frame(
        {"is": "module", "class": "ReLU", "arguments": {"is": "dict", "items": []}, "training": True}
    ),
    "integer of 65 bits": frame(2**64),
    "huge header": frame(b" " * (wire.MAX_HEADER + 1)),
    "unhashable key": frame({"is": "dict", "items": [[[1], 2]]}),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frames_are_malformed_and_nothing_else(name):
    with pytest.raises(Malformed):
        unpack(BAD_FRAMES[name])


def test_random_bytes_never_do_anything_but_fail():
    rng = np.random.default_rng(0)
    good = bytearray(pack({"a": torch.arange(6.0), "b": [1, (2.5, "x")]}))
    for _ in range(3000):
        damaged = bytearray(good)
        for position in rng.integers(0, len(damaged), rng.integers(1, 6)):
            damaged[position] = rng.integers(0, 256)
        try:
            unpack(bytes(damaged))
        except Malformed:
            continue


def test_too_large_a_frame_is_refused_on_both_sides(monkeypatch):
    monkeypatch.setattr(wire, "MAX_BYTES", 1000)
    with pytest.raises(Unsendable):
        pack(torch.zeros(1000))
    with pytest.raises(Malformed):
        unpack(b"\x00" * 2000)


def test_callbacks_run_on_the_side_of_the_test():
    seen = []
    student = local_student({"apply": lambda function, x: function(x) + 1})
    assert_same(student.apply(lambda x: seen.append(tuple(x.shape)) or x * 2, torch.ones(3)), torch.full((3,), 3.0))
    assert seen == [(3,)]


def test_handles_stay_where_they_are():
    student = local_student({"make": lambda: nn.Linear(3, 2), "view": lambda x: x[1:]})
    layer = student.make()
    assert layer.call("state_dict")["weight"].shape == (2, 3)
    tensor = student.keep(torch.zeros(4))
    view = student.view.kept(tensor)
    tensor.call("fill_", 7.0, keep=True)
    assert_same(view.value(), torch.full((3,), 7.0))


def test_a_network_stays_behind_a_handle_and_can_be_asked():
    def build(inputs, outputs):
        return nn.Sequential(nn.Linear(inputs, 4), nn.ReLU(), nn.Linear(4, outputs, bias=False))

    student = local_student({"build": build})
    net = student.build.module(3, 2)
    weights = net.parameters()
    assert {name: tuple(w.shape) for name, w in weights.items()} == {
        "0.weight": (4, 3),
        "0.bias": (4,),
        "2.weight": (2, 4),
    }
    assert all(w.requires_grad for w in weights.values())
    assert_same(net.get("0.weight").detach(), weights["0.weight"].detach())

    mine = build(3, 2)
    mine.load_state_dict({name: w.detach() for name, w in weights.items()})
    x, grad = torch.rand(5, 3), torch.rand(5, 2)
    assert_same(net(x).detach(), mine(x).detach())
    for _ in range(2):  # gradients do not add up
        gradients = net.gradients(x, grad)
    mine(x).backward(grad)
    for name, parameter in mine.named_parameters():
        assert_same(gradients[name], parameter.grad)
    kept = net.get("0.weight", keep=True)
    kept.get("data", keep=True).call("zero_", keep=True)
    assert not net.get("0.weight").any()


def test_an_optimizer_changes_the_network_that_is_kept():
    def descend(net, optimizer, x):
        for _ in range(3):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()

    x, mine = torch.rand(5, 2), nn.Linear(2, 1)
    student = local_student({"descend": descend})
    net = student.keep(mine)
    student.descend(net, net.optimizer(lr=0.01, momentum=0.9), x)
    descend(mine, torch.optim.SGD(mine.parameters(), lr=0.01, momentum=0.9), x)
    assert_same(net.call("state_dict"), dict(mine.state_dict()))


def test_every_layer_of_a_network_keeps_its_own_mode():
    net = nn.Sequential(nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2).eval()), nn.ReLU().eval()).eval()
    net[0].training = True
    back = unpack(pack(net), modules=True)
    assert [one.training for one in back.modules()] == [one.training for one in net.modules()]


@pytest.mark.parametrize("answer", [None, torch.zeros(2), len, [nn.ReLU()]], ids=["None", "tensor", "function", "list"])
def test_what_is_no_network_is_refused_as_one(answer):
    with pytest.raises((Mismatch, StudentError), match=r"nn.Module|Unsendable"):
        local_student({"build": lambda: answer}).build.module()


def test_a_weight_without_use_has_no_gradient_and_a_frozen_one_neither():
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.frozen = nn.Linear(2, 1, bias=False), nn.Linear(1, 1), nn.Linear(2, 1)
            self.frozen.requires_grad_(False)

        def forward(self, x):
            return self.used(x) + self.frozen(x)

    net = local_student({"build": Partly}).build.module()
    got = net.gradients(torch.ones(1, 2), torch.ones(1, 1))
    assert_same(got.pop("used.weight"), torch.ones(1, 2))
    assert list(got.values()) == [None] * 4


def test_errors_of_the_student_arrive_as_such():
    def exits():
        raise SystemExit(0)

    class Rude(Exception):
        def __str__(self):
            raise RuntimeError

    def rude():
        raise Rude

    student = local_student({"exits": exits, "rude": rude, "odd": lambda: object()})
    with pytest.raises(StudentError) as caught:
        student.exits()
    assert caught.value.types[0] == "SystemExit"
    for name in ("rude", "odd"):
        with pytest.raises(StudentError):
            getattr(student, name)()
    with pytest.raises(Missing):
        student.nothing()


def test_a_reply_of_another_shape_is_an_error_of_the_student():
    from seglab.bridge.student import Student

    replies = [
        pack([1]),
        pack({}),
        pack({"value": 1, "error": 2}),
        pack({"error": 3}),
        b"",
        pack({"error": {"types": []}}),
    ]
    for reply in replies:
        with pytest.raises(StudentError):
            Student(lambda frame, ask, reply=reply: reply).anything()
