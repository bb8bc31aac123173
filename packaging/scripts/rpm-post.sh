
# Part for rpm. Argument: number of installed versions, 1 after the first installation.

# Only a new user is added to Kamailio's group, because an administrator may have removed an existing one from it.
if ! id "$user" >/dev/null 2>&1; then
	useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$user"
	if getent group kamailio >/dev/null; then
		usermod --append --groups kamailio "$user"
	fi
fi
advise

# As in Fedora's and SUSE's own packages, the presets of the distribution decide whether a new service is enabled. The
# administrator starts it.
if ! command -v systemctl >/dev/null; then
	exit 0
fi
if [ "$1" = 1 ]; then
	systemctl --no-reload preset kamailio_exporter.service
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart kamailio_exporter.service 'kamailio_exporter@*.service'
fi
