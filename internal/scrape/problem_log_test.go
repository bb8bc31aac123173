package scrape

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// replyWithNewFaults sets a fault as the reply to every method, with a code and a reason that no other poll has.
func replyWithNewFaults(client *script, poll int) {
	client.answers = map[string]answer{}
	for i, c := range collector.All {
		reason := fmt.Sprintf("fault %d of poll %d \x1b[31m%s", i, poll, strings.Repeat("\x00", 1<<12))
		client.answers[c.Method] = answer{err: &rpc.Fault{Code: 1000*poll + i, Reason: reason}}
	}
	client.answers["stats.get_statistics"] = client.answers["stats.fetch"]
}

func allMethods() []string {
	var methods []string
	for _, c := range collector.All {
		methods = append(methods, c.Method)
	}
	return methods
}

// TestChangingFaultsAreLoggedOnce has each method fail in each poll with another code
// and reason.
func TestChangingFaultsAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{methods: allMethods()}
		target, log := newTestTarget(t, client, testOptions{Auto: true})
		for poll := range 40 {
			replyWithNewFaults(client, poll)
			scrapeTarget(t.Context(), target)
			time.Sleep(15 * time.Second)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != maxLines {
			t.Errorf("%d lines, want %d", len(lines), maxLines)
		}
		for _, line := range lines {
			if len(line) > 2000 || strings.ContainsAny(line, "\x1b\x00") {
				t.Errorf("a line of %d bytes: %.200q", len(line), line)
			}
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, "unlogged=") || !strings.Contains(last, "collectors=") {
			t.Errorf("the last line lacks the number of unlogged problems: %s", last)
		}

		client.answers = map[string]answer{}
		for _, c := range collector.All {
			client.answers[c.Method] = answer{err: notFound}
		}
		client.methods = []string{"core.uptime"}
		client.answers["core.uptime"] = uptimeAnswer
		log.Reset()
		scrapeTarget(t.Context(), target)
		if text := log.String(); !strings.Contains(text, "works again") || !strings.Contains(text, "unlogged=") {
			t.Errorf("after recovery: %s", text)
		}
	})
}

// TestNumberOfLinesPerTimeIsLimited has every other poll fail with new errors, and the
// others succeed.
func TestNumberOfLinesPerTimeIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{methods: []string{"core.uptime"}}
		target, log := newTestTarget(t, client, testOptions{Auto: true})
		const polls = 400
		for poll := range polls {
			if poll%2 == 0 {
				client.methods = allMethods()
				replyWithNewFaults(client, poll)
			} else {
				client.methods = []string{"core.uptime"}
				client.answers = map[string]answer{"core.uptime": uptimeAnswer}
			}
			scrapeTarget(t.Context(), target)
			time.Sleep(15 * time.Second)
		}
		failures := strings.Count(log.String(), "level=ERROR")
		if limit := maxLines + int(polls*15*time.Second/linePeriod); failures > limit {
			t.Errorf("%d lines, want at most %d", failures, limit)
		}
		if lines := strings.Count(log.String(), "\n"); lines > 2*failures {
			t.Errorf("%d lines in all, of which %d are errors", lines, failures)
		}

		log.Reset()
		client.methods, client.methodsErr = nil, errors.New("dial unix: no such file")
		for range 5 {
			scrapeTarget(t.Context(), target)
			time.Sleep(15 * time.Second)
		}
		if text := log.String(); strings.Count(text, "Scraping Kamailio failed") != 1 {
			t.Errorf("the outage is not logged once: %s", text)
		}
	})
}

// TestOutageIsLoggedDuringAnotherProblem has Kamailio stop and start again while one
// method always fails.
func TestOutageIsLoggedDuringAnotherProblem(t *testing.T) {
	client := &script{methods: []string{"core.uptime"}, answers: map[string]answer{"core.uptime": uptimeAnswer, "tls.info": {err: notFound}}}
	target, log := newTestTarget(t, client, testOptions{Auto: true, Named: named(t, "tls.info")})
	for range 2 {
		client.methodsErr = nil
		scrapeTarget(t.Context(), target)
		scrapeTarget(t.Context(), target)
		client.methodsErr = errors.New("dial unix: no such file")
		scrapeTarget(t.Context(), target)
		scrapeTarget(t.Context(), target)
	}
	if text := log.String(); strings.Count(text, "Scraping Kamailio failed") != 2 || strings.Count(text, "partly failed") != 2 {
		t.Errorf("log %s", text)
	}
}

// TestNumberOfLinesAboutDroppedFieldsIsLimited has each collector drop fields.
func TestNumberOfLinesAboutDroppedFieldsIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		odd := rpc.Members{}
		for i := range 30 {
			odd = append(odd, rpc.Member{Name: fmt.Sprintf("unknown %d", i), Value: "x"})
		}
		client := &script{methods: allMethods(), answers: map[string]answer{}}
		for _, c := range collector.All {
			client.answers[c.Method] = answer{records: []any{odd}}
		}
		target, log := newTestTarget(t, client, testOptions{Auto: true})
		scrapeTarget(t.Context(), target)
		if lines := strings.Count(log.String(), "level=WARN"); lines != maxLines {
			t.Errorf("%d lines, want %d", lines, maxLines)
		}
	})
}

// TestSIPSocketsAreLoggedOnce probes sockets that fail, that still fail, that reply again, and that are new in each poll.
func TestSIPSocketsAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		log := &problemLog{name: "sbc1", logger: slog.New(slog.NewTextHandler(&out, nil))}
		socket := func(port int) sipprobe.Socket {
			s, err := sipprobe.ParseURI(fmt.Sprintf("sip:127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		works := sipprobe.Result{Socket: socket(5060), Code: 200}
		fails := sipprobe.Result{Socket: socket(5060), Failure: sipprobe.Timeout, Err: errors.New("no reply\x1b within 2s")}
		const failed = `level=ERROR msg="SIP socket did not reply to OPTIONS" target=sbc1 socket=udp:127.0.0.1:5060 reason=timeout err="no reply` + "\ufffd" + ` within 2s"`
		for i, step := range []struct {
			probes []sipprobe.Result
			want   string
		}{
			{[]sipprobe.Result{works}, ""},
			{[]sipprobe.Result{fails}, failed},
			{[]sipprobe.Result{fails}, ""},
			{nil, ""}, // the poll had one method only
			{[]sipprobe.Result{fails}, ""},
			{[]sipprobe.Result{works}, `level=INFO msg="SIP socket replies again" target=sbc1 socket=udp:127.0.0.1:5060`},
			{[]sipprobe.Result{works}, ""},
			{[]sipprobe.Result{fails}, failed},
		} {
			out.Reset()
			log.addProbes(step.probes)
			_, line, _ := strings.Cut(strings.TrimSpace(out.String()), " ") // after the time
			if line != step.want {
				t.Errorf("step %d: got %q, want %q", i, line, step.want)
			}
		}

		out.Reset()
		for port := range 100 {
			log.addProbes([]sipprobe.Result{{Socket: socket(6000 + port), Failure: sipprobe.Timeout, Err: errors.New("no reply")}})
		}
		if lines := strings.Count(out.String(), "\n"); lines != maxLines-2 {
			t.Errorf("%d lines about other sockets, want %d", lines, maxLines-2)
		}
	})
}
