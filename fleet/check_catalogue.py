"""Every check of the gate, declared: what it is about, where it is read, its default threshold and whose that is.

The defaults are those of fleets and makers that publish theirs; docs/health-gate.md shows this very table. What a default
dcgm-exporter exports is needed, and so is what every orchestrator tells; the rest counts where somebody exports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from fleet.category import HOT_CELSIUS, CheckPolicy
from fleet.clock_reasons import SLOWED
from fleet.diagnosis import DCGM_DIAG, NCCL, SITE
from fleet.health import Verdict

EVIDENCE = "evidence"
REPLAYS_LIMIT = 5.0
LEVELS: Mapping[int, tuple[str, timedelta]] = {
    1: ("seconds", timedelta(minutes=5)),
    2: ("about 2 min", timedelta(minutes=15)),
    3: ("about 15 min", timedelta(hours=1)),
    4: ("1 to 2 hours", timedelta(hours=4)),
}
"""By level of `dcgmi diag`: how long it takes (NVIDIA DCGM, "DCGM Diagnostics"), and after how long it is given up."""

_NODE = "the orchestrator"
_DCGM = "telemetry"
_RUN = "a run on the node"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check as it is documented, and its defaults.

    `reads` is where the value comes from; `wants` the threshold in words; `after` the source of that threshold. `limit` is its
    number, in `unit`, None where it has none. `severity` is what a bad value comes to, None where the value itself decides. An
    `active` check runs something on a closed node: it is made by a `CheckRunner`, and only where a category asks for it.
    """

    name: str
    about: str
    reads: str
    feed: str
    wants: str
    after: str
    clears: str
    needed: bool = False
    limit: float | None = None
    unit: str = ""
    severity: Verdict | None = Verdict.FAIL
    active: bool = False

    @property
    def takes_limit(self) -> bool:
        return bool(self.unit)


_OF_NODE = (
    CheckSpec(
        "ready",
        "the node's agent says that it can take work",
        "condition Ready; Slurm's state",
        _NODE,
        "ready",
        "Kubernetes, node status",
        "the agent reporting ready",
        needed=True,
        severity=None,
    ),
    CheckSpec(
        "conditions",
        "no condition says that something is wrong, whichever way round its type is",
        "node conditions (kubelet, node-problem-detector, NVSentinel, AKS, EKS, Soperator); Slurm's state and version",
        _NODE,
        "none bad; a type whose polarity nobody published is passed over",
        "the reporters' own documentation",
        "whoever set it taking it back",
        needed=True,
    ),
    CheckSpec(
        "gpus",
        "as many GPUs can be asked for as the node should have",
        "allocatable GPUs; Gres",
        _NODE,
        "`expected_gpus` of the category, else the node's capacity",
        "NVIDIA Health Validation; Azure `check_gpu_count`",
        "the device plugin advertising them all; a reset or a reboot for a GPU that is lost",
        needed=True,
    ),
    CheckSpec(
        "image",
        "the image that the node itself shows is the one wanted",
        "the configured label or feature, else driver or OS",
        _NODE,
        "the desired image",
        "ours",
        "a reimage",
        needed=True,
    ),
    CheckSpec(
        "driver",
        "the GPU driver is the category's",
        "`nvidia.com/cuda.driver-version.full`, else `DCGM_FI_DRIVER_VERSION`",
        _NODE,
        "`driver` of the category, where it declares one",
        "Azure, NICo baselines",
        "a reimage, or a driver upgrade",
        needed=True,
    ),
    CheckSpec(
        "cuda",
        "the CUDA runtime is the category's",
        "`nvidia.com/cuda.runtime-version.full`",
        _NODE,
        "`cuda` of the category, where it declares one",
        "Azure, NICo baselines",
        "a reimage",
        needed=True,
    ),
    CheckSpec(
        "gpu-operator",
        "the GPU Operator is done with the node and its validator has passed",
        "`nvidia.com/gpu-driver-upgrade-state`, `nvidia.com/gpu.deploy.*`, the nvidia-operator-validator pod",
        _NODE,
        "no upgrade under way or failed, the validator ready; said only where the GPU Operator is",
        "NVIDIA GPU Operator, upgrade states",
        "the upgrade ending, or the validator's pod becoming ready",
        needed=True,
    ),
    CheckSpec(
        "health-check",
        "Slurm's HealthCheckProgram holds nothing against the node",
        "the Reason of a closed node, by its beginning; HealthCheckProgram of the controller",
        _NODE,
        "no Reason of a health check; one from before this boot warns",
        "NHC, healthagent, Soperator, ParallelCluster",
        "the health check taking its Reason back",
        needed=True,
    ),
)

_OF_GPUS = (
    CheckSpec(
        "telemetry",
        "every GPU that the node should have reports, lately",
        "any series of each GPU",
        _DCGM,
        "all of them, within `telemetry_fresh`, and since the node became ready",
        "NVIDIA Health Validation: what can't be read is not accepted",
        "the exporter reporting every GPU",
        needed=True,
        severity=None,
    ),
    CheckSpec(
        "xid",
        "no GPU shows an XID that the site's rules forbid",
        "`DCGM_FI_DEV_XID_ERRORS`",
        _DCGM,
        "no FAIL of `[xid.severity]`; with a `window`, one known to be older only warns",
        "NVIDIA's catalogue; [xids](xids.md). Azure's window is 2 h, ours none",
        "what the code asks for; then a boot, or a reset and a restart of the exporter",
        needed=True,
        severity=None,
    ),
    CheckSpec(
        "temperature",
        "no GPU that does not tell its margin is too hot",
        "`DCGM_FI_DEV_GPU_TEMP`",
        _DCGM,
        f"below {HOT_CELSIUS:g} °C",
        "public alert rules (85 and 90 °C); healthagent warns at 93",
        "cooling, or less load",
        limit=HOT_CELSIUS,
        unit="°C",
        severity=Verdict.WARN,
    ),
    CheckSpec(
        "temp-margin",
        "no GPU is at the temperature at which it slows itself down",
        "NVML's margin; `DCGM_FI_DEV_GPU_TEMP_LIMIT`",
        _DCGM,
        "above 0 °C left",
        "NVSentinel GpuThermalMarginWatch",
        "cooling, or less load",
        limit=0.0,
        unit="°C left",
    ),
    CheckSpec(
        "clock-events",
        "no GPU slows down for heat, power brake or hardware",
        "`DCGM_FI_DEV_CLOCKS_EVENT_REASONS`",
        _DCGM,
        f"no bit of 0x{SLOWED:X} (HW slowdown, SW thermal, HW thermal, power brake)",
        "healthagent, gpud; DCGM dcgm_fields.h",
        "cooling and power as they should be",
        limit=float(SLOWED),
        unit="mask of bits",
    ),
    CheckSpec(
        "ecc-dbe",
        "no memory error that could not be corrected since the driver was loaded",
        "`DCGM_FI_DEV_ECC_DBE_VOL_TOTAL`",
        _DCGM,
        "at most 0",
        "healthagent, NVSentinel",
        "a GPU reset, or a boot",
        limit=0.0,
        unit="errors",
    ),
    CheckSpec(
        "ecc-sbe",
        "not too many corrected memory errors since the driver was loaded",
        "`DCGM_FI_DEV_ECC_SBE_VOL_TOTAL`",
        _DCGM,
        "at most 20,000,000",
        "Azure `check_gpu_ecc`; Meta says 50,000,000; NVIDIA names none, so it warns",
        "a GPU reset or a boot; a GPU that comes back to it wants replacing",
        limit=20_000_000.0,
        unit="errors",
        severity=Verdict.WARN,
    ),
    CheckSpec(
        "row-remap",
        "no GPU has failed to remap a row of its memory",
        "`DCGM_FI_DEV_ROW_REMAP_FAILURE`",
        _DCGM,
        "none failed",
        "healthagent, Azure, gpud, NVSentinel (contact support)",
        "replacing the GPU",
    ),
    CheckSpec(
        "row-remap-pending",
        "no GPU waits for a reset to remap a row",
        "`DCGM_FI_DEV_ROW_REMAP_PENDING`",
        _DCGM,
        "none pending",
        "Azure, gpud, NVSentinel (component reset)",
        "a GPU reset, or a boot",
    ),
    CheckSpec(
        "remapped-rows",
        "no GPU has remapped too many rows for errors that could not be corrected",
        "`DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS`",
        _DCGM,
        "at most 512",
        "Azure `azure_gpu_ecc`",
        "replacing the GPU",
        limit=512.0,
        unit="rows",
    ),
    CheckSpec(
        "retired-pages",
        "no page of memory waits to be retired (before Ampere)",
        "`DCGM_FI_DEV_RETIRED_PENDING`",
        _DCGM,
        "at most 0",
        "healthagent warns",
        "a GPU reset, or a boot",
        limit=0.0,
        unit="pages",
        severity=Verdict.WARN,
    ),
    CheckSpec(
        "nvlink",
        "no NVLink is down, and as many are up as the category says",
        "NVML's link states; DCGM's link fields",
        _DCGM,
        "none down; with a limit, so many up on each GPU (18 on H100 and GB200)",
        "NVIDIA Health Validation, Azure `check_nvlink_status`",
        "a GPU reset, the fabric manager restarted, or the baseboard seated",
        unit="links up on each GPU",
    ),
    CheckSpec(
        "nvlink-errors",
        "no NVLink has had CRC, replay or recovery errors",
        "`DCGM_FI_DEV_NVLINK_*_ERROR_COUNT_TOTAL`",
        _DCGM,
        "at most 0",
        "Meta GCM; DCGM takes no action by itself, so it warns",
        "a GPU reset or a boot; errors that come back want the link looked at",
        limit=0.0,
        unit="errors",
        severity=Verdict.WARN,
    ),
    CheckSpec(
        "pcie-width",
        "every GPU has all its PCIe lanes",
        "`DCGM_FI_DEV_PCIE_LINK_WIDTH`",
        _DCGM,
        "the limit, else the most that GPU and slot can do, else 16",
        "DCGM_FR_PCIE_WIDTH (contact support)",
        "seating the GPU or its riser",
        unit="lanes",
    ),
    CheckSpec(
        "pcie-gen",
        "every GPU is linked at the PCIe generation of the category",
        "`DCGM_FI_DEV_PCIE_LINK_GEN`",
        _DCGM,
        "the limit; without one not judged, for an idle link slows down to save power",
        "DCGM_FR_PCIE_GENERATION (contact support)",
        "seating the GPU or its riser",
        unit="generation",
    ),
    CheckSpec(
        "pcie-replays",
        "no GPU's PCIe link sends again much lately",
        "`DCGM_FI_DEV_PCIE_REPLAY_COUNTER`",
        _DCGM,
        f"at most {REPLAYS_LIMIT:g} in 30 min; a source without a past passes a counter of so many, and more is unknown",
        "public alert rules: more than 5 in 30 minutes",
        "seating the GPU or its riser, then a boot",
        limit=REPLAYS_LIMIT,
        unit="replays in 30 min",
        severity=Verdict.WARN,
    ),
    CheckSpec(
        "recovery-action",
        "no GPU asks to be reset, or for its node to be rebooted",
        "NVML's GPU recovery action; DCGM field 1523",
        _DCGM,
        "0; 1 (reset), 2 (reboot) and 4 (drain and reset) fail, 3 (drain peer to peer) warns",
        "NVIDIA NVML; healthagent, NVSentinel",
        "what it asks for",
        severity=None,
    ),
    CheckSpec(
        "persistence",
        "the driver stays loaded while nothing runs",
        "`DCGM_FI_DEV_PERSISTENCE_MODE`, NVML",
        _DCGM,
        "on",
        "healthagent, gpud",
        "nvidia-persistenced, or nvidia-smi -pm 1",
    ),
    CheckSpec(
        "vbios",
        "every GPU's VBIOS is the category's",
        "`DCGM_FI_DEV_VBIOS_VERSION` as a label, NVML",
        _DCGM,
        "`vbios` of the category, where it declares one",
        "Azure `azure_gpu_vbios`",
        "a firmware update",
        needed=True,
    ),
)

_ON_NODE = (
    CheckSpec(
        DCGM_DIAG,
        "NVIDIA's own diagnostic finds nothing wrong with any GPU",
        "`dcgmi diag -r LEVEL -j`, run on the node",
        _RUN,
        "every test that is run passes, on every GPU that the node should have",
        "NVIDIA DCGM; level 2 as NVSentinel and healthagent",
        "what DCGM asks for, then a run that passes",
        needed=True,
        severity=None,
        active=True,
    ),
    CheckSpec(
        NCCL,
        "the GPUs of the node reach the bandwidth of their model together",
        "`all_reduce_perf`, 8 to 16 GiB over every GPU, run on the node",
        _RUN,
        "8 GPUs: H100 460, H200 431, A100 228, H100 PCIe 35 GB/s; others by the limit; no wrong result",
        "Azure `check_nccl_allreduce`",
        "finding the slow GPU, link or setting, then a run that reaches it",
        needed=True,
        unit="GB/s",
        severity=None,
        active=True,
    ),
)

CATALOGUE: Mapping[str, CheckSpec] = {spec.name: spec for spec in (*_OF_NODE, *_OF_GPUS, *_ON_NODE)}
"""Every check by its name, in the order they are made; `evidence` is asked for by a fault and stands apart."""


def default_policy(check: str) -> CheckPolicy:
    """How a check is read where no category says anything of it. One of another kind (a site's command) is needed."""
    spec = CATALOGUE.get(check)
    return CheckPolicy() if spec is None else CheckPolicy(enabled=not spec.active, needed=spec.needed)


def table() -> str:
    """The checks as docs/health-gate.md has them, in Markdown."""
    lines = [
        "| check | what | read from | default threshold | whose threshold | needed | bad is | what would clear it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for spec in CATALOGUE.values():
        bad = "by the value" if spec.severity is None else spec.severity.value
        needed = "where enabled" if spec.active else "yes" if spec.needed else "where exported"
        cells = (f"`{spec.name}`", spec.about, spec.reads, spec.wants, spec.after, needed, bad, spec.clears)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def is_active(check: str) -> bool:
    """Whether a check of that name runs something on the node."""
    spec = CATALOGUE.get(check)
    return check.startswith(SITE) if spec is None else spec.active
