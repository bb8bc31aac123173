# Turns the output of notes.awk into a Debian changelog (deb-changelog(5)). The variables version, maintainer and date are for
# its first and last line. Lines have at most 80 bytes, as lintian requires.
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
