// Package status makes the status pages: HTML for people who look for a fault. Its functions turn what targets remember of their
// last polls into pages. They poll nothing and change nothing.
package status

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// Target is a target as the pages need it.
type Target struct {
	// Name is the name in the configuration file, "" for the target of --kamailio.scrape-uri.
	Name string
	// URI is the URI of the target without a password.
	URI string
	// Labels are the labels for service discovery.
	Labels map[string]string
	// Summary is the state after the last poll.
	Summary scrape.Summary
	// Polls returns the last polls, oldest first.
	Polls func() []scrape.Poll
}

// Site is what all pages have in common.
type Site struct {
	// Base is the relative URL of the root of all pages, "./" or "../".
	Base string
	// Metrics is the path of the metrics below Base, for example "metrics".
	Metrics string
	// File reports whether there is a configuration file.
	File bool
	// Exporter is the version of the exporter.
	Exporter string
	// Paused reports whether the page does not refresh itself.
	Paused bool
	// Now is the present time.
	Now time.Time
}

// Refresh is the number of seconds after which a page refreshes itself.
func (Site) Refresh() int { return 15 }

// Stylesheet returns the name of the style sheet below Base. It changes with the content.
func (Site) Stylesheet() string { return "style.css?v=" + styleHash }

// Docs returns the URL of a page of the documentation.
func (Site) Docs(page string) string { return docsURL + page }

// Clock returns the present time for the page.
func (s Site) Clock() When { return at(s.Now, s.Now) }

// docsURL is where the documentation is.
const docsURL = "https://github.com/kamailio-exporter/kamailio_exporter/blob/main/docs/"

// Unnamed is the name of the target of --kamailio.scrape-uri in the path of its page. No target of a file can have it.
const Unnamed = "-"

// Style is the style sheet of all pages.
//
//go:embed style.css
var Style []byte

var styleHash = func() string {
	sum := sha256.Sum256(Style)
	return hex.EncodeToString(sum[:4])
}()

//go:embed *.html
var files embed.FS

var templates = template.Must(template.ParseFS(files, "*.html"))

// write writes a page.
func write(w io.Writer, name string, page any) error {
	if err := templates.ExecuteTemplate(w, name, page); err != nil {
		return fmt.Errorf("write the page %s: %w", name, err)
	}
	return nil
}

// State is the state of a target for users.
type State string

// The states, in the order in which the page shows their targets.
const (
	// Down means that Kamailio did not reply to any call of the last poll.
	Down State = "down"
	// Failing means that Kamailio replied, but methods fail or SIP sockets do not respond.
	Failing State = "failing"
	// Stale means that there was no poll for some time.
	Stale State = "stale"
	// Waiting means that there was no poll yet.
	Waiting State = "waiting"
	// Up means that nothing fails.
	Up State = "up"
)

// States are all states in their order.
var States = []State{Down, Failing, Stale, Waiting, Up}

// Text returns the words for a state.
func (s State) Text() string {
	switch s {
	case Down:
		return "Down"
	case Failing:
		return "Partly failing"
	case Stale:
		return "No recent poll"
	case Waiting:
		return "Not polled yet"
	default:
		return "Up"
	}
}

// staleAfter is the time without a poll after which the state is Stale.
const staleAfter = 10 * time.Minute

// stateOf returns the state of a target.
func stateOf(s scrape.Summary, now time.Time) State {
	switch {
	case !s.Polled:
		return Waiting
	case now.Sub(s.Last.Begun) > staleAfter:
		return Stale
	case !s.Up:
		return Down
	case s.Methods > 0 || s.SIP > 0:
		return Failing
	default:
		return Up
	}
}
