//go:build linux

// Command simulate replies to RPC like many Kamailios, to test and measure the exporter with a fleet. Each simulated
// Kamailio speaks BINRPC on a TCP port of the loopback interface and has numbers of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop() // only now: make sends SIGTERM twice, and the second one must not interrupt the end
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// run simulates Kamailios until ctx or the duration of the arguments ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	f, err := listen(ctx, o)
	if err != nil {
		return err
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	if err := f.announce(o, out); err != nil {
		return errors.Join(err, f.close())
	}
	return f.serve(ctx)
}

// announce writes the list of targets to the target file, or to out if there is no file.
func (f fleet) announce(o options, out io.Writer) error {
	if o.targetFile == "" {
		_, err := io.WriteString(out, f.list())
		return err
	}
	//nolint:gosec // the path is the choice of the user who runs the program
	if err := os.WriteFile(o.targetFile, []byte(f.list()), 0o600); err != nil {
		return fmt.Errorf("write the target file: %w", err)
	}
	_, err := fmt.Fprintf(out, "%d targets listen. They are in %s. Ctrl-C ends them.\n", len(f), o.targetFile)
	return err
}

// options are the flags.
type options struct {
	targets, hanging, dying int
	listenPort              int // of the first target; 0 for ports that the kernel chooses
	dyingPeriod             time.Duration
	duration                time.Duration // 0 for no end
	targetFile              string        // "" for standard output
}

// parse returns the flags in args.
func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.IntVar(&o.targets, "targets", 10, "number of simulated Kamailios")
	flags.IntVar(&o.hanging, "hanging", 0, "number of targets that accept connections and requests and never reply")
	flags.IntVar(&o.dying, "dying", 0, "number of targets that listen in the first half of each -dying-period only; needs -listen-port")
	flags.DurationVar(&o.dyingPeriod, "dying-period", time.Minute, "time from one death of the -dying targets to the next")
	flags.IntVar(&o.listenPort, "listen-port", 0, "port of the first target, below 32768; the others use the ports after it "+
		"(default: free ports)")
	flags.StringVar(&o.targetFile, "target-file", "", "file to write the targets to, for target_files of the exporter's "+
		"configuration file (default: standard output)")
	flags.DurationVar(&o.duration, "duration", time.Hour, "time after which the program ends, 0 for never")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: all arguments are flags", flags.Arg(0))
	}
	return o, o.check()
}

// firstEphemeralPort is the first of the ports that Linux uses for outgoing connections. Such a port is not free again for
// sure when a target comes back.
const firstEphemeralPort = 32768

// check returns an error if a flag has an invalid value.
func (o options) check() error {
	switch {
	case o.targets < 1:
		return fmt.Errorf("-targets must be positive, not %d", o.targets)
	case o.hanging < 0 || o.dying < 0 || o.hanging+o.dying > o.targets:
		return fmt.Errorf("-hanging and -dying must not be negative and together at most -targets=%d, not %d and %d", o.targets, o.hanging, o.dying)
	case o.dying > 0 && o.listenPort == 0:
		return errors.New("-dying needs -listen-port, for example -listen-port 20001")
	case o.dyingPeriod <= 0:
		return fmt.Errorf("-dying-period must be positive, for example 60s, not %v", o.dyingPeriod)
	case o.duration < 0:
		return fmt.Errorf("-duration must be positive, for example 10m, or 0 for no end, not %v", o.duration)
	case o.listenPort < 0 || o.listenPort > 0 && o.listenPort+o.targets > firstEphemeralPort:
		return fmt.Errorf("-listen-port and the ports of all %d targets must be from 1 to %d, not from %d", o.targets, firstEphemeralPort-1, o.listenPort)
	}
	return nil
}
