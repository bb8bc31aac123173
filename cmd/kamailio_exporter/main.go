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
		cli.Fatal("kamailio_exporter", fmt.Errorf("%w, try --help", err))
	}
	logger := promslog.New(&cfg.Log)
	slog.SetDefault(logger) // also for package log, which libraries may use
	if err := run(cfg, logger); err != nil {
		logger.Error("Ending", "err", err)
		os.Exit(1)
	}
}

// softMemoryLimit is the memory above which Go's runtime collects garbage whatever it
// costs, in bytes. All replies that the exporter accepts and the page that it makes of
// them need less.
const softMemoryLimit = 112 << 20

// tuneRuntime makes the program small, unless the environment says otherwise. It uses
// one CPU, because a scrape is a chain of short steps: to pass a step to another CPU
// costs more than it saves, and the CPUs are Kamailio's. It collects garbage when
// there is half as much of it as memory in use, because hardly any memory is in use.
// See docs/performance.md.
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
	defer pool.Close() //nolint:errcheck // the program ends
	handler, err := web.NewHandler(cfg.Web, pool, logger)
	if err != nil {
		return err
	}
	logger.Info("Starting kamailio_exporter", "version", version.Info(), "build", version.BuildContext(), "target", cfg.Target.URI.Redacted())
	return serve(ctx, newServer(handler, cfg.Target.Module.Timeout, logger), cfg.Web.Listen, logger)
}

// idleTimeout is how long a connection is kept for the next request.
const idleTimeout = 30 * time.Second

// newServer returns a server of the pages for scrapes that may take this long.
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

// withListenFlag names the flag that an error of listening is about.
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

// logHangups has SIGHUP logged, which would end the program, until stop is called.
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

// shutdownGrace is how long requests under way may take when the exporter ends.
const shutdownGrace = 5 * time.Second

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
