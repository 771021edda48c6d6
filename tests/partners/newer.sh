#!/usr/bin/env bash
# Prometheus, promtool, Alertmanager, amtool and VictoriaMetrics of Debian's testing, unpacked into a folder; nothing is installed.
# Fails where there is no apt, no network, or a machine on which they do not run.
set -euo pipefail

mkdir -p "$1"
into=$(realpath "$1")
rm -rf "$into"/{bin,lists,archives,unpacked}
mkdir -p "$into"/{lists,archives}/partial
# Where this machine has its own packages from.
mirror=$(grep --recursive --no-filename --only-matching --extended-regexp 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list* |
	head -1 || true)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] ${mirror:?this machine has no packages of Debian} testing main" > "$into/sources.list"
apt() {
	apt-get -qq -o Dir::Etc::sourcelist="$into/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$into/lists" \
		-o Dir::Cache="$into" -o Acquire::Languages=none -o APT::Sandbox::User= "$@"
}
apt update
(cd "$into/archives" && apt download prometheus promtool prometheus-alertmanager victoria-metrics)
for package in "$into"/archives/*.deb; do
	dpkg-deb --extract "$package" "$into/unpacked"
done
mv "$into/unpacked/usr/bin" "$into/bin"
rm -rf "$into"/{lists,archives,unpacked}
for name in prometheus promtool prometheus-alertmanager amtool; do
	"$into/bin/$name" --version 2>&1 | head -1
done
