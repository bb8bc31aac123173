package scrape

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

// Pool holds the targets of a configuration. It may be used concurrently.
type Pool struct {
	logger  *slog.Logger
	running atomic.Int64 // number of polls
	current atomic.Pointer[targets]

	mu      sync.Mutex // held while the targets are replaced
	closed  bool
	retired sync.WaitGroup // of the targets that Reload removed

	ctx    context.Context // canceled by Close
	cancel context.CancelFunc
}

// targets are the targets of one configuration. They do not change.
type targets struct {
	configs []*config.Target // those with a name
	unnamed *Target          // may be nil
	named   map[string]*Target
}

// all returns all targets.
func (t *targets) all() []*Target {
	var all []*Target
	if t.unnamed != nil {
		all = append(all, t.unnamed)
	}
	for _, cfg := range t.configs {
		all = append(all, t.named[cfg.Name])
	}
	return all
}

// NewPool returns a pool with the targets of a configuration. It does not connect to them yet.
func NewPool(cfg *config.Config, logger *slog.Logger) *Pool {
	p := &Pool{logger: logger}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.current.Store(&targets{})
	p.Reload(cfg)
	return p
}

// Default returns the target without a name, whose metrics are on the telemetry path. It returns nil if there is none.
func (p *Pool) Default() *Target { return p.current.Load().unnamed }

// Target returns the target with that name, nil if there is none.
func (p *Pool) Target(name string) *Target { return p.current.Load().named[name] }

// Configs returns the configurations of the targets with a name, in the order of the configuration file. They must not be
// changed.
func (p *Pool) Configs() []*config.Target { return p.current.Load().configs }

// All yields all targets with their configurations. The one without a name is the first, the others are in the order of the
// configuration file. The labels of a configuration may be newer than those with which its target was made.
func (p *Pool) All() iter.Seq2[*config.Target, *Target] {
	return func(yield func(*config.Target, *Target) bool) {
		current := p.current.Load()
		if current.unnamed != nil && !yield(current.unnamed.cfg, current.unnamed) {
			return
		}
		for _, cfg := range current.configs {
			if !yield(cfg, current.named[cfg.Name]) {
				return
			}
		}
	}
}

// Len returns the number of targets.
func (p *Pool) Len() int { return len(p.current.Load().all()) }

// Running returns the number of polls that are running.
func (p *Pool) Running() int { return int(p.running.Load()) }

// Reload replaces the targets. Those whose configuration is equal except for the labels are kept, with their connections and
// counters. The others are closed when their running scrapes have ended. Reload does not wait for that. It does nothing if the
// pool is closed.
func (p *Pool) Reload(cfg *config.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	old := p.current.Load()
	next := &targets{configs: cfg.Targets, named: make(map[string]*Target, len(cfg.Targets))}
	if cfg.Target != nil {
		next.unnamed = p.keepOrNew(old.unnamed, cfg.Target)
	}
	for _, target := range cfg.Targets {
		next.named[target.Name] = p.keepOrNew(old.named[target.Name], target)
	}
	p.current.Store(next)
	for _, target := range old.all() {
		if next.named[target.cfg.Name] != target && next.unnamed != target {
			target.refuse()
			p.retired.Go(func() {
				defer context.AfterFunc(p.ctx, target.cancel)()
				p.logClosed(target, target.retire())
			})
		}
	}
}

// keepOrNew returns the old target, which may be nil, if its configuration is equal; otherwise a new one.
func (p *Pool) keepOrNew(old *Target, cfg *config.Target) *Target {
	if old != nil && old.cfg.Equal(cfg) {
		return old
	}
	target := NewTarget(cfg, p.logger)
	target.running = &p.running
	return target
}

func (p *Pool) logClosed(target *Target, err error) {
	if err != nil {
		p.logger.Debug("Closing the connections to a removed target failed", "target", target.report.name, "err", err)
	}
}

// Close closes all targets; see [Target.Close]. It also closes those that Reload removed and whose scrapes are still running.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	var failed []error
	for _, target := range p.current.Load().all() {
		failed = append(failed, target.Close())
	}
	p.retired.Wait()
	return errors.Join(failed...)
}
