
# The rpm's part: the number of versions that are now installed, 1 for the first installation.

# Only a new user joins Kamailio's group: an administrator may have taken an old one out of it.
if ! id "$user" >/dev/null 2>&1; then
	useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$user"
	if getent group kamailio >/dev/null; then
		usermod --append --groups kamailio "$user"
	fi
fi
advise

# As Fedora's and SUSE's own packages do: the distribution's presets decide whether a new service is enabled, and the
# administrator starts it.
if ! command -v systemctl >/dev/null; then
	exit 0
fi
if [ "$1" = 1 ]; then
	systemctl --no-reload preset kamailio_exporter.service
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart kamailio_exporter.service
fi
