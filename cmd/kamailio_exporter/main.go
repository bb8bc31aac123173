// Command kamailio_exporter serves the metrics of a Kamailio SIP server to
// Prometheus.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web"
)

func main() {
	tuneRuntime()
	cfg, err := config.Parse(os.Args[1:])
	if err != nil {
		cli.Fatal("kamailio_exporter", fmt.Errorf("%w; see --help", err))
	}
	logger := promslog.New(&cfg.Log)
	slog.SetDefault(logger) // libraries may use package log
	if err := run(cfg, logger); err != nil {
		logger.Error("Exiting", "err", err)
		os.Exit(1)
	}
}

// softMemoryLimit is the soft memory limit of Go's runtime, in bytes. The largest replies
// that the exporter accepts need less, with the page of their samples.
const softMemoryLimit = 112 << 20

// tuneRuntime reduces the CPU time and the memory of the program. Environment variables
// of Go override each setting. One CPU is enough, because a scrape is a chain of short
// steps: passing a step to another CPU costs more than it saves, and Kamailio needs the
// CPUs. Garbage is collected when it is half as much as the memory in use, which is cheap
// because little memory is in use. See docs/performance.md.
func tuneRuntime() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemoryLimit)
	}
}

// run serves until SIGINT or SIGTERM.
func run(cfg *config.Config, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer logHangups(logger)()
	pool := scrape.NewPool(cfg, logger)
	defer pool.Close()                                          //nolint:errcheck // the program ends
	defer context.AfterFunc(ctx, func() { _ = pool.Close() })() // so that scrapes under way end with what has arrived
	handler, err := web.NewHandler(cfg.Web, pool, logger)
	if err != nil {
		return err
	}
	logger.Info("Starting kamailio_exporter", "version", version.Info(), "build", version.BuildContext(), "target", cfg.Target.URI.Redacted())
	return serve(ctx, newServer(handler, cfg.Target.Modules[0].Timeout, logger), cfg.Web.Listen, logger)
}

// idleTimeout is the time after which an idle connection is closed.
const idleTimeout = 30 * time.Second

// newServer returns the server of the pages. timeout is the maximum time of a scrape.
func newServer(handler http.Handler, timeout time.Duration, logger *slog.Logger) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      timeout + time.Minute,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	web.LimitConnections(server)
	return server
}

// withListenFlag returns an error of listening with the name of the flag that it is about.
func withListenFlag(err error, flags *toolkit.FlagConfig) error {
	if flags.WebSystemdSocket != nil && *flags.WebSystemdSocket {
		return fmt.Errorf("--web.systemd-socket: %w", err)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another program listens there, choose another address", err)
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("--web.listen-address: %w", err)
	}
	return err
}

// logHangups logs each SIGHUP, which would otherwise end the program, until stop is called.
func logHangups(logger *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-hangups:
				logger.Info("Received SIGHUP: there is no configuration file to reload")
			case <-ended:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(ended)
	}
}

// shutdownGrace is the maximum time that running requests get when the exporter stops.
const shutdownGrace = 5 * time.Second

// serve serves until ctx is done or listening fails.
func serve(ctx context.Context, server *http.Server, flags *toolkit.FlagConfig, logger *slog.Logger) error {
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, flags, logger) }()
	select {
	case err := <-ended:
		return withListenFlag(err, flags)
	case <-ctx.Done():
	}
	logger.Info("Stopping")
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-ended; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}
