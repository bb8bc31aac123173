#!/bin/sh
# Runs after an installation and after an upgrade, from the deb (configure [OLD-VERSION]), the rpm (number of versions
# now installed) and the apk (VERSION [OLD-VERSION]).
set -e

user=kamailio_exporter
socket=/run/kamailio/kamailio_ctl

# Only a new user is put into Kamailio's group: an administrator who took an old one out of it meant it.
add_user() {
	if id "$user" >/dev/null 2>&1; then
		return
	fi
	if command -v useradd >/dev/null; then
		useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$user"
	else # Alpine
		addgroup -S "$user"
		adduser -S -D -H -h /nonexistent -s /sbin/nologin -G "$user" "$user"
	fi
	if getent group kamailio >/dev/null; then
		join kamailio
	fi
}

join() {
	if command -v usermod >/dev/null; then
		usermod --append --groups "$1" "$user"
	else
		addgroup "$user" "$1"
	fi
}

# Says what keeps the exporter from connecting, if anything does.
advise() {
	if [ ! -S "$socket" ]; then
		if ! getent group kamailio >/dev/null; then
			echo "kamailio_exporter: there is no group kamailio yet. If Kamailio is to run on this machine, install it and then run"
			echo "    usermod --append --groups kamailio $user"
		fi
		return
	fi
	mode=$(stat -L -c %a "$socket")
	group=$(stat -L -c %G "$socket")
	case "$mode" in
	?[67]?) ;;
	*)
		echo "kamailio_exporter: Kamailio's control socket $socket has mode $mode, so the exporter may not connect. Add"
		echo "    modparam(\"ctl\", \"mode\", 0660)"
		echo "to Kamailio's configuration and restart Kamailio."
		;;
	esac
	case " $(id -nG "$user") " in
	*" $group "*) return ;;
	esac
	echo "kamailio_exporter: Kamailio's control socket $socket belongs to the group $group, which the exporter's user is not in."
	if [ "$group" = root ]; then
		echo "Add"
		echo "    modparam(\"ctl\", \"group\", \"$user\")"
		echo "to Kamailio's configuration and restart Kamailio."
	else
		echo "Run"
		echo "    usermod --append --groups $group $user"
		echo "and restart kamailio_exporter."
	fi
}

# As Debian's own packages do it: the service is enabled and started when it is new, and stays as the administrator left
# it from then on, even through a removal and another installation.
debian_service() {
	deb-systemd-helper unmask kamailio_exporter.service >/dev/null
	if deb-systemd-helper --quiet was-enabled kamailio_exporter.service; then
		deb-systemd-helper enable kamailio_exporter.service >/dev/null
	fi
	deb-systemd-helper update-state kamailio_exporter.service >/dev/null
	deb-systemd-helper update-state kamailio_exporter.socket >/dev/null
	if [ ! -d /run/systemd/system ]; then
		return
	fi
	systemctl daemon-reload
	if [ -n "$1" ]; then
		systemctl try-restart kamailio_exporter.service
	else
		deb-systemd-invoke start kamailio_exporter.service
	fi
}

# As Fedora's and SUSE's own packages do it: the distribution's presets say whether a new service is enabled, and the
# administrator starts it.
rpm_service() {
	if ! command -v systemctl >/dev/null; then
		return
	fi
	if [ "$1" = 1 ]; then
		systemctl --no-reload preset kamailio_exporter.service
	fi
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		systemctl try-restart kamailio_exporter.service
	fi
}

apk_service() {
	if [ -n "$1" ] && command -v rc-service >/dev/null; then
		rc-service --ifstarted kamailio_exporter restart
	fi
}

case "$1" in
abort-*) exit 0 ;; # dpkg gave up removing or upgrading: all is as it was
esac
add_user
advise
case "$1" in
configure) debian_service "$2" ;;
[1-9]) rpm_service "$1" ;;
*) apk_service "$2" ;;
esac
