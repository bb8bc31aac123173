
# Part for Alpine. Arguments: VERSION [OLD-VERSION].

# Only a new user is added to Kamailio's group, because an administrator may have removed an existing one from it.
if ! id "$user" >/dev/null 2>&1; then
	addgroup -S "$user"
	adduser -S -D -H -h /nonexistent -s /sbin/nologin -G "$user" "$user"
	if getent group kamailio >/dev/null; then
		addgroup "$user" kamailio
	fi
fi
advise
if [ -n "$2" ] && command -v rc-service >/dev/null; then
	rc-service --ifstarted kamailio_exporter restart
fi
