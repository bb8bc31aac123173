//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/internal/lab/child"
)

// exporterGrace is how long the exporter may take to end after SIGTERM.
const exporterGrace = 10 * time.Second

// exporter is a running exporter.
type exporter struct {
	methods []string // that it was told to ask, none for auto
	address string   // where it listens
	pid     int
	begin   time.Time // just before it was started
	process *child.Child
	cancel  context.CancelFunc
	log     *exporterLog
}

// startExporter starts the program on k and returns once it listens. It lives no longer than ctx; stop is to be called in
// any case.
func startExporter(ctx context.Context, program string, k *lab.Kamailio, w work) (*exporter, error) {
	args := append([]string{"-l", "127.0.0.1:0", "-u", k.URI("unix")}, w.flags...)
	if len(w.methods) > 0 {
		args = append(args, "-m", strings.Join(w.methods, ","))
	}
	life, cancel := context.WithCancel(ctx)
	e := &exporter{methods: w.methods, cancel: cancel, log: &exporterLog{listening: make(chan string, 1)}}
	cmd := exec.CommandContext(life, program, args...)
	cmd.Stdout, cmd.Stderr = e.log, e.log
	cmd.WaitDelay = exporterGrace
	e.begin = time.Now()
	var err error
	if e.process, err = child.Start(cmd); err != nil {
		cancel()
		return nil, err
	}
	e.pid = cmd.Process.Pid
	if err := e.awaitListening(); err != nil {
		cancel()
		<-e.process.Done()
		return nil, err
	}
	return e, nil
}

// scraped starts the exporter on k, lets use scrape it through a client, and ends it.
func (b *bench) scraped(ctx context.Context, k *lab.Kamailio, w work, use func(*exporter, *client) error) (err error) {
	e, err := startExporter(ctx, b.exporter, k, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	c, err := e.dial(ctx, "")
	if err != nil {
		return err
	}
	defer c.close()
	return use(e, c)
}

func (e *exporter) awaitListening() error {
	select {
	case e.address = <-e.log.listening:
		return nil
	case <-e.process.Done():
		return fmt.Errorf("start the exporter: %w; it said:\n%s", e.process.Wait(), e.log)
	case <-time.After(patience):
		return fmt.Errorf("start the exporter: it does not listen after %v; it said:\n%s", patience, e.log)
	}
}

// stop ends the exporter. It returns an error if the exporter ended in another way than it was told to.
func (e *exporter) stop() error {
	e.cancel()
	err := e.process.Wait()
	if err == nil || errors.Is(err, context.Canceled) { // the latter is how a process is called that ended well when told to
		return nil
	}
	return fmt.Errorf("end the exporter: %w; it said:\n%s", err, e.log)
}

// exporterLog keeps the start of what the exporter says, and tells where it listens.
type exporterLog struct {
	listening chan string // has room for one address

	mu    sync.Mutex
	text  bytes.Buffer
	found bool
}

// maxLog is how much of the exporter's log is kept.
const maxLog = 64 << 10

var listeningOn = regexp.MustCompile(`msg="Listening on" address=(\S+)\s`)

// Write implements io.Writer.
func (l *exporterLog) Write(said []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(said[:min(len(said), maxLog-l.text.Len())])
	if l.found {
		return len(said), nil
	}
	if match := listeningOn.FindSubmatch(l.text.Bytes()); match != nil {
		l.found = true
		l.listening <- string(match[1])
	}
	return len(said), nil
}

// String is what the exporter said so far.
func (l *exporterLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
