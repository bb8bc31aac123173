//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// serverTimeout is how long a server may take to start and to end.
const serverTimeout = 2 * time.Minute

// Server is a running HTTP server of the Prometheus project: the exporter, Prometheus or Alertmanager.
type Server struct {
	// URL is the URL of the server, without a slash at the end.
	URL string
	// Log has the output of the server.
	Log *child.Log

	process *child.Child
	stop    context.CancelFunc
}

// StartServer starts a program, and returns when it listens at an address of its log. The server ends when ctx ends.
// [Server.Stop] must be called in any case.
func StartServer(ctx context.Context, program string, args ...string) (*Server, error) {
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = serverTimeout
	s := &Server{Log: child.NewLog(), stop: stop}
	cmd.Stdout, cmd.Stderr = s.Log, s.Log
	var err error
	if s.process, err = child.Start(cmd); err != nil {
		stop()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	listening, err := s.Log.Await(child.Listening, s.process.Done(), serverTimeout)
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	s.URL = "http://" + listening[1]
	return s, nil
}

// Done returns a channel that is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Stop ends the server, and returns when it has ended.
func (s *Server) Stop() {
	s.stop()
	<-s.process.Done()
}

// RunPrometheus starts a Prometheus with a configuration file: the program that the environment variable PROMETHEUS names, or else
// Debian bookworm's. It stores its data in dir, which must outlive it. See [StartServer].
func RunPrometheus(ctx context.Context, file, dir string) (*Server, error) {
	program := os.Getenv("PROMETHEUS")
	if program == "" {
		var err error
		if program, err = Tool(ctx, "prometheus"); err != nil {
			return nil, err
		}
	}
	return StartServer(ctx, program, "--config.file", file, "--storage.tsdb.path", dir, "--web.listen-address", address(0),
		// With the default, 5s, Prometheus takes longer to use targets that it has discovered.
		"--scrape.discovery-reload-interval", "1s")
}
