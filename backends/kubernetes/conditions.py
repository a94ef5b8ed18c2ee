"""Whether a node condition is good or bad: types differ in which status is the fault, and no rule covers them all.

Sources: Kubernetes 1.36 (node status), node-problem-detector's default rules, AKS and EKS node health documentation, NVIDIA
NVSentinel (True is the fault in every condition it sets), OpenShift, k3s. A type that is in no table is undecidable.
"""

from __future__ import annotations

from fleet.node import Readiness

_TRUE_IS_GOOD = frozenset(
    {
        "Ready",
        # EKS node monitoring agent
        "AcceleratedHardwareReady",
        "ContainerRuntimeReady",
        "KernelReady",
        "NetworkingReady",
        "StorageReady",
        # k3s, CoreWeave
        "EtcdIsVoter",
        "CWActive",
    }
)
_TRUE_IS_BAD = frozenset(
    {
        "MemoryPressure",
        "DiskPressure",
        "PIDPressure",
        "NetworkUnavailable",
        "OutOfDisk",
        # node-problem-detector
        "KernelDeadlock",
        "ReadonlyFilesystem",
        "CorruptDockerOverlay2",
        "CperHardwareErrorFatal",
        "FrequentKubeletRestart",
        "FrequentDockerRestart",
        "FrequentContainerdRestart",
        "FrequentUnregisterNetDevice",
        "ContainerRuntimeUnhealthy",
        "KubeletUnhealthy",
        # AKS
        "ContainerRuntimeProblem",
        "FilesystemCorruptionProblem",
        "KubeletProblem",
        "VMEventScheduled",
        "RedeployScheduled",
        "RebootScheduled",
        "FreezeScheduled",
        "TerminateScheduled",
        "PreemptScheduled",
        "GPUMissing",
        "IBLinkFlapping",
        "NVLinkStatusInactive",
        "UnhealthyNvidiaDevicePlugin",
        "UnhealthyNvidiaDCGMServices",
        "XIDErrors",
        # Soperator
        "HardwareIssuesSuspected",
        # NVSentinel, besides Gpu...Watch and SysLogs...
        "GpuDcgmConnectivityFailure",
        "GpuDcgmUnresponsive",
        "GpuXidError",
        "CSPMaintenance",
    }
)


def is_bad(kind: str, status: str) -> bool | None:
    """Whether a condition of type `kind` is a fault; None where its type or its status does not tell.

    A Ready that is Unknown is a fault: the kubelet is not heard of.
    """
    good = _polarity(kind)
    if good is None:
        return None
    if status == good:
        return False
    if status in ("True", "False"):
        return True
    return True if kind == "Ready" and status == "Unknown" else None


def readiness_of(status: str | None) -> Readiness:
    """What the Ready condition says; None where there is no such condition."""
    if status == "True":
        return Readiness.READY
    return Readiness.NOT_READY if status == "False" else Readiness.UNKNOWN


def _polarity(kind: str) -> str | None:
    """The status that is good."""
    if kind in _TRUE_IS_GOOD:
        return "True"
    if kind in _TRUE_IS_BAD:
        return "False"
    watched = kind.startswith("Gpu") and kind.endswith("Watch")
    return "False" if watched or kind.startswith("SysLogs") else None
