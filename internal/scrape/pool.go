package scrape

import (
	"errors"
	"log/slog"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

// Pool holds the targets of a configuration. It may be used concurrently.
type Pool struct {
	targets []*Target
}

// NewPool returns a pool with the targets of a configuration. It does not connect to them yet.
func NewPool(cfg *config.Config, logger *slog.Logger) *Pool {
	return &Pool{targets: []*Target{NewTarget(cfg.Target, logger)}}
}

// Default returns the target whose metrics are on the telemetry path.
func (p *Pool) Default() *Target { return p.targets[0] }

// Close closes all targets; see [Target.Close].
func (p *Pool) Close() error {
	var failed []error
	for _, target := range p.targets {
		failed = append(failed, target.Close())
	}
	return errors.Join(failed...)
}
