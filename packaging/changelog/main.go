// Command changelog keeps a release and CHANGELOG.md in agreement. It is run in the repository's root directory.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

const usage = `usage:
  changelog check [TAG]   fail unless CHANGELOG.md, VERSION and, if there is one, the tag agree
  changelog notes TAG     print what CHANGELOG.md says of the tag's version
  changelog debian VERSION TIME
                          print the same as a changelog of Debian, for the deb's version and a time in RFC 3339`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "changelog:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var command, tag string
	switch len(args) {
	case 1:
		command = args[0]
	case 2:
		command, tag = args[0], args[1]
	case 3:
		if args[0] == "debian" {
			return writeDebian(out, args[1], args[2])
		}
	}
	if command != "check" && (command != "notes" || tag == "") {
		return errors.New(usage)
	}
	newest, err := readNewest()
	if err != nil {
		return err
	}
	version, err := os.ReadFile("VERSION")
	if err != nil {
		return fmt.Errorf("read the version: %w", err)
	}
	if err := check(newest, strings.TrimSpace(string(version)), tag); err != nil {
		return err
	}
	if command == "notes" {
		_, err = io.WriteString(out, newest.notes)
	}
	return err
}

// section is what CHANGELOG.md says of one version.
type section struct {
	version string
	date    string // or "not released yet"
	notes   string // without the heading
}

// heading matches that of a section, as in "## 3.0.0, 2026-12-01". A version before a release has a part after a dash.
var heading = regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?), (.+)$`)

// readNewest returns the newest section of CHANGELOG.md.
func readNewest() (section, error) {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return section{}, fmt.Errorf("read the changelog: %w", err)
	}
	return newestSection(string(text))
}

// maintainer must be that of the packages in .goreleaser.yaml.
const maintainer = "kamailio_exporter maintainers <kamailio-exporter@users.noreply.github.com>"

// writeDebian writes the newest section in the format of deb-changelog(5). The version is the program's, which Debian
// writes with ~ where a part before a release begins.
func writeDebian(out io.Writer, version, date string) error {
	newest, err := readNewest()
	if err != nil {
		return err
	}
	changed, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return fmt.Errorf("read the time of the change: %w", err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "kamailio-exporter (%s) unstable; urgency=medium\n\n", strings.Replace(version, "-", "~", 1))
	for _, paragraph := range paragraph.FindAllString(newest.notes, -1) {
		words := strings.Fields(paragraph)
		switch words[0] {
		case "###":
			fmt.Fprintf(&text, "  [ %s ]\n", strings.Join(words[1:], " "))
		case "-":
			writeWrapped(&text, "  * ", words[1:])
		default:
			writeWrapped(&text, "    ", words)
		}
	}
	fmt.Fprintf(&text, "\n -- %s  %s\n", maintainer, changed.Format(time.RFC1123Z))
	_, err = io.WriteString(out, text.String())
	return err
}

// paragraph matches a heading, an item of a list or another paragraph, with the lines that go on with it.
var paragraph = regexp.MustCompile(`(?m)^\S.*(?:\n[^\n#-].*)*`)

// writeWrapped writes words in lines of 80 bytes at most where they fit, the first of them after prefix and the others
// below the first word.
func writeWrapped(out *strings.Builder, prefix string, words []string) {
	line := prefix + words[0]
	for _, word := range words[1:] {
		if len(line)+1+len(word) > 80 {
			fmt.Fprintln(out, line)
			line = strings.Repeat(" ", len(prefix)) + word
			continue
		}
		line += " " + word
	}
	fmt.Fprintln(out, line)
}

func newestSection(text string) (section, error) {
	_, after, found := strings.Cut("\n"+text, "\n## ")
	if !found {
		return section{}, errors.New(`CHANGELOG.md has no version: add a heading such as "## 3.0.0, not released yet"`)
	}
	body, _, _ := strings.Cut("## "+after, "\n## ")
	first, notes, _ := strings.Cut(body, "\n")
	match := heading.FindStringSubmatch(first)
	if match == nil {
		return section{}, fmt.Errorf("CHANGELOG.md begins with %q: make it a version and a date, such as \"## 3.0.0, 2026-12-01\"", first)
	}
	return section{version: match[1], date: match[2], notes: strings.TrimSpace(notes) + "\n"}, nil
}

// check returns an error unless all agree. Without a tag nothing is released, and the section need not have a date.
func check(newest section, version, tag string) error {
	if newest.version != version {
		return fmt.Errorf("the newest version in CHANGELOG.md is %s and VERSION says %s: make them agree", newest.version, version)
	}
	if strings.TrimSpace(newest.notes) == "" {
		return fmt.Errorf("CHANGELOG.md says nothing of %s: say what changes for users", version)
	}
	if tag == "" {
		return nil
	}
	if tag != "v"+version {
		return fmt.Errorf("the tag is %s and CHANGELOG.md's newest version is %s: tag v%[2]s, or add the version to CHANGELOG.md and VERSION", tag, version)
	}
	if _, err := time.Parse(time.DateOnly, newest.date); err != nil {
		return fmt.Errorf("CHANGELOG.md says %q of %s: put the date of the release there, such as 2026-12-01", newest.date, version)
	}
	return nil
}
