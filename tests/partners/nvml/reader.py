"""What NVIDIA's own Python bindings (nvidia-ml-py) read of the library that the loader finds, as the metrics of the page
gpu: a line with anything on the standard input asks, a line of JSON answers.

It knows nothing of the agent but the names and units in METRICS.md. What the library refuses is left out.
"""
from __future__ import annotations

import json
import sys

import psutil
import pynvml as nvml

REASONS = {
    "idle": nvml.nvmlClocksEventReasonGpuIdle,
    "clock_setting": nvml.nvmlClocksEventReasonApplicationsClocksSetting,
    "power_cap": nvml.nvmlClocksEventReasonSwPowerCap,
    "hardware_slowdown": nvml.nvmlClocksEventReasonHwSlowdown,
    "sync_boost": nvml.nvmlClocksEventReasonSyncBoost,
    "software_thermal": nvml.nvmlClocksEventReasonSwThermalSlowdown,
    "hardware_thermal": nvml.nvmlClocksEventReasonHwThermalSlowdown,
    "power_brake": nvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
    "display_clock_setting": nvml.nvmlClocksEventReasonDisplayClockSetting,
}


class Reader:
    def __init__(self):
        nvml.nvmlInit()
        self.series: list = []
        self.xids: dict[tuple[str, str], int] = {}
        self.events = nvml.nvmlEventSetCreate()
        for index in range(nvml.nvmlDeviceGetCount()):
            card = nvml.nvmlDeviceGetHandleByIndex(index)
            if nvml.nvmlDeviceGetSupportedEventTypes(card) & nvml.nvmlEventTypeXidCriticalError:
                nvml.nvmlDeviceRegisterEvents(card, nvml.nvmlEventTypeXidCriticalError, self.events)

    def put(self, metric: str, gpu: int, read, /, **labels: str) -> None:
        """Adds a reading, unless it is refused."""
        try:
            value = read()
        except nvml.NVMLError:
            return
        self.series.append([f"neural_gpu_{metric}", {"gpu": str(gpu), **labels}, value])

    def take_xids(self) -> None:
        while True:
            try:
                event = nvml.nvmlEventSetWait_v2(self.events, 0)
            except nvml.NVMLError:
                return
            key = (nvml.nvmlDeviceGetUUID(event.device), str(event.eventData))
            self.xids[key] = self.xids.get(key, 0) + 1

    def processes(self, card) -> dict[str, int]:
        held = {}
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(card) + nvml.nvmlDeviceGetGraphicsRunningProcesses(card):
            if process.usedGpuMemory is not None:
                held[process.pid] = process.usedGpuMemory
        names: dict[str, int] = {}
        for pid, bytes_ in held.items():
            try:
                name = psutil.Process(pid).name()
            except psutil.NoSuchProcess:
                name = nvml.nvmlSystemGetProcessName(pid).rsplit("/", 1)[-1]
            names[name] = names.get(name, 0) + bytes_
        return names

    def card(self, gpu: int) -> None:
        try:
            card = nvml.nvmlDeviceGetHandleByIndex(gpu)
            uuid = nvml.nvmlDeviceGetUUID(card)
        except nvml.NVMLError_GpuIsLost:
            return
        driver = f"nvidia {nvml.nvmlSystemGetDriverVersion()}"
        self.put("info", gpu, lambda: 1, name=nvml.nvmlDeviceGetName(card), uuid=uuid, driver=driver)
        self.put("awake", gpu, lambda: 1)
        self.put("utilization_ratio", gpu, lambda: nvml.nvmlDeviceGetUtilizationRates(card).gpu / 100)
        self.put("memory_controller_utilization_ratio", gpu, lambda: nvml.nvmlDeviceGetUtilizationRates(card).memory / 100)
        self.put("encoder_utilization_ratio", gpu, lambda: nvml.nvmlDeviceGetEncoderUtilization(card)[0] / 100)
        self.put("decoder_utilization_ratio", gpu, lambda: nvml.nvmlDeviceGetDecoderUtilization(card)[0] / 100)
        self.put("memory_size_bytes", gpu, lambda: nvml.nvmlDeviceGetMemoryInfo(card, nvml.nvmlMemory_v2).total)
        self.put("memory_used_bytes", gpu, lambda: nvml.nvmlDeviceGetMemoryInfo(card, nvml.nvmlMemory_v2).used)
        self.put("temperature_celsius", gpu, lambda: nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU), sensor="core")
        self.put("power_watts", gpu, lambda: nvml.nvmlDeviceGetPowerUsage(card) / 1000)
        self.put("power_limit_watts", gpu, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000)
        self.put("energy_joules_total", gpu, lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1000)
        for clock, which in (("sm", nvml.NVML_CLOCK_SM), ("memory", nvml.NVML_CLOCK_MEM)):
            self.put("clock_hertz", gpu, lambda: nvml.nvmlDeviceGetClockInfo(card, which) * 1_000_000, clock=clock)
        try:
            fans = nvml.nvmlDeviceGetNumFans(card)
        except nvml.NVMLError:
            fans = 0
        for fan in range(fans):
            self.put("fan_speed_ratio", gpu, lambda: nvml.nvmlDeviceGetFanSpeed_v2(card, fan) / 100, fan=str(fan))
        for reason, bit in REASONS.items():
            self.put("throttled", gpu, lambda: int(bool(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card) & bit)), reason=reason)
        for severity, kind in (("corrected", nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED), ("uncorrected", nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)):
            self.put("memory_errors_total", gpu, lambda: nvml.nvmlDeviceGetTotalEccErrors(card, kind, nvml.NVML_VOLATILE_ECC), severity=severity)
        # In kilobytes, as NVIDIA says, of a thousand bytes as we take it.
        self.put("pcie_received_bytes_per_second", gpu, lambda: nvml.nvmlDeviceGetPcieThroughput(card, nvml.NVML_PCIE_UTIL_RX_BYTES) * 1000)
        self.put("pcie_transmitted_bytes_per_second", gpu, lambda: nvml.nvmlDeviceGetPcieThroughput(card, nvml.NVML_PCIE_UTIL_TX_BYTES) * 1000)
        for name, held in self.processes(card).items():
            self.put("process_memory_bytes", gpu, lambda: held, process=name)
        for (whose, xid), errors in self.xids.items():
            if whose == uuid:
                self.put("xid_errors_total", gpu, lambda: errors, xid=xid)

    def read(self) -> list:
        self.series = []
        self.take_xids()
        for gpu in range(nvml.nvmlDeviceGetCount()):
            self.card(gpu)
        return self.series


def main() -> None:
    reader = Reader()
    for _ in sys.stdin:
        print(json.dumps(reader.read()), flush=True)


if __name__ == "__main__":
    main()
