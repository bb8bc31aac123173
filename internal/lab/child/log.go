package child

import (
	"bytes"
	"fmt"
	"regexp"
	"sync"
	"time"
)

// Listening matches the log line, as text or as JSON, in which programs that use Prometheus' exporter-toolkit report the
// address they listen on. Its group is the address. Prometheus 3 adds a component.
var Listening = regexp.MustCompile(`"?msg"?[=:]"Listening on",? ?(?:component=\w+ )?"?address"?[=:]"?([^"\s]+)`)

// Log stores the output of a program, so that a caller can wait for a line of it. Use it as Stdout or Stderr of an
// [os/exec.Cmd], or as both. It may be used concurrently. Use [NewLog] to create one.
type Log struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed and replaced at each write
}

// NewLog returns an empty Log.
func NewLog() *Log { return &Log{changed: make(chan struct{})} }

// Write appends output to the log. It never fails.
func (l *Log) Write(output []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, output...)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(output), nil
}

// String returns all output so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Await waits until the pattern matches complete lines of the log, and returns the first match and its groups. It returns
// an error, which contains all output so far, if the program ends before that, which closes the channel ended, or after
// the duration timeout.
func (l *Log) Await(pattern *regexp.Regexp, ended <-chan struct{}, timeout time.Duration) ([]string, error) {
	late := time.After(timeout)
	for {
		match, changed := l.find(pattern)
		if match != nil {
			return match, nil
		}
		select {
		case <-changed:
		case <-ended:
			if match, _ := l.find(pattern); match != nil {
				return match, nil
			}
			return nil, fmt.Errorf("the program ended without a line that matches %q; its output:\n%s", pattern, l)
		case <-late:
			return nil, fmt.Errorf("no line matches %q after %v; the program's output:\n%s", pattern, timeout, l)
		}
	}
}

// find returns the first match so far, nil if there is none, and a channel that is closed at the next write.
func (l *Log) find(pattern *regexp.Regexp) ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	complete := l.text[:bytes.LastIndexByte(l.text, '\n')+1]
	return pattern.FindStringSubmatch(string(complete)), l.changed
}
