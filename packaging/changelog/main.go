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
  changelog notes TAG     print what CHANGELOG.md says of the tag's version`

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
	}
	if command != "check" && (command != "notes" || tag == "") {
		return errors.New(usage)
	}
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return fmt.Errorf("read the changelog: %w", err)
	}
	version, err := os.ReadFile("VERSION")
	if err != nil {
		return fmt.Errorf("read the version: %w", err)
	}
	newest, err := newestSection(string(text))
	if err != nil {
		return err
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
