package child

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestLogAwait(t *testing.T) {
	log, ended := NewLog(), make(chan struct{})
	write := func(text string) {
		if _, err := io.WriteString(log, text); err != nil {
			t.Error(err)
		}
	}
	found := make(chan []string, 1)
	go func() {
		match, err := log.Await(Listening, ended, time.Minute)
		if err != nil {
			t.Error(err)
		}
		found <- match
	}()
	for _, output := range []string{"level=INFO msg=\"Listen", "ing on\" address=127.0.", "0.1:9494\n", "more\n"} {
		write(output)
	}
	if match := <-found; len(match) != 2 || match[1] != "127.0.0.1:9494" {
		t.Errorf("found %q", match)
	}

	if match := Listening.FindStringSubmatch(`msg="Listening on" component=web address=127.0.0.1:9090`); len(match) != 2 || match[1] != "127.0.0.1:9090" {
		t.Errorf("found %q in the line of Prometheus 3", match)
	}

	write("last words")
	last := regexp.MustCompile("last words")
	if match, err := log.Await(last, ended, time.Millisecond); err == nil || !strings.Contains(err.Error(), "more\nlast words") {
		t.Errorf("found %q in an incomplete line, %v", match, err)
	}
	close(ended)
	if _, err := log.Await(last, ended, time.Minute); err == nil || !strings.Contains(err.Error(), "ended without a line") {
		t.Errorf("error %v", err)
	}
	write("\n")
	if match, err := log.Await(last, ended, time.Minute); err != nil || match[0] != "last words" {
		t.Errorf("found %q, %v", match, err)
	}
}
