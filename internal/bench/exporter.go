//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
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
	log     *child.Log
}

// startExporter starts the program on k and returns once it listens. It lives no longer than ctx; stop is to be called in
// any case.
func startExporter(ctx context.Context, program string, k *lab.Kamailio, w work) (*exporter, error) {
	args := append([]string{"-l", "127.0.0.1:0", "-u", k.URI("unix")}, w.flags...)
	if len(w.methods) > 0 {
		args = append(args, "-m", strings.Join(w.methods, ","))
	}
	life, cancel := context.WithCancel(ctx)
	e := &exporter{methods: w.methods, cancel: cancel, log: child.NewLog()}
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
	listening, err := e.log.Await(child.Listening, e.process.Done(), patience)
	if err != nil {
		cancel()
		<-e.process.Done()
		return nil, fmt.Errorf("start the exporter: %w", err)
	}
	e.address = listening[1]
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

// stop ends the exporter. It returns an error if the exporter ended in another way than it was told to.
func (e *exporter) stop() error {
	e.cancel()
	err := e.process.Wait()
	if err == nil || errors.Is(err, context.Canceled) { // the latter is how a process is called that ended well when told to
		return nil
	}
	return fmt.Errorf("end the exporter: %w; it said:\n%s", err, e.log)
}
