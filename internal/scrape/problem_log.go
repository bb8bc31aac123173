package scrape

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
)

// problemLog logs each problem when it appears, and a line when there is none any
// more, rather than at each poll. The number of lines is bounded, whatever a
// server sends. Only the poll that is ending may use it.
type problemLog struct {
	name   string // of the target
	logger *slog.Logger

	mu       sync.Mutex
	known    map[problemKey]bool // those of the last poll
	budget   lineBudget
	logged   bool // any since all was well
	unlogged int  // since all was well, for lack of budget
}

// problemKey is what makes a problem the same in another poll.
type problemKey struct {
	kind      string
	collector string // "" if it can strike any
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

// add logs what is new about the problems of a poll.
func (l *problemLog) add(problems []problem, answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[problemKey]bool{}
	var fresh []problem
	for _, p := range problems {
		keys := p.keys(answered)
		isNew := slices.ContainsFunc(keys, func(key problemKey) bool { return !l.known[key] })
		if isNew && !answered && l.budget.left() == 0 {
			continue // an outage is logged as soon as it can be
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
	if len(problems) == 0 {
		l.logRecovery()
	}
}

// logFresh logs as many problems as it may. If they are too many, the last line
// says how many others there are.
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
	l.logger.Error("Scraping Kamailio fails in too many ways to log each; see "+collectorSuccess.Name,
		"target", l.name, "unlogged", l.unlogged, "collectors", strings.Join(slices.Compact(collectors), ","))
}

func (l *problemLog) logProblem(p problem, answered bool) {
	l.logged = true
	args := []any{"target", l.name, "err", printable(p.err.Error())}
	if len(p.collectors) > 0 {
		args = append(args, "collectors", strings.Join(p.collectors, ","))
	}
	if text := p.hint.Text(config.SettingName); text != "" {
		args = append(args, "hint", text)
	}
	message := "Scraping Kamailio failed"
	if answered {
		message = "A part of scraping Kamailio failed"
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
	// maxLines is how many lines can be logged at once.
	maxLines = 10
	// linePeriod is the time after which there is one line more to log.
	linePeriod = time.Minute
)

// lineBudget bounds how many lines are logged: maxLines at once, and one in each
// linePeriod. The zero lineBudget is full.
type lineBudget struct {
	used int
	last time.Time // until when used is right
}

// left returns how many lines may be logged now.
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

// maxForeign is the maximum length of a text in the log that a server may have
// made up, in characters.
const maxForeign = 300

// printable returns the beginning of a text, with a replacement for each character
// that cannot be printed.
func printable(text string) string {
	var b strings.Builder
	length := 0
	for _, c := range text {
		if length == maxForeign {
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
