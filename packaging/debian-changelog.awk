# Makes a Debian changelog (deb-changelog(5)) of what notes.awk prints. -v version, maintainer and date are those of its
# first and last line. Lines have 80 bytes at most, so that lintian does not object.
BEGIN { printf "kamailio-exporter (%s) unstable; urgency=medium\n\n", version }

/^[-#]/ || NF == 0 {
	if (line != "") print line
	line = ""
}

/^### / {
	print "  [ " substr($0, 5) " ]"
	next
}

NF > 0 {
	first = 1
	if ($1 == "-") { line = "  *"; first = 2 }
	if (line == "") line = "   "
	for (i = first; i <= NF; i++) {
		if (length(line " " $i) > 80) {
			print line
			line = "   "
		}
		line = line " " $i
	}
}

END {
	if (line != "") print line
	printf "\n -- %s  %s\n", maintainer, date
}
