//go:build linux

// Command lab starts a real Kamailio without installing anything. It is behind make test and make run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

const usage = `Usage:
  lab fetch                    put all that the tests need into the cache
  lab up [flags]               start a Kamailio and traffic until Ctrl-C; lab up -h shows the flags
  lab run EXPORTER [ARGS...]   start the exporter on this machine's Kamailio or, if it has none, on the lab's
  lab demo EXPORTER MIXIN      start Kamailio, traffic, the exporter, Prometheus and Alertmanager until Ctrl-C
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := status(ctx, command(ctx, os.Args[1:]))
	stop() // only now: make sends SIGTERM twice, and the second one must not interrupt the end
	os.Exit(code)
}

// status returns the exit status for err, and prints err unless the exporter has printed it.
func status(ctx context.Context, err error) int {
	exit, isExit := errors.AsType[exporterStatus](err)
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, flag.ErrHelp):
		return 0
	case isExit:
		return int(exit)
	}
	fmt.Fprintln(os.Stderr, "lab:", err)
	return 1
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no command: see lab help")
	}
	switch name, rest := args[0], args[1:]; name {
	case "fetch":
		return fetch(ctx)
	case "up":
		return up(ctx, rest)
	case "run":
		if len(rest) == 0 {
			return errors.New("run: the path of the exporter is missing: see lab help")
		}
		return run(ctx, systemSocket, rest[0], rest[1:])
	case "demo":
		if len(rest) != 2 {
			return errors.New("demo: the paths of the exporter and of the mixin are missing: see lab help")
		}
		return demo(ctx, os.Stdout, rest[0], rest[1])
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	default:
		return fmt.Errorf("unknown command %q: see lab help", name)
	}
}

// fetch puts all that the tests need into the cache, and prints each path and how long it took.
func fetch(ctx context.Context) error {
	for i, name := range slices.Concat(lab.Suites(), lab.Tools()) {
		get, begin := lab.Fetch, time.Now()
		if i >= len(lab.Suites()) {
			get = lab.Tool
		}
		path, err := get(ctx, name)
		if err != nil {
			return err
		}
		fmt.Printf("%s (%.1f s)\n", path, time.Since(begin).Seconds())
	}
	for _, get := range []func(context.Context) (string, error){lab.FetchBrowser, lab.FetchClock} {
		path, err := get(ctx)
		if err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// up runs a Kamailio with traffic until ctx ends.
func up(ctx context.Context, args []string) (err error) {
	var options lab.Options
	flags := flag.NewFlagSet("lab up", flag.ContinueOnError)
	flags.StringVar(&options.Suite, "suite", lab.Bookworm, "Debian release: bookworm (Kamailio 5.6), trixie (6.0) or forky (6.1)")
	flags.IntVar(&options.Destinations, "destinations", 0, "dispatcher destinations beyond the five fixed ones")
	if err := flags.Parse(args); err != nil {
		return err
	}
	k, err := lab.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Stop()) }()
	for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
		fmt.Println(k.URI(transport))
	}
	fmt.Printf("%s\nsip:%s\nsips:%s\n%s\n", k.JSONRPCURL(), k.SIPAddr(), k.TLSAddr(), k.Dir)
	return lab.Traffic(ctx, k)
}
