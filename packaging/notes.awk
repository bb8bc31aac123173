# Prints the newest section of CHANGELOG.md, without its heading, as the release notes. Fails if the version in the heading is
# not that of VERSION. If -v tag=TAG is set, fails also if the tag has another version or the heading has no date.
# Usage, in the repository's root directory: awk -f packaging/notes.awk CHANGELOG.md
/^## / && section++ { exit }
section && !/^## / { notes = notes $0 "\n" }
/^## / { heading = $0 }

END {
	getline version < "VERSION"
	if (index(heading, "## " version ", ") != 1)
		fail("begins with \"" heading "\" and VERSION has " version ": make it \"## " version ", DATE\", or change VERSION")
	if (notes !~ /[^ \n]/)
		fail("has no text for " version ": describe what changes for users")
	if (tag != "" && tag != "v" version)
		fail("has " version " as its newest version and the tag is " tag ": tag v" version ", or add a section")
	if (tag != "" && heading !~ /, [0-9][0-9][0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$/)
		fail("has no date in \"" heading "\": write the day of the release, for example 2026-12-01")
	sub(/^\n+/, "", notes)
	printf "%s", notes
}

function fail(reason) {
	print "CHANGELOG.md " reason > "/dev/stderr"
	exit 1
}
