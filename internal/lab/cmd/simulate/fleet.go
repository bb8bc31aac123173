//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// behavior is what a target does with connections.
type behavior string

const (
	replying behavior = "replying"
	hanging  behavior = "hanging" // never replies
	dying    behavior = "dying"   // closes listener and connections from time to time
)

// target is one simulated Kamailio and its address.
type target struct {
	*kamailio

	behavior behavior
	period   time.Duration // of a dying target
	address  string
	listener net.Listener
}

// fleet contains all targets: first those that hang, then those that die, then the others.
type fleet []*target

// listen starts to listen for all targets. The connections are served by fleet.serve. If a target cannot listen, listen
// closes the others and returns an error.
func listen(ctx context.Context, o options) (fleet, error) {
	if err := checkOpenFiles(o.targets); err != nil {
		return nil, err
	}
	f, now := fleet{}, time.Now()
	for i := range o.targets {
		t := &target{kamailio: newKamailio(i+1, now), behavior: replying, period: o.dyingPeriod}
		switch {
		case i < o.hanging:
			t.behavior = hanging
		case i < o.hanging+o.dying:
			t.behavior = dying
		}
		port := 0
		if o.listenPort > 0 {
			port = o.listenPort + i
		}
		t.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if err := t.listen(ctx); err != nil {
			return nil, errors.Join(err, f.close())
		}
		f = append(f, t)
	}
	return f, nil
}

// openFiles is the number of files that each target needs: a listener, and connections of two exporters, of which one may
// be about to be replaced. otherFiles is the number of files that the process itself needs.
const (
	openFiles  = 4
	otherFiles = 20
)

// checkOpenFiles returns an error if the process may not open enough files for the targets. The Go runtime has raised the
// soft limit to the hard one already.
func checkOpenFiles(targets int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if needed := uint64(targets*openFiles + otherFiles); needed > limit.Cur {
		return fmt.Errorf("%d targets need up to %d open files, and the hard limit is %d: raise it, for example with ulimit -n as root, or use at most %d targets",
			targets, needed, limit.Cur, max(0, int(limit.Cur)-otherFiles)/openFiles)
	}
	return nil
}

// close closes the listeners of a fleet that was not served.
func (f fleet) close() error {
	var errs []error
	for _, t := range f {
		errs = append(errs, t.listener.Close())
	}
	return errors.Join(errs...)
}

// list returns the targets for target_files of the exporter's configuration file.
func (f fleet) list() string {
	var list strings.Builder
	for _, t := range f {
		fmt.Fprintf(&list, "- {name: sim%04d, uri: %q, labels: {site: site%02d, behavior: %s}}\n", t.number, "tcp://"+t.address, t.number%20, t.behavior)
	}
	return list.String()
}

// serve serves all targets until ctx ends, and returns when all connections are closed. If one of the targets fails, all
// end, and serve returns the error.
func (f fleet) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, t := range f {
		running.Go(func() {
			if err := t.serve(ctx); err != nil {
				cancel(fmt.Errorf("target %d: %w", t.number, err))
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, ctx.Err()) {
		return err
	}
	return nil
}

// serve serves one target until ctx ends.
func (t *target) serve(ctx context.Context) error {
	switch t.behavior {
	case hanging:
		return t.hang(ctx)
	case dying:
		return t.die(ctx)
	default:
		return t.reply(ctx)
	}
}

// listen starts to listen on the target's address.
func (t *target) listen(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", t.address)
	if err != nil {
		return fmt.Errorf("target %d: %w", t.number, err)
	}
	t.listener, t.address = listener, listener.Addr().String()
	return nil
}

// reply replies to all calls until ctx ends.
func (t *target) reply(ctx context.Context) error {
	server := binrpctest.NewUnstartedServer(t.kamailio.reply)
	closeServer := func() { _ = server.Close() } // its error is always nil
	defer closeServer()
	stop := context.AfterFunc(ctx, closeServer)
	defer stop()
	return server.Serve(t.listener)
}

// die replies to all calls in the first half of each period. In the second half, it does not listen. Its numbers are those
// of a Kamailio that ran all the time.
func (t *target) die(ctx context.Context) error {
	for {
		alive, cancel := context.WithTimeout(ctx, t.period/2)
		err := t.reply(alive)
		cancel()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.period / 2):
		}
		if err := t.listen(ctx); err != nil {
			return err
		}
	}
}

// hang accepts connections and reads requests until ctx ends, and never replies.
func (t *target) hang(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = t.listener.Close() })
	defer stop()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		connections.Go(func() { discard(ctx, conn) })
	}
}

// discard reads from a connection until the client closes it or ctx ends.
func discard(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, _ = io.Copy(io.Discard, conn) // any error means that the connection is closed
}
