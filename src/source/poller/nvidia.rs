//! Graphics processors of NVIDIA, through the library that comes with their driver (NVML).
//!
//! The library is opened once, when it is there, and nothing is linked. What a card does not
//! support is absent. No setting of a card is ever changed.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::event::EventSet;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use parking_lot::Mutex;

use super::linux::slurp;
use crate::event::Gpu;

/// Process names that are reported for one card.
const PROCESSES: usize = 16;
/// Different errors that are reported for one card.
const XIDS: usize = 32;
/// Errors that are taken from the driver in one reading.
const ERRORS: usize = 64;
/// What the driver calls an error whose number it does not know.
const UNKNOWN_XID: u64 = 999;

/// The open library. It stays open as long as the program runs, for every caller: its handles borrow
/// from it, and to open it takes longer than anything else here.
static LIBRARY: Mutex<Option<&'static Nvml>> = Mutex::new(None);

fn library() -> Result<&'static Nvml, NvmlError> {
    let mut slot = LIBRARY.lock();
    if let Some(open) = *slot
        && open.device_count().is_ok()
    {
        return Ok(open);
    }
    // The name without a number is there only where the developer's package is.
    let opened = Nvml::builder().lib_path(OsStr::new("libnvidia-ml.so.1")).init().or_else(|first| {
        if cfg!(target_os = "linux") && !matches!(first, NvmlError::LibloadingError(_)) {
            return Err(first);
        }
        Nvml::init()
    })?;
    let kept: &'static Nvml = Box::leak(Box::new(opened));
    *slot = Some(kept);
    Ok(kept)
}

/// All cards of NVIDIA.
pub(super) struct Nvidia {
    nvml: &'static Nvml,
    driver: String,
    /// By card: its unique id, or its number if it has none.
    reports: HashMap<String, Reports>,
    processes: bool,
    pcie: bool,
    buffer: Vec<u8>,
}

impl Nvidia {
    /// Opens the library.
    ///
    /// # Errors
    /// What is missing: the library, the driver, or a card.
    pub(super) fn open(processes: bool, pcie: bool) -> Result<Self, String> {
        let nvml = library().map_err(|why| match why {
            NvmlError::LibloadingError(_) => "no driver of NVIDIA".to_owned(),
            other => format!("the driver of NVIDIA does not answer: {other}"),
        })?;
        if nvml.device_count().unwrap_or_default() == 0 {
            return Err("no card of NVIDIA".to_owned());
        }
        let driver = nvml.sys_driver_version().unwrap_or_default();
        Ok(Self {
            nvml,
            driver: format!("nvidia {driver}").trim_end().to_owned(),
            reports: HashMap::new(),
            processes,
            pcie,
            buffer: Vec::new(),
        })
    }

    /// Reads every card that answers.
    ///
    /// # Errors
    /// That the driver is gone.
    pub(super) fn read(&mut self) -> Result<Vec<Gpu>, String> {
        let count =
            self.nvml.device_count().map_err(|why| format!("the driver of NVIDIA does not answer: {why}"))?;
        let nvml = self.nvml;
        let devices = (0..count).filter_map(|index| Some((index, nvml.device_by_index(index).ok()?)));
        Ok(devices.filter_map(|(index, device)| self.card(index, &device)).collect())
    }

    /// `None` if the card is lost. The driver may hand it out all the same, and tell what it remembers of it.
    fn card(&mut self, index: u32, device: &Device<'static>) -> Option<Gpu> {
        let (uuid, name) = (device.uuid(), device.name());
        let (rates, memory) = (device.utilization_rates(), device.memory_info());
        let refusals =
            [uuid.as_ref().err(), name.as_ref().err(), rates.as_ref().err(), memory.as_ref().err()];
        if refusals.into_iter().flatten().any(|why| matches!(why, NvmlError::GpuLost)) {
            return None;
        }
        let (uuid, rates, memory) = (uuid.unwrap_or_default(), rates.ok(), memory.ok());
        let key = if uuid.is_empty() { index.to_string() } else { uuid.clone() };
        let reports = self.reports.entry(key).or_default();
        reports.take(self.nvml, device);
        let xids = reports.counts.iter().map(|(xid, count)| (*xid, *count)).collect();
        let clock = |name, which| Some((name, f64::from(device.clock_info(which).ok()?) * 1e6));
        let errors =
            |name, which| Some((name, device.total_ecc_errors(which, EccCounter::Volatile).ok()? as f64));
        Some(Gpu {
            index,
            name: name.unwrap_or_default(),
            driver: self.driver.clone(),
            awake: true,
            busy: rates.as_ref().map(|rates| percent(rates.gpu)),
            memory_busy: rates.as_ref().map(|rates| percent(rates.memory)),
            encoder_busy: device.encoder_utilization().ok().map(|encoder| percent(encoder.utilization)),
            decoder_busy: device.decoder_utilization().ok().map(|decoder| percent(decoder.utilization)),
            memory_size: memory.as_ref().map(|memory| memory.total as f64),
            memory_used: memory.as_ref().map(|memory| memory.used as f64),
            temperatures: device
                .temperature(TemperatureSensor::Gpu)
                .ok()
                .map(|celsius| ("core".to_owned(), f64::from(celsius)))
                .into_iter()
                .collect(),
            power: device.power_usage().ok().map(thousandth),
            power_limit: device.enforced_power_limit().ok().map(thousandth),
            energy: device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1e3),
            clocks: [clock("sm", Clock::SM), clock("memory", Clock::Memory)].into_iter().flatten().collect(),
            fans: (0..device.num_fans().unwrap_or_default())
                .map_while(|fan| device.fan_speed(fan).ok())
                .map(percent)
                .collect(),
            throttles: device.current_throttle_reasons().map(throttles).unwrap_or_default(),
            memory_errors: [
                errors("corrected", MemoryError::Corrected),
                errors("uncorrected", MemoryError::Uncorrected),
            ]
            .into_iter()
            .flatten()
            .collect(),
            xids,
            pcie: if self.pcie { traffic(device) } else { None },
            processes: if self.processes { self.holders(device) } else { Vec::new() },
            uuid,
        })
    }

    /// Whose processes hold the card's memory.
    fn holders(&mut self, device: &Device<'static>) -> Vec<(String, f64)> {
        let mut all: Vec<ProcessInfo> = device.running_compute_processes().unwrap_or_default();
        all.extend(device.running_graphics_processes().unwrap_or_default());
        // A process that computes and draws is in both lists with the same memory.
        all.sort_by_key(|process| process.pid);
        all.dedup_by_key(|process| process.pid);
        let held = all.into_iter().filter_map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some((self.name(process.pid), bytes as f64)),
            UsedGpuMemory::Unavailable => None,
        });
        largest(held.collect::<Vec<_>>())
    }

    fn name(&mut self, pid: u32) -> String {
        let path = Path::new("/proc").join(pid.to_string()).join("comm");
        if let Some(name) = slurp(path, &mut self.buffer) {
            return name.trim_end().to_owned();
        }
        // A path, of which the file's name is enough.
        let path = self.nvml.sys_process_name(pid, 128).unwrap_or_default();
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
    }
}

/// Errors that the driver reported of one card, by their number.
#[derive(Default)]
struct Reports {
    /// Of this card alone: one that refuses to report, or is lost, does not silence the others.
    events: Option<EventSet<'static>>,
    counts: BTreeMap<u64, f64>,
}

impl Reports {
    /// Counts what came since the last reading. Waits for nothing.
    fn take(&mut self, nvml: &'static Nvml, device: &Device<'static>) {
        if self.events.is_none() {
            self.events = listen(nvml, device);
        }
        let Some(events) = &self.events else { return };
        for _ in 0..ERRORS {
            let xid = match events.wait(0).map(|event| event.event_data) {
                Ok(Some(XidError::Value(xid))) => xid,
                Ok(Some(XidError::Unknown)) => UNKNOWN_XID,
                Ok(None) => continue,
                Err(NvmlError::Timeout) => return,
                // The card was lost. It is listened to again once it is there again.
                Err(_) => {
                    self.events = None;
                    return;
                }
            };
            if self.counts.len() < XIDS || self.counts.contains_key(&xid) {
                *self.counts.entry(xid).or_default() += 1.0;
            }
        }
    }
}

/// Asks the driver to report errors of a card, if it can.
fn listen(nvml: &'static Nvml, device: &Device<'static>) -> Option<EventSet<'static>> {
    if !device.supported_event_types().ok()?.contains(EventTypes::CRITICAL_XID_ERROR) {
        return None;
    }
    device.register_events(EventTypes::CRITICAL_XID_ERROR, nvml.create_event_set().ok()?).ok()
}

fn traffic(device: &Device<'_>) -> Option<(f64, f64)> {
    // The library counts in thousands of bytes per second.
    let bytes = |which| Some(f64::from(device.pcie_throughput(which).ok()?) * 1e3);
    Some((bytes(PcieUtilCounter::Receive)?, bytes(PcieUtilCounter::Send)?))
}

fn percent(of_hundred: u32) -> f64 {
    f64::from(of_hundred) / 100.0
}

fn thousandth(milli: u32) -> f64 {
    f64::from(milli) / 1e3
}

/// Every reason to run slower, and whether it holds.
fn throttles(now: ThrottleReasons) -> Vec<(&'static str, bool)> {
    [
        ("idle", ThrottleReasons::GPU_IDLE),
        ("clock_setting", ThrottleReasons::APPLICATIONS_CLOCKS_SETTING),
        ("power_cap", ThrottleReasons::SW_POWER_CAP),
        ("hardware_slowdown", ThrottleReasons::HW_SLOWDOWN),
        ("sync_boost", ThrottleReasons::SYNC_BOOST),
        ("software_thermal", ThrottleReasons::SW_THERMAL_SLOWDOWN),
        ("hardware_thermal", ThrottleReasons::HW_THERMAL_SLOWDOWN),
        ("power_brake", ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
        ("display_clock_setting", ThrottleReasons::DISPLAY_CLOCK_SETTING),
    ]
    .into_iter()
    .map(|(name, reason)| (name, now.contains(reason)))
    .collect()
}

/// Adds up by name and keeps the names that hold most.
fn largest(held: impl IntoIterator<Item = (String, f64)>) -> Vec<(String, f64)> {
    let mut by_name: BTreeMap<String, f64> = BTreeMap::new();
    for (name, bytes) in held {
        *by_name.entry(name).or_default() += bytes;
    }
    let mut sums: Vec<(String, f64)> = by_name.into_iter().collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums.truncate(PROCESSES);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_to_run_slower_by_name() {
        let got = throttles(ThrottleReasons::SW_POWER_CAP | ThrottleReasons::HW_THERMAL_SLOWDOWN);
        let holds: Vec<&str> = got.iter().filter(|(_, holds)| *holds).map(|(name, _)| *name).collect();
        assert_eq!(holds, ["power_cap", "hardware_thermal"]);
        assert_eq!(got.len(), 9);
    }

    #[test]
    fn the_largest_holders_by_name() {
        let many = (0..40).map(|n| (format!("p{n}"), f64::from(n)));
        let got = largest(many.chain([("vllm".to_owned(), 60.0), ("vllm".to_owned(), 40.0)]));
        assert_eq!(got.len(), PROCESSES);
        assert_eq!((got[0].0.as_str(), got[0].1, got[1].1), ("vllm", 100.0, 39.0));
    }

    #[test]
    fn a_card_or_a_reason_why_not() {
        match Nvidia::open(true, true) {
            Err(why) => assert!(why.contains("NVIDIA"), "{why}"),
            Ok(mut cards) => {
                for card in cards.read().unwrap() {
                    assert!(card.awake && !card.name.is_empty());
                    assert!(card.memory_used.unwrap_or(0.0) <= card.memory_size.unwrap_or(f64::MAX));
                }
            }
        }
    }
}
