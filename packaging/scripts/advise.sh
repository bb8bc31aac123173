#!/bin/sh
# First part of the script that each package runs after an installation or an upgrade.
set -e

user=kamailio_exporter
socket=/run/kamailio/kamailio_ctl

# Prints what to change if the exporter cannot connect to Kamailio's control socket.
advise() {
	if [ ! -S "$socket" ]; then
		if ! getent group kamailio >/dev/null; then
			echo "kamailio_exporter: there is no group kamailio. After installing Kamailio on this machine, run"
			echo "    usermod --append --groups kamailio $user"
		fi
		return
	fi
	mode=$(stat -L -c %a "$socket")
	group=$(stat -L -c %G "$socket")
	case "$mode" in
	?[67]?) ;;
	*)
		echo "kamailio_exporter: Kamailio's control socket $socket has mode $mode, so the exporter cannot connect. Add"
		echo "    modparam(\"ctl\", \"mode\", 0660)"
		echo "to Kamailio's configuration and restart Kamailio."
		;;
	esac
	case " $(id -nG "$user") " in
	*" $group "*) return ;;
	esac
	echo "kamailio_exporter: Kamailio's control socket $socket belongs to the group $group. The exporter's user $user is not in this group."
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
