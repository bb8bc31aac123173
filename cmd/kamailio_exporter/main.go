// Command kamailio_exporter serves the metrics of a Kamailio SIP server to
// Prometheus.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
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
	if args, ok := customMetricsArgs(os.Args[1:]); ok {
		if err := testCustomMetrics(args, cli.Output(os.Stdout), os.Stderr); err != nil {
			cli.Fatal("kamailio_exporter", err)
		}
		return
	}
	if args, ok := checkArgs(os.Args[1:]); ok {
		up, err := runCheck(args, os.Stdout, os.Stderr)
		if err != nil {
			endWith(err)
		}
		if !up {
			os.Exit(1)
		}
		return
	}
	completeCommands(os.Args[1:])
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // which would otherwise end the program
	cpus := runtime.GOMAXPROCS(0)
	tuneRuntime(1, 0)
	cfg, err := load()
	if err != nil {
		endWith(err)
	}
	if cfg.Check {
		writeWarnings(cfg, os.Stderr)
		fmt.Println(summary(cfg))
		return
	}
	tuneRuntime(cpus, len(cfg.Targets))
	logger := promslog.New(&cfg.Log)
	slog.SetDefault(logger) // libraries may use package log
	for _, warning := range cfg.Warnings {
		logger.Warn(warning)
	}
	if cfg.Once {
		err = runOnce(cfg, logger)
	} else {
		err = run(cfg, hangups, logger)
	}
	if err != nil {
		logger.Error("Exiting", "err", err)
		os.Exit(1)
	}
}

// endWith prints an error, or each fault of a configuration file, and ends the program with status 1.
func endWith(err error) {
	if wrong, ok := errors.AsType[*config.FileError](err); ok {
		cli.Fatal("kamailio_exporter", wrong.Faults()...)
	}
	cli.Fatal("kamailio_exporter", err)
}

// writeWarnings writes the warnings about a configuration.
func writeWarnings(cfg *config.Config, out io.Writer) {
	for _, warning := range cfg.Warnings {
		_, _ = fmt.Fprintln(out, "kamailio_exporter: warning:", cli.Printable(warning))
	}
}

// completeCommands prints the names of the commands if args is a command line to complete whose first word is not a flag.
func completeCommands(args []string) {
	if len(args) == 2 && args[0] == cli.CompletionFlag && !strings.HasPrefix(args[1], "-") {
		fmt.Println(checkCommand)
		fmt.Println(customMetricsCommand)
	}
}

// summary describes a valid configuration in one line.
func summary(cfg *config.Config) string {
	if cfg.File == "" {
		return "The flags are valid."
	}
	file := cli.Printable(cfg.File)
	if len(cfg.Targets) == 1 {
		return file + " is valid: 1 target."
	}
	return fmt.Sprintf("%s is valid: %d targets.", file, len(cfg.Targets))
}

// load returns the configuration of the command line and of the files that it names.
func load() (*config.Config, error) {
	cfg, err := config.Parse(os.Args[1:])
	if _, ok := errors.AsType[*config.FileError](err); ok || err == nil {
		return cfg, err
	}
	wrong, ok := errors.AsType[*cli.ArgumentError](err)
	switch {
	case ok && (wrong.Argument == checkCommand || wrong.Argument == customMetricsCommand):
		return nil, fmt.Errorf("%w: a command must be the first argument", err)
	case ok && endsWithComma(os.Args):
		return nil, fmt.Errorf("%w: a list must not have spaces after its commas", err)
	case ok:
		return nil, fmt.Errorf("%w: the commands are %s and %s; see --help for the flags", err, checkCommand, customMetricsCommand)
	}
	return nil, fmt.Errorf("%w; see --help", err)
}

// endsWithComma reports whether an argument ends with a comma.
func endsWithComma(args []string) bool {
	return slices.ContainsFunc(args, func(argument string) bool { return strings.HasSuffix(argument, ",") })
}

const (
	// softMemoryLimit is the soft memory limit of Go's runtime without targets in a file, in bytes. The largest replies
	// that the exporter accepts need less, with the page of their samples.
	softMemoryLimit = 112 << 20
	// memoryPerTarget is the part of the limit for each target of the file, in bytes. A target needs less, most of it for
	// the buffer of its connection.
	memoryPerTarget = 128 << 10
	// maxCPUs is the maximum number of CPUs.
	maxCPUs = 4
)

// tuneRuntime reduces the CPU time and the memory of the program. cpus is the number of CPUs of the machine, and targets the
// number of targets in the configuration file. Environment variables of Go override each setting. One CPU is enough for one
// target, because a scrape is a chain of short steps: passing a step to another CPU costs more than it saves, and Kamailio
// needs the CPUs. Garbage is collected when it is half as much as the memory in use, which is cheap because little memory is in
// use. See docs/performance.md.
func tuneRuntime(cpus, targets int) {
	if os.Getenv("GOMAXPROCS") == "" {
		used := 1
		if targets > 0 {
			used = min(cpus, maxCPUs)
		}
		runtime.GOMAXPROCS(used)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	limitMemory(targets)
}

// limitMemory sets the soft memory limit for a number of targets, unless the environment has one.
func limitMemory(targets int) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemoryLimit + int64(targets)*memoryPerTarget)
	}
}

// reload returns the configuration for a reload, and sets the memory limit for its targets.
func reload() (*config.Config, error) {
	cfg, err := load()
	if err == nil {
		limitMemory(len(cfg.Targets))
	}
	return cfg, err
}

// run serves until SIGINT or SIGTERM.
func run(cfg *config.Config, hangups <-chan os.Signal, logger *slog.Logger) error {
	signal.Ignore(syscall.SIGPIPE) // otherwise the end of the program that reads the log ends this one, and systemd does not restart it
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pool := scrape.NewPool(cfg, logger)
	defer pool.Close()                                          //nolint:errcheck // the program ends
	defer context.AfterFunc(ctx, func() { _ = pool.Close() })() // so that scrapes under way end with what has arrived
	loadAgain := reload
	if cfg.File == "" {
		loadAgain = nil
	}
	handler, err := web.NewHandler(cfg, pool, loadAgain, logger)
	if err != nil {
		return err
	}
	logStart(cfg, logger)
	var reloading sync.WaitGroup
	defer reloading.Wait()
	reloading.Go(func() { reloadOnHangup(ctx, hangups, handler, logger) })
	defer stop()
	return serve(ctx, newServer(handler, handler.MaxRequests, logger), cfg.Web.Listen, logger)
}

// logStart logs the version and the targets.
func logStart(cfg *config.Config, logger *slog.Logger) {
	args := []any{"version", version.Info(), "build", version.BuildContext()}
	if cfg.Target != nil {
		args = append(args, "target", cfg.Target.URI.Redacted())
	}
	if cfg.File != "" {
		args = append(args, "file", cfg.File, "targets", len(cfg.Targets))
	}
	logger.Info("Starting kamailio_exporter", args...)
}

// reloadOnHangup reloads the configuration file on each SIGHUP, until ctx is done.
func reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, handler *web.Handler, logger *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := handler.Reload(ctx); errors.Is(err, web.ErrNoFile) {
				logger.Info("Received SIGHUP: there is no configuration file to reload")
			}
		}
	}
}

const (
	// idleTimeout is the time after which an idle connection is closed.
	idleTimeout = 30 * time.Second
	// writeTimeout is the maximum time for a response, except those of requests for metrics, which have deadlines of their own.
	writeTimeout = time.Minute
	// maxHeader is the maximum size of a request, in bytes. A client that does not read an error could keep several times as much
	// memory in use. URLs of Prometheus are much shorter.
	maxHeader = 64 << 10
	// maxStreams is the maximum number of requests that are answered at the same time on one connection of HTTP/2. Each one whose
	// client does not read the response keeps 13 KB of memory in use. Go's default is 250. Clients open more connections if they
	// need them.
	maxStreams = 8
)

// newServer returns the server of the pages. requests returns the maximum number of requests for metrics.
func newServer(handler http.Handler, requests func() int, logger *slog.Logger) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	web.LimitConnections(server, requests)
	return server
}

// withListenFlag returns an error of listening with the name of the flag that it is about.
func withListenFlag(err error, flags *toolkit.FlagConfig) error {
	if flags.WebSystemdSocket != nil && *flags.WebSystemdSocket {
		return fmt.Errorf("--web.systemd-socket: %w", err)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w: another program listens there, choose another address", err)
	case errors.Is(err, syscall.EACCES):
		err = fmt.Errorf("%w: a port below 1024 needs the capability CAP_NET_BIND_SERVICE, choose a higher one", err)
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("--web.listen-address: %w", err)
	}
	return err
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
