package status

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// Bars is a picture of the last polls: a bar for each, oldest first, whose height is the duration. Each path has the bars of one
// kind, in a view box of barsWidth × barsHeight.
type Bars struct {
	// OK, Partly and Failed are the paths of polls of an up Kamailio, of those with failed methods, and of failed polls.
	OK, Partly, Failed string
	// Label describes the picture in words.
	Label string
}

// Size of Bars, in units of the picture.
const (
	barStep    = 3
	barsHeight = 24
	barsWidth  = barStep * scrape.HistoryLength
)

// ViewBox returns the view box of the picture.
func (Bars) ViewBox() string { return fmt.Sprintf("0 0 %d %d", barsWidth, barsHeight) }

// bars returns the picture of polls.
func bars(polls []scrape.Poll) Bars {
	if len(polls) == 0 {
		return Bars{Label: "no polls yet"}
	}
	var longest time.Duration
	for _, poll := range polls {
		longest = max(longest, poll.Duration)
	}
	var ok, partly, failed strings.Builder
	down, failing := 0, 0
	for i, poll := range polls {
		x := barStep*(scrape.HistoryLength-len(polls)+i) + 1
		height := max(2, barsHeight*int64(poll.Duration)/max(1, int64(longest)))
		path := &ok
		switch {
		case !poll.Up:
			path, height = &failed, barsHeight
			down++
		case poll.Failed > 0:
			path = &partly
			failing++
		}
		fmt.Fprintf(path, "M%d %dv-%d", x, barsHeight, height)
	}
	return Bars{ok.String(), partly.String(), failed.String(), barsLabel(polls, down, failing)}
}

// barsLabel describes polls in words.
func barsLabel(polls []scrape.Poll, down, failing int) string {
	durations := make([]time.Duration, len(polls))
	for i, poll := range polls {
		durations[i] = poll.Duration
	}
	slices.Sort(durations)
	label := plural(len(polls), "poll", "polls") + ", median " + took(durations[len(durations)/2])
	if down > 0 {
		label += ", " + count(down) + " failed"
	}
	if failing > 0 {
		label += ", " + count(failing) + " partly failed"
	}
	return label
}

// Line is a picture of numbers of the last polls, oldest first.
type Line struct {
	// Name says what the numbers are.
	Name string
	// Path is the path in a view box of lineWidth × lineHeight.
	Path string
	// Now, Least and Most are the latest, the lowest and the highest number.
	Now, Least, Most string
}

// Size of Line, in units of the picture.
const (
	lineWidth  = 240
	lineHeight = 28
)

// ViewBox returns the view box of the picture.
func (Line) ViewBox() string { return fmt.Sprintf("0 -1 %d %d", lineWidth, lineHeight+2) }

// Label describes the picture in words.
func (l Line) Label() string {
	return fmt.Sprintf("%s: now %s, lowest %s, highest %s", l.Name, l.Now, l.Least, l.Most)
}

// line returns the picture of numbers. NaN means that there is no number. ok is false if there are none at all.
func line(name string, values []float64) (l Line, ok bool) {
	least, most, last := math.Inf(1), math.Inf(-1), math.NaN()
	for _, v := range values {
		if !math.IsNaN(v) {
			least, most, last = min(least, v), max(most, v), v
		}
	}
	if math.IsNaN(last) {
		return Line{}, false
	}
	var path strings.Builder
	command := 'M'
	for i, v := range values {
		if math.IsNaN(v) {
			command = 'M'
			continue
		}
		x := lineWidth * float64(scrape.HistoryLength-len(values)+i) / (scrape.HistoryLength - 1)
		y := lineHeight * (1 - share(v, most))
		if command == 'M' {
			fmt.Fprintf(&path, "M%.1f %.1fh.01", x, y) // a number between two gaps is a point
		} else {
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
		}
		command = 'L'
	}
	return Line{name, path.String(), number(last), number(least), number(most)}, true
}

// share returns the share of the height that a number has, from 0 to 1. most is the highest number.
func share(v, most float64) float64 {
	switch {
	case v <= 0:
		return 0
	case v == most: // which may be infinite
		return 1
	default:
		return v / most
	}
}

// rates returns the increase of a counter in a second between successive polls that have it. Other polls have NaN.
func rates(polls []scrape.Poll, counter func(scrape.Traffic) float64) []float64 {
	values := make([]float64, len(polls))
	before := -1 // index of the last poll with the counter
	for i, poll := range polls {
		values[i] = math.NaN()
		v := counter(poll.Traffic)
		if math.IsNaN(v) {
			before = -1
			continue
		}
		if before >= 0 {
			seconds, increase := poll.Begun.Sub(polls[before].Begun).Seconds(), v-counter(polls[before].Traffic)
			if seconds > 0 && increase >= 0 { // less than 0 means that Kamailio was restarted
				values[i] = increase / seconds
			}
		}
		before = i
	}
	return values
}

// traffic returns the pictures of the traffic of a target.
func traffic(polls []scrape.Poll) []Line {
	polls = slices.DeleteFunc(slices.Clone(polls), func(p scrape.Poll) bool { return p.Up && !p.Traffic.Known() }) // of other modules
	var lines []Line
	add := func(name string, values []float64) {
		if l, ok := line(name, values); ok {
			lines = append(lines, l)
		}
	}
	calls := make([]float64, len(polls))
	for i, poll := range polls {
		calls[i] = poll.Traffic.Calls
	}
	add("Calls in progress", calls)
	add("Requests per second", rates(polls, func(t scrape.Traffic) float64 { return t.Requests }))
	for class := range len(scrape.Traffic{}.Replies) {
		add(fmt.Sprintf("%dxx replies per second", class+1), rates(polls, func(t scrape.Traffic) float64 { return t.Replies[class] }))
	}
	return lines
}
