package scrape

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// problemLog logs a problem in the first poll that has it, not in each poll, and logs
// when a poll has no problem any more. It does the same for each SIP socket. The number of lines is limited, whatever a
// server sends. It must not be used concurrently.
type problemLog struct {
	name    string // of the target
	logger  *slog.Logger
	setting func(key string) string // returns the name of a setting for users

	known    map[problemKey]bool // the problems of the last poll
	budget   lineBudget
	logged   bool // a problem was logged since the last poll without one
	unlogged int  // number of problems since then that the budget did not allow to log

	noticed map[string]bool // the texts of notices that were logged

	silent    map[sipprobe.Socket]bool // the SIP sockets whose failure was logged, and that did not reply in the last poll
	sipBudget lineBudget
}

// problemKey identifies a problem: problems of two polls are the same if their keys
// are.
type problemKey struct {
	kind      string
	collector string // "" if the problem does not depend on the method
	answered  bool
}

// keys returns the keys of a problem.
func (p problem) keys(answered bool) []problemKey {
	kind, ofMethod := hint.Kind(p.err)
	if !ofMethod || len(p.collectors) == 0 {
		return []problemKey{{kind: kind, answered: answered}}
	}
	keys := make([]problemKey, len(p.collectors))
	for i, collector := range p.collectors {
		keys[i] = problemKey{kind: kind, collector: collector}
	}
	return keys
}

// add logs the new problems of a poll. answered reports whether Kamailio replied to a
// call. polled are the collectors of the poll, nil if it had all of the module; the
// problems of other collectors continue.
func (l *problemLog) add(problems []problem, answered bool, polled []string) {
	known := map[problemKey]bool{}
	for key := range l.known {
		if polled != nil && key.collector != "" && !slices.Contains(polled, key.collector) {
			known[key] = true
		}
	}
	var fresh []problem
	for _, p := range problems {
		keys := p.keys(answered)
		isNew := slices.ContainsFunc(keys, func(key problemKey) bool { return !l.known[key] })
		if isNew && !answered && l.budget.left() == 0 {
			continue // not known yet: a later poll logs the outage
		}
		if isNew {
			fresh = append(fresh, p)
		}
		for _, key := range keys {
			known[key] = true
		}
	}
	l.known = known
	l.logFresh(fresh, answered)
	if len(known) == 0 {
		l.logRecovery()
	}
}

// addNotices logs the notices that were not logged before. There are only a few different ones.
func (l *problemLog) addNotices(notices []notice) {
	for _, n := range notices {
		text := n.err.Error()
		if l.noticed[text] {
			continue
		}
		if l.noticed == nil {
			l.noticed = map[string]bool{}
		}
		l.noticed[text] = true
		level := slog.LevelInfo
		if n.asked {
			level = slog.LevelWarn
		}
		l.logger.Log(context.Background(), level, "Some series of Kamailio's host are missing; this is logged once",
			"target", l.name, "err", text, "hint", n.hint.Text(l.setting))
	}
}

// addProbes logs the SIP sockets that no longer reply, and those that reply again. A poll without probes changes nothing.
func (l *problemLog) addProbes(probes []sipprobe.Result) {
	if len(probes) == 0 {
		return
	}
	before := l.silent
	l.silent = map[sipprobe.Socket]bool{}
	for _, p := range probes {
		args := []any{"target", l.name, "socket", p.Socket.String()}
		switch {
		case p.Failure == "" && before[p.Socket]:
			l.logger.Info("SIP socket replies again", args...)
		case p.Failure == "":
		case before[p.Socket]:
			l.silent[p.Socket] = true
		case l.sipBudget.left() > 0:
			l.sipBudget.used++
			l.silent[p.Socket] = true
			l.logger.Error("SIP socket did not reply to OPTIONS", append(args, "reason", p.Failure, "err", printable(p.Err.Error()))...)
		}
	}
}

// logFresh logs as many problems as the budget allows. If it does not allow all, the
// last line has the number of the others.
func (l *problemLog) logFresh(fresh []problem, answered bool) {
	left := l.budget.left()
	if len(fresh) <= left {
		left = len(fresh)
	} else if left > 0 {
		left--
		defer l.logUnlogged(fresh[left:])
	}
	for _, p := range fresh[:left] {
		l.budget.used++
		l.logProblem(p, answered)
	}
	l.unlogged += len(fresh) - left
}

func (l *problemLog) logUnlogged(problems []problem) {
	l.budget.used++
	var collectors []string
	for _, p := range problems {
		collectors = append(collectors, p.collectors...)
	}
	slices.Sort(collectors)
	l.logger.Error("Scraping Kamailio failed with too many different errors to log each; see "+collectorSuccess.Name,
		"target", l.name, "unlogged", l.unlogged, "collectors", strings.Join(slices.Compact(collectors), ","))
}

func (l *problemLog) logProblem(p problem, answered bool) {
	l.logged = true
	args := []any{"target", l.name, "err", printable(p.err.Error())}
	if len(p.collectors) > 0 {
		args = append(args, "collectors", strings.Join(p.collectors, ","))
	}
	if text := p.hint.Text(l.setting); text != "" {
		args = append(args, "hint", text)
	}
	message := "Scraping Kamailio failed"
	if answered {
		message = "Scraping Kamailio partly failed"
	}
	l.logger.Error(message, args...)
}

func (l *problemLog) logRecovery() {
	if l.logged {
		args := []any{"target", l.name}
		if l.unlogged > 0 {
			args = append(args, "unlogged", l.unlogged)
		}
		l.logger.Info("Scraping Kamailio works again", args...)
	}
	l.logged, l.unlogged = false, 0
}

const (
	// maxLines is the maximum number of lines at once.
	maxLines = 10
	// linePeriod is the time after which one more line is allowed.
	linePeriod = time.Minute
)

// lineBudget limits the number of log lines: maxLines at once, and one in each
// linePeriod after that. The zero lineBudget allows maxLines.
type lineBudget struct {
	used int
	last time.Time // when used was last reduced
}

// left returns the number of lines that may be logged now.
func (b *lineBudget) left() int {
	now := time.Now()
	if periods := now.Sub(b.last) / linePeriod; int64(periods) >= int64(b.used) {
		b.used, b.last = 0, now
	} else {
		b.used -= int(periods)
		b.last = b.last.Add(periods * linePeriod)
	}
	return maxLines - b.used
}

// maxText is the maximum length of a server's text in the log, in characters.
const maxText = 300

// printable returns at most maxText characters of a text. Characters that cannot be
// printed are replaced by U+FFFD.
func printable(text string) string {
	var b strings.Builder
	length := 0
	for _, c := range strings.ReplaceAll(text, "\n", "; ") { // errors.Join puts one error on a line
		if length == maxText {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(c) {
			c = unicode.ReplacementChar
		}
		b.WriteRune(c)
		length++
	}
	return b.String()
}
