
# Part for Debian. Arguments: configure [OLD-VERSION], or abort-* after a failed removal or upgrade, which needs nothing.
if [ "$1" != configure ]; then
	exit 0
fi

# Only a new user is added to Kamailio's group, because an administrator may have removed an existing one from it.
if ! id "$user" >/dev/null 2>&1; then
	adduser --quiet --system --group --home /nonexistent --no-create-home "$user"
	if getent group kamailio >/dev/null; then
		adduser --quiet "$user" kamailio
	fi
fi
advise

# As in Debian's own packages, the first installation enables and starts the service. Later installations keep the choice of
# the administrator, also after a removal.
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
		deb-systemd-invoke try-restart 'kamailio_exporter@*.service'
	else
		deb-systemd-invoke start kamailio_exporter.service
	fi
fi
