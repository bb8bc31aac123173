//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

const (
	// systemSocket is where an installed Kamailio's ctl listens unless it is configured otherwise.
	systemSocket = "/var/run/kamailio/kamailio_ctl"
	// defaultListen is where the exporter listens unless its arguments say otherwise.
	defaultListen = ":9494"
	// exporterGrace is how long the exporter may take to end after SIGTERM.
	exporterGrace = 5 * time.Second
)

// run runs the exporter until ctx ends or the exporter does: on the Kamailio that answers at socket or else on the lab's.
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

// answersAt tells whether a Kamailio answers at socket within a second, and explains a refusal.
func answersAt(ctx context.Context, socket string) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := lab.Answers(asking, socket)
	if errors.Is(err, fs.ErrPermission) {
		fmt.Printf("There is a Kamailio at %s, but it refuses this user: set modparam(\"ctl\", \"mode\", 0660) in kamailio.cfg, "+
			"restart it, and join the socket's group. Until then, the lab's Kamailio is used.\n", socket)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ECONNREFUSED) {
		fmt.Printf("There is a socket of a Kamailio at %s, but nothing answers there within a second: it hangs, or has ended. The lab's Kamailio is used.\n", socket)
	}
	return err == nil, ctx.Err()
}

// runLab runs the exporter on a Kamailio of the lab, with traffic.
func runLab(ctx context.Context, exporter string, args []string) (err error) {
	if !lab.Fetched(lab.Bookworm) {
		fmt.Println("Downloading Debian's Kamailio into your cache, some 60 MB, this once. Nothing is installed.")
	}
	dir, err := lab.Fetch(ctx, lab.Bookworm)
	if err != nil {
		return err
	}
	fmt.Printf("It is unpacked in %s.\n", dir)
	k, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Stop()) }()
	fmt.Printf("Kamailio runs in %s, on loopback only, with a little SIP traffic.\n", k.Dir)

	playing, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- lab.Traffic(playing, k) }()
	err = export(ctx, exporter, k.URI("unix"), args)
	cancel()
	return errors.Join(err, <-ended)
}

// export runs the exporter until it ends or ctx does, and says when it can be scraped.
func export(ctx context.Context, exporter, uri string, args []string) error {
	cmd := exec.CommandContext(ctx, exporter, append([]string{"-u", uri}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.WaitDelay = exporterGrace
	c, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("start the exporter: %w", err)
	}
	waiting, cancel := context.WithCancel(ctx)
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		announce(waiting, metricsURL(args))
	}()
	err = c.Wait()
	cancel()
	<-announced
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exporterStatus(max(1, exit.ExitCode())) // -1 is an exporter that a signal ended
	}
	return err
}

// exporterStatus is the error of an exporter that ended with an exit status, and said itself why.
type exporterStatus int

func (s exporterStatus) Error() string {
	return fmt.Sprintf("the exporter ended with status %d", int(s))
}

// metricsURL is where the exporter serves its metrics when it is started with args.
func metricsURL(args []string) string {
	listen := defaultListen
	for i, arg := range args {
		switch name, value, hasValue := strings.Cut(arg, "="); {
		case name != "-l" && name != "--web.listen-address":
		case hasValue:
			listen = value
		case i+1 < len(args):
			listen = args[i+1]
		}
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/metrics"
}

// announce prints url once it answers.
func announce(ctx context.Context, url string) {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
		if !responds(ctx, url) {
			continue
		}
		fmt.Printf("Metrics: %s (Ctrl-C ends everything)\n", url)
		return
	}
}

func responds(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}
