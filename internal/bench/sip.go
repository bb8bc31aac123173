//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

const (
	// sipRate is how many OPTIONS SIPp sends each second, of which a two-core machine notices little.
	sipRate = 400
	// sipRequests are those of a run, which takes ten seconds.
	sipRequests = 10 * sipRate
	// sipTimeout is how long a run may take, in SIPp's notation.
	sipTimeout = "60s"
	// sippGrace is how long SIPp may take to end when it is told to.
	sippGrace = time.Second
)

//go:embed pinger.xml
var pinger []byte

// responseTimes compares how fast Kamailio answers SIP while nobody scrapes and while an exporter with its default methods is
// scraped each second.
func (b *bench) responseTimes(ctx context.Context) (rows []row, err error) {
	sipp, err := lab.Tool(ctx, "sipp")
	if err != nil {
		return nil, err
	}
	var alone, scraped []time.Duration
	err = b.scraped(ctx, b.ordinary, work{}, func(_ *exporter, c *client) error {
		alone, scraped, err = b.inTurn(ctx, sipp, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("p99 of Kamailio's response time, %d OPTIONS a second, without scrapes and with one every %v, median of %d runs",
		sipRate, scrapeEvery, b.sip)
	return []row{ratioRow(name, percentile(alone, 50), percentile(scraped, 50), 1.05)}, nil
}

// inTurn has SIPp run alone and while the exporter is scraped, in turn, and returns the p99 of each run.
func (b *bench) inTurn(ctx context.Context, sipp string, c *client) (alone, scraped []time.Duration, err error) {
	if err := c.warmUp(); err != nil {
		return nil, nil, err
	}
	for range b.sip {
		quiet, err := p99(ctx, sipp, b.ordinary.SIPAddr())
		if err != nil {
			return nil, nil, err
		}
		busy, err := whileScraped(ctx, c, func() (time.Duration, error) { return p99(ctx, sipp, b.ordinary.SIPAddr()) })
		if err != nil {
			return nil, nil, err
		}
		progress("  p99 %v without scrapes, %v with", quiet, busy)
		alone, scraped = append(alone, quiet), append(scraped, busy)
	}
	return alone, scraped, nil
}

// whileScraped measures while the exporter is scraped each second.
func whileScraped(ctx context.Context, c *client, measure func() (time.Duration, error)) (found time.Duration, err error) {
	scraping, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := scrapeEach(scraping, scrapeEvery, time.Hour, c.once)
		ended <- err
	}()
	found, err = measure()
	stop()
	if scrapeErr := <-ended; !errors.Is(scrapeErr, context.Canceled) {
		err = errors.Join(err, scrapeErr)
	}
	return found, err
}

// p99 has SIPp send OPTIONS to an address, and returns the 99th percentile of the times until they were answered.
func p99(ctx context.Context, sipp, address string) (found time.Duration, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return 0, fmt.Errorf("make a directory for SIPp: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	scenario, log := filepath.Join(dir, "pinger.xml"), filepath.Join(dir, "messages.log")
	if err := os.WriteFile(scenario, pinger, 0o600); err != nil {
		return 0, fmt.Errorf("write SIPp's scenario: %w", err)
	}
	if err := runSIPp(ctx, dir, sipp, address, "-sf", scenario, "-trace_shortmsg", "-shortmessage_file", log,
		"-r", strconv.Itoa(sipRate), "-m", strconv.Itoa(sipRequests)); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(log) //nolint:gosec // in the directory that was just made
	if err != nil {
		return 0, fmt.Errorf("read SIPp's messages: %w", err)
	}
	times, err := answerTimes(string(text))
	if err != nil {
		return 0, fmt.Errorf("read SIPp's messages: %w", err)
	}
	if len(times) != sipRequests {
		return 0, fmt.Errorf("SIPp wrote of %d answers, not of %d", len(times), sipRequests)
	}
	return percentile(times, 99), nil
}

// runSIPp runs SIPp in a directory, which is removed if this program dies.
func runSIPp(ctx context.Context, dir, sipp string, args ...string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, sipp, append([]string{
		"-i", "127.0.0.1", "-ci", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin", "-nr", "-timeout", sipTimeout, "-timeout_error",
	}, args...)...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = sippGrace
	process, err := child.StartIn(dir, cmd)
	if err != nil {
		return err
	}
	if err := process.Wait(); err != nil {
		return fmt.Errorf("SIPp: %w; it said:\n%s", err, &said)
	}
	return nil
}

// answerTimes reads from SIPp's log of messages (-trace_shortmsg) how long each request took to be answered. Its log of response
// times (-trace_rtt) would be simpler, but SIPp 3.6 knows these to the millisecond only. The fields of a line are, with tabs
// between: date, time, seconds since 1970 to the microsecond, S or R for sent or received, Call-ID, CSeq, first line.
func answerTimes(log string) ([]time.Duration, error) {
	sent := make(map[string]time.Duration) // by Call-ID, since 1970
	var times []time.Duration
	for line := range strings.Lines(log) {
		fields := strings.Split(line, "\t")
		if len(fields) != 7 {
			return nil, fmt.Errorf("the line %q has %d fields, not 7", line, len(fields))
		}
		at, err := sinceEpoch(fields[2])
		if err != nil {
			return nil, fmt.Errorf("the line %q: %w", line, err)
		}
		callID := fields[4]
		begin, known := sent[callID]
		switch direction := fields[3]; {
		case direction == "S" && !known: // a repeated request does not count as a new one
			sent[callID] = at
		case direction == "R" && known:
			times = append(times, at-begin)
		case direction != "S":
			return nil, fmt.Errorf("the line %q answers nothing that was sent", line)
		}
	}
	return times, nil
}

// sinceEpoch reads seconds with six decimals.
func sinceEpoch(text string) (time.Duration, error) {
	whole, decimals, _ := strings.Cut(text, ".")
	if len(decimals) != 6 {
		return 0, fmt.Errorf("%q are no seconds with six decimals", text)
	}
	count, err := strconv.ParseInt(whole+decimals, 10, 64)
	return time.Duration(count) * time.Microsecond, err
}
