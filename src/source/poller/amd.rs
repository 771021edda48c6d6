//! Linux alone: graphics processors of AMD, as the kernel's driver `amdgpu` shows them in `/sys`.
//!
//! A card that sleeps is not asked anything that would wake it. The names and units of the files
//! are those of the kernel's documentation of amdgpu (driver-misc, thermal).

use std::path::{Path, PathBuf};

use super::linux::slurp;
use crate::event::Gpu;

/// The PCI vendor.
const VENDOR: &str = "0x1002";

/// Reads every card below `sys`. The first has the number `first`.
pub(super) fn cards(sys: &Path, first: u32) -> Vec<Gpu> {
    let Ok(entries) = std::fs::read_dir(sys.join("class/drm")) else { return Vec::new() };
    let mut folders: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            // `card0-DP-1` is a connector.
            let number = entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?;
            Some((number, entry.path().join("device")))
        })
        .filter(|(_, device)| text(&device.join("vendor")).as_deref() == Some(VENDOR))
        .collect();
    folders.sort_unstable();
    (first..).zip(folders).map(|(index, (_, device))| card(sys, &device, index)).collect()
}

fn card(sys: &Path, device: &Path, index: u32) -> Gpu {
    let version = text(&sys.join("module/amdgpu/version"));
    let model =
        text(&device.join("product_name")).or_else(|| Some(format!("AMD {}", text(&device.join("device"))?)));
    let status = text(&device.join("power/runtime_status"));
    let awake = !status.is_some_and(|status| status.starts_with("suspend"));
    let mut gpu = Gpu {
        index,
        name: model.unwrap_or_else(|| "AMD".to_owned()),
        uuid: text(&device.join("unique_id")).unwrap_or_default(),
        driver: version.map_or_else(|| "amdgpu".to_owned(), |version| format!("amdgpu {version}")),
        awake,
        ..Gpu::default()
    };
    if !awake {
        return gpu;
    }
    gpu.busy = number(&device.join("gpu_busy_percent")).map(|percent| percent / 100.0);
    gpu.memory_busy = number(&device.join("mem_busy_percent")).map(|percent| percent / 100.0);
    gpu.memory_size = number(&device.join("mem_info_vram_total"));
    gpu.memory_used = number(&device.join("mem_info_vram_used"));
    let monitors = std::fs::read_dir(device.join("hwmon")).into_iter().flatten().flatten();
    for monitor in monitors.map(|entry| entry.path()) {
        sense(&monitor, &mut gpu);
    }
    gpu
}

/// Reads one folder of sensors.
fn sense(monitor: &Path, gpu: &mut Gpu) {
    let file = |name: &str| number(&monitor.join(name));
    let label = |name: &str| text(&monitor.join(name));
    for at in 1..=3 {
        if let Some(milli) = file(&format!("temp{at}_input")) {
            let sensor = match label(&format!("temp{at}_label")) {
                Some(sensor) if sensor == "mem" => "memory".to_owned(),
                Some(sensor) => sensor,
                None => format!("temp{at}"),
            };
            gpu.temperatures.push((sensor, milli / 1e3));
        }
        if let Some(hertz) = file(&format!("freq{at}_input")) {
            let clock = match (label(&format!("freq{at}_label")).as_deref(), at) {
                (Some("sclk"), _) | (None, 1) => "sm",
                (Some("mclk"), _) | (None, 2) => "memory",
                _ => continue,
            };
            gpu.clocks.push((clock, hertz));
        }
    }
    let watts = |name: &str| file(name).map(|micro| micro / 1e6);
    gpu.power = watts("power1_average").or_else(|| watts("power1_input")).or(gpu.power);
    gpu.power_limit = watts("power1_cap").or(gpu.power_limit);
    let of_highest = |highest: Option<f64>| Some(file("fan1_input")? / highest.filter(|rpm| *rpm > 0.0)?);
    let driven = || Some(file("pwm1")? / file("pwm1_max").filter(|most| *most > 0.0).unwrap_or(255.0));
    gpu.fans.extend(of_highest(file("fan1_max")).or_else(driven));
}

/// A file's one line. `None` as well if it is empty, and while the driver says that it is busy.
fn text(path: &Path) -> Option<String> {
    let mut buffer = Vec::with_capacity(64);
    let line = slurp(path, &mut buffer)?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn number(path: &Path) -> Option<f64> {
    text(path)?.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, content) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    /// The files of a workstation card.
    pub(in super::super) fn write_card(sys: &Path, number: u32) {
        let device = sys.join(format!("class/drm/card{number}/device"));
        let files = [
            ("vendor", "0x1002\n"),
            ("device", "0x73bf\n"),
            ("product_name", "\n"),
            ("unique_id", "c2a5f09e8d6b4711\n"),
            ("power/runtime_status", "active\n"),
            ("gpu_busy_percent", "37\n"),
            ("mem_busy_percent", "12\n"),
            ("mem_info_vram_total", "17163091968\n"),
            ("mem_info_vram_used", "1281486848\n"),
            ("hwmon/hwmon4/power1_average", "143000000\n"),
            ("hwmon/hwmon4/power1_cap", "272000000\n"),
            ("hwmon/hwmon4/temp1_input", "52000\n"),
            ("hwmon/hwmon4/temp1_label", "edge\n"),
            ("hwmon/hwmon4/temp2_input", "61500\n"),
            ("hwmon/hwmon4/temp2_label", "junction\n"),
            ("hwmon/hwmon4/temp3_input", "58000\n"),
            ("hwmon/hwmon4/temp3_label", "mem\n"),
            ("hwmon/hwmon4/freq1_input", "2105000000\n"),
            ("hwmon/hwmon4/freq1_label", "sclk\n"),
            ("hwmon/hwmon4/freq2_input", "1000000000\n"),
            ("hwmon/hwmon4/freq2_label", "mclk\n"),
            ("hwmon/hwmon4/fan1_input", "1650\n"),
            ("hwmon/hwmon4/fan1_max", "3300\n"),
        ];
        write(&device, &files);
    }

    #[test]
    fn a_card_in_base_units() {
        let root = tempfile::tempdir().unwrap();
        write_card(root.path(), 1);
        write(
            root.path(),
            &[
                ("class/drm/card0/device/vendor", "0x8086\n"),
                ("class/drm/card1-DP-1/status", "connected\n"),
                ("class/drm/version", "drm 1.1.0\n"),
            ],
        );
        let got = cards(root.path(), 0);
        assert_eq!(got.len(), 1);
        let wanted = Gpu {
            index: 0,
            name: "AMD 0x73bf".to_owned(),
            uuid: "c2a5f09e8d6b4711".to_owned(),
            driver: "amdgpu".to_owned(),
            awake: true,
            busy: Some(0.37),
            memory_busy: Some(0.12),
            memory_size: Some(17_163_091_968.0),
            memory_used: Some(1_281_486_848.0),
            temperatures: vec![
                ("edge".to_owned(), 52.0),
                ("junction".to_owned(), 61.5),
                ("memory".to_owned(), 58.0),
            ],
            power: Some(143.0),
            power_limit: Some(272.0),
            clocks: vec![("sm", 2.105e9), ("memory", 1e9)],
            fans: vec![0.5],
            ..Gpu::default()
        };
        assert_eq!(got[0], wanted);
    }

    #[test]
    fn a_card_that_sleeps_is_not_asked() {
        let root = tempfile::tempdir().unwrap();
        write_card(root.path(), 0);
        write(root.path(), &[("class/drm/card0/device/power/runtime_status", "suspended\n")]);
        let got = cards(root.path(), 0).remove(0);
        assert!(!got.awake);
        assert_eq!((got.busy, got.power, got.memory_size), (None, None, None));
        assert!(got.temperatures.is_empty() && !got.name.is_empty());
    }

    #[test]
    fn a_small_card_tells_little() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("class/drm/card2/device/vendor", "0x1002\n"),
                ("class/drm/card2/device/gpu_busy_percent", "busy\n"),
                ("class/drm/card2/device/hwmon/hwmon0/power1_input", "9000000\n"),
                ("class/drm/card2/device/hwmon/hwmon0/pwm1", "51\n"),
            ],
        );
        let got = cards(root.path(), 3).remove(0);
        assert_eq!((got.index, got.name.as_str(), got.busy), (3, "AMD", None));
        assert_eq!((got.power, got.fans), (Some(9.0), vec![0.2]));
        assert_eq!(cards(&root.path().join("nowhere"), 0), []);
    }
}
