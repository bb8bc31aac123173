
# Debian's part: configure [OLD-VERSION], or abort-* if dpkg gave up a removal or an upgrade, which changes nothing.
if [ "$1" != configure ]; then
	exit 0
fi

# Only a new user joins Kamailio's group: an administrator may have taken an old one out of it.
if ! id "$user" >/dev/null 2>&1; then
	adduser --quiet --system --group --home /nonexistent --no-create-home "$user"
	if getent group kamailio >/dev/null; then
		adduser --quiet "$user" kamailio
	fi
fi
advise

# As Debian's own packages do: the first installation enables and starts the service; afterwards it stays as the
# administrator left it, even through a removal and another installation.
deb-systemd-helper unmask kamailio_exporter.service >/dev/null
if deb-systemd-helper --quiet was-enabled kamailio_exporter.service; then
	deb-systemd-helper enable kamailio_exporter.service >/dev/null
fi
deb-systemd-helper update-state kamailio_exporter.service >/dev/null
deb-systemd-helper update-state kamailio_exporter.socket >/dev/null
if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload
	if [ -n "$2" ]; then
		deb-systemd-invoke restart kamailio_exporter.service
	else
		deb-systemd-invoke start kamailio_exporter.service
	fi
fi
