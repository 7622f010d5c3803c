"""DeconvNet of lesson 06, small."""

from autograde.reference.deconvnet import DeconvNet
from benchmarks.protocol import Architecture, Task, arg_max
from seglab.networks import WIDTHS


def deconvnet(task: Task) -> DeconvNet:
    """The course's widths."""
    return DeconvNet(task.channels, len(task.classes), WIDTHS, dense_width=96, dense_kernel=2)


ARCHITECTURES = [Architecture("DeconvNet", deconvnet, arg_max)]
