"""What can be wrong with a simulated node, as values. `world` makes them so; `control_routes` takes them over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FaultKind(Enum):
    """The faults that can be injected, by the name requests use."""

    XID = "xid"  # a GPU reports an XID; 79 also takes the GPU off the bus
    ECC = "ecc"  # a double-bit error: XID 48 and a remapped row
    ROW_REMAP = "row_remap"  # a row that could not be remapped: XID 64
    HOT_GPU = "hot_gpu"
    EXPORTER_GONE = "exporter_gone"
    DEVICE_PLUGIN_GONE = "device_plugin_gone"
    UNREACHABLE = "unreachable"  # the kubelet is silent; what runs there goes on running, unseen
    BOOT_HANGS = "boot_hangs"
    BUDGET_BLOCKS = "budget_blocks"  # budgets that allow nothing over the pods of the node
    TOO_FEW_GPUS = "too_few_gpus"  # a GPU that the machine does not find, and no XID
    GPU_HANGS = "gpu_hangs"  # what begins on the GPU never ends, and nothing tells of it


_OF_ONE_GPU = frozenset(
    {
        FaultKind.XID,
        FaultKind.ECC,
        FaultKind.ROW_REMAP,
        FaultKind.HOT_GPU,
        FaultKind.TOO_FEW_GPUS,
        FaultKind.GPU_HANGS,
    }
)
_ENDS_WITH_A_BOOT = frozenset({FaultKind.XID, FaultKind.ECC, FaultKind.GPU_HANGS})
_CODES = {FaultKind.ECC: 48, FaultKind.ROW_REMAP: 64}
_FALLEN_OFF_THE_BUS = 79
_MOST_CODE = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one node. `gpu` is an index on the node, None for faults of the node itself.

    `code` is the XID reported, 0 for none. `survives_boot` says whether a reimaged or rebooted machine still has it.
    """

    kind: FaultKind
    node: str
    gpu: int | None = None
    code: int = 0
    survives_boot: bool = True

    @property
    def takes_gpu(self) -> bool:
        """Whether the GPU is gone from the node."""
        return self.kind is FaultKind.TOO_FEW_GPUS or self.code == _FALLEN_OFF_THE_BUS


def fault(
    kind: FaultKind,
    node: str,
    *,
    gpu: int | None = None,
    code: int | None = None,
    survives_boot: bool | None = None,
) -> Fault:
    """A fault with what it leaves open filled in: GPU 0, XID 79, and whether a boot clears such a thing.

    Raises ValueError where a GPU or a code is given that this kind has no use for, or is out of range.
    """
    if kind in _OF_ONE_GPU:
        gpu = 0 if gpu is None else gpu
    elif gpu is not None:
        raise ValueError(f"{kind.value} is a fault of the whole node and takes no gpu")
    if kind is FaultKind.XID:
        code = _FALLEN_OFF_THE_BUS if code is None else code
        if not 0 < code < _MOST_CODE:
            raise ValueError(f"code must be an XID from 1 to {_MOST_CODE - 1}, not {code}")
    elif code is not None:
        raise ValueError(f"{kind.value} takes no code")
    survives = kind not in _ENDS_WITH_A_BOOT if survives_boot is None else survives_boot
    return Fault(kind, node, gpu, code or _CODES.get(kind, 0), survives)
