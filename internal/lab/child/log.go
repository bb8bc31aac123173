package child

import (
	"bytes"
	"fmt"
	"regexp"
	"sync"
	"time"
)

// Listening matches the log line, as text or as JSON, in which programs that use Prometheus' exporter-toolkit report the address
// they listen on; its group is the address.
var Listening = regexp.MustCompile(`"?msg"?[=:]"Listening on",? ?"?address"?[=:]"?([^"\s]+)`)

// Log is what a program says, for whoever waits for some of it: the Stdout or the Stderr of an [os/exec.Cmd], or both. It may
// be used concurrently.
type Log struct {
	mu     sync.Mutex
	text   []byte
	longer chan struct{} // closed, and made anew, when there is more
}

// NewLog makes an empty Log.
func NewLog() *Log { return &Log{longer: make(chan struct{})} }

// Write implements io.Writer.
func (l *Log) Write(said []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, said...)
	close(l.longer)
	l.longer = make(chan struct{})
	return len(said), nil
}

// String is all that was said so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Await waits until there is a whole line that matches, and returns the match and its groups. That the program ends before,
// which closes ended, or that it takes longer than patience, is an error, which tells all that was said.
func (l *Log) Await(pattern *regexp.Regexp, ended <-chan struct{}, patience time.Duration) ([]string, error) {
	late := time.After(patience)
	for {
		match, longer := l.find(pattern)
		if match != nil {
			return match, nil
		}
		select {
		case <-longer:
		case <-ended:
			if match, _ := l.find(pattern); match != nil {
				return match, nil
			}
			return nil, fmt.Errorf("it ended without saying %q; it said:\n%s", pattern, l)
		case <-late:
			return nil, fmt.Errorf("it has not said %q after %v; it said:\n%s", pattern, patience, l)
		}
	}
}

// find is the first match so far, nil if there is none, and what will be closed when there is more.
func (l *Log) find(pattern *regexp.Regexp) ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole := l.text[:bytes.LastIndexByte(l.text, '\n')+1]
	return pattern.FindStringSubmatch(string(whole)), l.longer
}
