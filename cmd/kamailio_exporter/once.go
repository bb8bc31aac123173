package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web"
)

// errDown is the error of a scrape without any reply. The log has the reason.
var errDown = errors.New("no reply from Kamailio: kamailio_up is 0")

// runOnce scrapes the target once, unless SIGINT or SIGTERM arrives.
func runOnce(cfg *config.Config, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return once(ctx, stop, cfg, logger, cli.Output(os.Stdout))
}

// once scrapes a target once and writes its metrics to out in the text format of Prometheus. It returns errDown if Kamailio did
// not reply; the metrics are written then too. It calls stop before it writes, so that a signal ends the program while it waits for
// a reader of a pipe.
func once(ctx context.Context, stop func(), cfg *config.Config, logger *slog.Logger, out io.Writer) error {
	target := scrape.NewTarget(cfg.Target, logger)
	defer target.Close() //nolint:errcheck // the program ends
	selection, err := target.Select("", nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, selection.Wait(0))
	defer cancel()
	scraped, err := selection.Scrape(ctx)
	if err != nil {
		return err
	}
	defer scraped.Release()
	stop()
	if err := web.WriteText(out, scraped.Set); err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	if !scraped.Up() {
		return errDown
	}
	return nil
}
