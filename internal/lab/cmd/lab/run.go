//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

const (
	// systemSocket is the default address of an installed Kamailio's ctl.
	systemSocket = "/var/run/kamailio/kamailio_ctl"
	// exporterGrace is how long the exporter may take to end after SIGTERM.
	exporterGrace = 5 * time.Second
)

// run runs the exporter until ctx or the exporter ends: on the Kamailio that answers at socket or else on the lab's.
func run(ctx context.Context, socket, exporter string, args []string) error {
	answers, err := answersAt(ctx, socket)
	if err != nil {
		return err
	}
	if answers {
		fmt.Printf("Kamailio answers at unix:%s; nothing else is started.\n", socket)
		return export(ctx, exporter, "unix:"+socket, args)
	}
	return runLab(ctx, exporter, args)
}

// answersAt reports whether a Kamailio answers at socket within a second, and prints why a socket that exists is not used.
func answersAt(ctx context.Context, socket string) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := lab.Answers(asking, socket)
	switch {
	case errors.Is(err, fs.ErrPermission):
		fmt.Printf("This user may not connect to the Kamailio at %s: set modparam(\"ctl\", \"mode\", 0660) in kamailio.cfg, restart Kamailio, "+
			"and join the socket's group. Until then, the lab's Kamailio is used.\n", socket)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ECONNREFUSED):
		fmt.Printf("No Kamailio answers at %s within a second: it hangs or has ended. The lab's Kamailio is used.\n", socket)
	}
	return err == nil, ctx.Err()
}

// runLab runs the exporter on a Kamailio of the lab, with traffic.
func runLab(ctx context.Context, exporter string, args []string) (err error) {
	if !lab.Fetched(lab.Bookworm) {
		fmt.Println("Downloading Debian's Kamailio into your cache, some 60 MB, once. Nothing is installed.")
	}
	dir, err := lab.Fetch(ctx, lab.Bookworm)
	if err != nil {
		return err
	}
	fmt.Printf("Kamailio is unpacked in %s.\n", dir)
	k, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Stop()) }()
	fmt.Printf("Kamailio runs in %s, on loopback only, with a little SIP traffic. Try: bin/kamrpc -u %s core.uptime\n", k.Dir, k.URI("unix"))

	playing, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- lab.Traffic(playing, k) }()
	err = export(ctx, exporter, k.URI("unix"), args)
	cancel()
	return errors.Join(err, <-ended)
}

// export runs the exporter until it or ctx ends.
func export(ctx context.Context, exporter, uri string, args []string) error {
	cmd := exec.CommandContext(ctx, exporter, append([]string{"-u", uri}, args...)...)
	announced := &announcer{log: os.Stderr, out: os.Stdout}
	cmd.Stdout, cmd.Stderr = os.Stdout, announced
	cmd.WaitDelay = exporterGrace
	c, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("start the exporter: %w", err)
	}
	err = c.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if !announced.listens {
			fmt.Println("The exporter did not start. If its port is in use, choose another one: make run ARGS='-l :9495'")
		}
		return exporterStatus(max(1, exit.ExitCode())) // -1 is an exporter that a signal ended
	}
	return err
}

// announcer writes the exporter's log to log, and the URL of the metrics to out when the exporter listens.
type announcer struct {
	log, out io.Writer
	listens  bool // the exporter listens
}

// Write implements io.Writer.
func (a *announcer) Write(text []byte) (int, error) {
	n, err := a.log.Write(text)
	if match := child.Listening.FindSubmatch(text); match != nil {
		a.listens = true
		address := strings.Replace(string(match[1]), "[::]", "localhost", 1)
		_, err = fmt.Fprintf(a.out, "Metrics: http://%s/metrics (Ctrl-C ends everything)\n", address)
	}
	return n, err
}

// exporterStatus is the error of an exporter that ended with an exit status and logged why.
type exporterStatus int

func (s exporterStatus) Error() string {
	return fmt.Sprintf("the exporter ended with status %d", int(s))
}
